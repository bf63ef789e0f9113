"""Bring a pre-trained Coqui STT or DeepSpeech checkpoint to another language; knows nothing of Kubeflow."""
