"""Kubeflow component: training on several nodes."""

from kfp import dsl

from stt_bootstrap.components import images


@dsl.component(base_image=images.LIGHT, install_kfp_package=False)
def distributed_training(
    dataset: dsl.Input[dsl.Dataset],
    checkpoint: dsl.Input[dsl.Model],
    model_alphabet: dsl.Input[dsl.Artifact],
    trained_checkpoint: dsl.Output[dsl.Model],
    training_report: dsl.Output[dsl.Markdown],
    training_metrics: dsl.Output[dsl.Metrics],
    epochs: str = "auto",
    train_batch_size: str = "auto",
    dev_batch_size: int = 16,
    learning_rate: str = "auto",
    dropout_rate: str = "auto",
    random_seed: int = 4568,
    clip_norm: float = 0.0,
    freeze_source_epochs: str = "auto",
    augment: str = "auto",
    mixed_precision: str = "auto",
    best_by: str = "loss",
    early_stop: bool = False,
    es_epochs: int = 25,
    es_min_delta: float = 0.05,
    reduce_lr_on_plateau: bool = False,
    plateau_epochs: int = 10,
    plateau_reduction: float = 0.1,
    checkpoint_secs: float = 600.0,
    run_state_uri: str = "",
    nodes: int = 2,
    node_cpu: str = "8",
    node_memory: str = "32Gi",
    gpu_type: str = "",
    gpu_count: str = "1",
    node_selector: dict = {},  # type: ignore[type-arg]  # noqa: B006 (only read)
    tolerations: list = [],  # type: ignore[type-arg]  # noqa: B006
    training_runtime: str = "stt-bootstrap",
) -> None:
    """Train from a checkpoint on every GPU of several nodes, as a TrainJob of Kubeflow Trainer.

    This pod creates the job, prints the log of its first node, and deletes the job at the end. On
    SIGTERM it deletes the job too, and exits with code 75. With the same run_state_uri, a restarted
    component resumes the training.

    Args:
        dataset: Clean manifests, as dataset_validation writes them.
        checkpoint: Checkpoint folder in Coqui's layout to start from.
        model_alphabet: Alphabet file with the checkpoint's labels, in the order of its output
            layer.
        epochs: Passes over the training split; auto stops when the dev split no longer improves.
        train_batch_size: Utterances per training step, over all GPUs; auto depends on the corpus.
        dev_batch_size: Utterances per batch of the dev split.
        learning_rate: Step size of Adam; one stored in a checkpoint is ignored. Auto depends on the
            corpus, and lowers it when the dev split stops improving.
        dropout_rate: Share of the units of layers 1, 2, 3 and 5 that each step drops; auto depends
            on the corpus.
        random_seed: Seed of new weights, of dropout and of the order of batches.
        clip_norm: Maximum norm of the gradient of all weights; 0 for no limit.
        freeze_source_epochs: If layers are replaced: first epochs, in which only the new layers are
            trained; auto depends on the corpus.
        augment: Augmentations of the training split: Coqui's specifications separated by spaces,
            such as volume[p=0.1,dbfs=-10:-40] tempo[factor=1~0.2]; auto depends on the corpus, none
            or empty for no change.
        mixed_precision: Precision of the computation: auto, off (32 bits), float16 or bfloat16;
            weights stay in 32 bits. Auto takes bfloat16 if it is clearly faster on this machine,
            otherwise off.
        best_by: loss, cer or wer: the measure on the dev split that decides the best epoch,
            plateaus and early stopping.
        early_stop: Stop after es_epochs epochs without improvement on the dev split.
        es_epochs: Epochs without improvement that early_stop waits for.
        es_min_delta: Smallest fall of the dev loss that counts as an improvement, in nats per
            utterance.
        reduce_lr_on_plateau: Lower the learning rate when plateau_epochs epochs bring no
            improvement, and go back to the best epoch.
        plateau_epochs: Epochs without improvement that reduce_lr_on_plateau waits for.
        plateau_reduction: Factor by which a plateau lowers the learning rate.
        checkpoint_secs: Seconds between saves within an epoch; 0 saves after each epoch only.
        run_state_uri: s3:// URI of a folder through which the nodes share their input and the state
            of the training. It is for this run alone; with STT_BOOTSTRAP_RUN_ID in the environment,
            each run has a folder below it.
        nodes: Number of nodes.
        node_cpu: Processors that training may use on each node, such as 8 or 7500m.
        node_memory: Memory that training may use on each node, such as 32Gi.
        gpu_type: Resource name of the GPUs that each node gets, such as nvidia.com/gpu; empty for
            none.
        gpu_count: Number of GPUs per node.
        node_selector: Labels of the nodes to train on, as a JSON object.
        tolerations: Taints that these nodes may have, as a JSON list of Kubernetes tolerations.
        training_runtime: The ClusterTrainingRuntime of the job.

    Returns:
        trained_checkpoint: Checkpoint folder in the same layout, with the best and the last epoch.
        training_report: Loss and speed of each epoch.
        training_metrics: Epochs and the best loss.
    """
    import sys

    from stt_bootstrap.components.distributed_training.task import NodeSize, train_distributed
    from stt_model.base import StoppedError

    try:
        figures = train_distributed(
            dataset.path,
            checkpoint.path,
            model_alphabet.path,
            trained_checkpoint.path,
            training_report.path,
            run_state_uri=run_state_uri,
            nodes=nodes,
            size=NodeSize(node_cpu, node_memory, gpu_type, gpu_count, node_selector, tolerations),
            training_runtime=training_runtime,
            settings={
                "epochs": epochs,
                "train_batch_size": train_batch_size,
                "dev_batch_size": dev_batch_size,
                "learning_rate": learning_rate,
                "dropout_rate": dropout_rate,
                "random_seed": random_seed,
                "clip_norm": clip_norm,
                "freeze_source_epochs": freeze_source_epochs,
                "augment": augment,
                "mixed_precision": mixed_precision,
                "best_by": best_by,
                "early_stop": early_stop,
                "es_epochs": es_epochs,
                "es_min_delta": es_min_delta,
                "reduce_lr_on_plateau": reduce_lr_on_plateau,
                "plateau_epochs": plateau_epochs,
                "plateau_reduction": plateau_reduction,
                "checkpoint_secs": checkpoint_secs,
            },
        )
    except StoppedError as stopped:
        print(stopped, file=sys.stderr)
        sys.exit(stopped.exit_code)
    for name, value in figures.items():
        training_metrics.log_metric(name, value)
