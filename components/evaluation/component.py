"""What Kubeflow sees of evaluation."""

from typing import NamedTuple

from kfp import dsl

from components import images


@dsl.component(base_image=images.MODEL, install_kfp_package=False)
def evaluation(
    dataset: dsl.Input[dsl.Dataset],
    checkpoint: dsl.Input[dsl.Model],
    samples: dsl.Output[dsl.Artifact],
    report: dsl.Output[dsl.Markdown],
    metrics: dsl.Output[dsl.Metrics],
    test_batch_size: int = 16,
    beam_width: int = 0,
) -> NamedTuple("Outputs", [("wer", float), ("cer", float)]):  # type: ignore[valid-type]
    """Transcribe the test split with a checkpoint and compare with what was said.

    Args:
        dataset: Clean manifests, as dataset_validation writes them.
        checkpoint: Checkpoint folder in Coqui's layout; its best epoch counts.
        test_batch_size: Utterances transcribed at once.
        beam_width: Candidates kept while decoding; 0 takes the best label of every frame.

    Returns:
        samples: JSON list with one object an utterance, with the keys of Coqui's test output.
        report: Error rates, and the best, median and worst utterances.
        metrics: Word error rate, character error rate and loss.
        wer: Word error rate over the test split, 0 is perfect.
        cer: Character error rate over the test split, 0 is perfect.
    """
    from pathlib import Path

    from stt_model import steps

    result = steps.evaluate(
        Path(dataset.path),
        Path(checkpoint.path),
        Path(samples.path),
        Path(report.path),
        test_batch_size=test_batch_size,
        beam_width=beam_width,
    )
    for name, value in result.metrics().items():
        metrics.log_metric(name, value)
    return (result.wer, result.cer)
