"""Kubeflow component: layer surgery."""

from kfp import dsl

from stt_bootstrap.components import images


@dsl.component(base_image=images.LIGHT, install_kfp_package=False)
def layer_surgery(
    checkpoint: dsl.Input[dsl.Model],
    model_alphabet: dsl.Input[dsl.Artifact],
    grafted_checkpoint: dsl.Output[dsl.Model],
    surgery_report: dsl.Output[dsl.Markdown],
    drop_source_layers: int = 1,
    warm_start: bool = True,
    random_seed: int = 4568,
) -> None:
    """Replace the last layers of a checkpoint, with an output layer for another alphabet.

    Args:
        checkpoint: Checkpoint folder in Coqui's layout.
        model_alphabet: Alphabet file that the new output layer is for.
        drop_source_layers: Layers to replace when transferring, counted from the output: 1 to 5.
        warm_start: Keep the output weights of characters that both alphabets share, if only the
            output layer is replaced.
        random_seed: Seed of new weights, of dropout and of the order of batches.

    Returns:
        grafted_checkpoint: Checkpoint folder in the same layout; kept layers are equal bit for bit.
        surgery_report: Layers that were replaced and kept, and output weights that were kept.
    """
    from pathlib import Path

    from stt_model import jobs

    jobs.replace_layers(
        checkpoint.path,
        grafted_checkpoint.path,
        alphabet=jobs.read_model_alphabet(model_alphabet.path),
        drop_source_layers=drop_source_layers,
        warm_start=warm_start,
        random_seed=random_seed,
        report=Path(surgery_report.path),
    )
