"""What Kubeflow sees of training."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.MODEL, install_kfp_package=False)
def training(
    dataset: dsl.Input[dsl.Dataset],
    checkpoint: dsl.Input[dsl.Model],
    model_alphabet: dsl.Input[dsl.Artifact],
    trained_checkpoint: dsl.Output[dsl.Model],
    report: dsl.Output[dsl.Markdown],
    metrics: dsl.Output[dsl.Metrics],
    epochs: int = 75,
    train_batch_size: int = 16,
    dev_batch_size: int = 16,
    learning_rate: float = 0.0001,
    dropout_rate: float = 0.05,
    random_seed: int = 4568,
) -> None:
    """Train from a checkpoint on every GPU of the node, or on the CPU.

    Args:
        dataset: Clean manifests, as dataset_validation writes them.
        checkpoint: Checkpoint folder in Coqui's layout to start from.
        model_alphabet: Alphabet file with the checkpoint's labels, in the order wanted.
        epochs: Passes over the training split.
        train_batch_size: Utterances of a training step.
        dev_batch_size: Utterances of a step over the dev split.
        learning_rate: Step size of Adam.
        dropout_rate: Share of units that a step leaves out, 0 to below 1.
        random_seed: Where shuffling and dropout come from.

    Returns:
        trained_checkpoint: Checkpoint folder in the same layout, with the best and the last epoch.
        report: Loss and speed of each epoch.
        metrics: Epochs and the best loss.
    """
    from pathlib import Path

    from stt_model import steps

    results = steps.train(
        Path(dataset.path),
        Path(checkpoint.path),
        Path(model_alphabet.path),
        Path(trained_checkpoint.path),
        Path(report.path),
        epochs=epochs,
        train_batch_size=train_batch_size,
        dev_batch_size=dev_batch_size,
        learning_rate=learning_rate,
        dropout_rate=dropout_rate,
        random_seed=random_seed,
    )
    for name, value in results.items():
        metrics.log_metric(name, value)
