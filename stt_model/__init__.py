"""Bring a pre-trained Coqui STT or DeepSpeech checkpoint to another language, without Kubeflow."""
