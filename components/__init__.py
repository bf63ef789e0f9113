"""Kubeflow components, one folder each: only interfaces, since all logic is in ``stt_model``."""

COMPONENTS = (
    "source_digests",
    "run_settings",
    "source_analysis",
    "forced_alignment",
    "dataset_import",
    "dataset_validation",
    "dataset_packing",
    "checkpoint_fetch",
    "alphabet_analysis",
    "layer_surgery",
    "training",
    "distributed_training",
    "evaluation",
    "model_export",
    "model_registration",
    "refusal",
    "sweep_preparation",
    "sweep_member",
    "sweep_choice",
    "sweep_winner",
)
