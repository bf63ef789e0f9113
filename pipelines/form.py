"""The pipeline as people start it: a short form, and the rest in one object of settings.

Kubeflow's form shows only the name and the type of each parameter, in alphabetical order. So the
two required ones have the names that come first, every name explains itself, and no default is 0 or
false, which the form shows as an empty field.
"""

from kfp import dsl

from stt_bootstrap.components.run_settings.component import run_settings
from stt_bootstrap.pipelines import cluster
from stt_bootstrap.pipelines.graph import add_graph
from stt_bootstrap.pipelines.variant import current_variant


@dsl.pipeline(name="stt-bootstrap-form")
def form(
    checkpoint_uri: str,
    dataset_uri: str,
    epochs: str = "auto",
    export_uri: str = "",
    gpu_count: str = "1",
    gpu_type: str = "",
    mode: str = "auto",
    model_alphabet_uri: str = "",
    run_state_uri: str = "",
    scorer_uri: str = "",
    settings: dict = {},  # type: ignore[type-arg]  # noqa: B006 (only read)
    settings_uri: str = "",
    step_cpu: str = "500m",
    step_memory: str = "4Gi",
    training_cpu: str = "8",
    training_memory: str = "32Gi",
) -> None:
    """Bring a pre-trained Coqui STT or DeepSpeech checkpoint to the language of a dataset.

    Args:
        checkpoint_uri: Checkpoint folder, tar or zip archive, or deployed model (.tflite, .pb,
            .pbmm), as a path, file://, s3:// or http(s):// URI.
        dataset_uri: Folder with train.csv, dev.csv and test.csv in Coqui's form, as a path, file://
            or s3:// URI.
        epochs: Passes over the training split; auto stops when the dev split no longer improves.
        export_uri: Folder to copy the export to if the model is released, as a path, file:// or
            s3:// URI; empty for none.
        gpu_count: Number of GPUs for training; evaluation gets one.
        gpu_type: Resource name of the GPUs that training and evaluation get, such as
            nvidia.com/gpu; empty for none.
        mode: auto, fine-tune or transfer; auto decides by the characters that the checkpoint's
            alphabet lacks.
        model_alphabet_uri: Alphabet file to train with, as a path or URI; empty for the
            checkpoint's, or one built from the transcripts.
        run_state_uri: Folder for the state of the training, so that another pod can resume it, as a
            path, file:// or s3:// URI; each run has a folder below it. Empty for none.
        scorer_uri: Language model for decoding and deployment: a Coqui .scorer package, as a path
            or URI; empty for none.
        settings: Any other parameters by name, such as {"learning_rate": 0.0002}; checked in the
            first step.
        settings_uri: JSON or YAML file with such settings, as a path or URI; settings takes
            precedence.
        step_cpu: Processors that each step but training and evaluation may use.
        step_memory: Memory that each step but training and evaluation may use.
        training_cpu: Processors that training and evaluation may use, such as 8 or 7500m.
        training_memory: Memory that training and evaluation may use, such as 32Gi.
    """
    started = run_settings(
        dataset_uri=dataset_uri,
        checkpoint_uri=checkpoint_uri,
        alphabet_uri=model_alphabet_uri,
        scorer_uri=scorer_uri,
        settings=settings,
        settings_uri=settings_uri,
        run_state_uri=run_state_uri,
        export_uri=export_uri,
        nodes=current_variant().nodes,
    ).set_display_name("Look for changes")
    started.set_caching_options(False)
    cluster.place(started, cluster.Budget(step_cpu, step_memory, hours=4, retries=2))
    add_graph(
        {
            **started.outputs,
            "dataset_uri": dataset_uri,
            "checkpoint_uri": checkpoint_uri,
            "alphabet_uri": model_alphabet_uri,
            "scorer_uri": scorer_uri,
            "run_state_uri": run_state_uri,
            "export_uri": export_uri,
            "mode": mode,
            "epochs": epochs,
            "gpu_type": gpu_type,
            "gpu_count": gpu_count,
            "data_cpu": step_cpu,
            "data_memory": step_memory,
            "export_cpu": step_cpu,
            "export_memory": step_memory,
            "training_cpu": training_cpu,
            "training_memory": training_memory,
            "evaluation_cpu": training_cpu,
            "evaluation_memory": training_memory,
        }
    )
