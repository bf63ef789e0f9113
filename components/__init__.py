"""One folder per component: what Kubeflow sees. All logic is in ``stt_model``."""
