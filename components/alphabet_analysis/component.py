"""Kubeflow component: the choice between fine-tuning and transfer-learning."""

from typing import NamedTuple

from kfp import dsl

from stt_bootstrap.components import images


@dsl.component(base_image=images.LIGHT, install_kfp_package=False)
def alphabet_analysis(
    dataset: dsl.Input[dsl.Dataset],
    checkpoint: dsl.Input[dsl.Model],
    model_alphabet: dsl.Output[dsl.Artifact],
    decision_report: dsl.Output[dsl.Markdown],
    mode: str = "auto",
    alphabet_uri: str = "",
    alphabet_digest: str = "",
    keep_source_labels: bool = False,
) -> NamedTuple("Outputs", [("mode", str), ("reason", str)]):  # type: ignore[valid-type]
    """Decide between fine-tuning and transfer by what the checkpoint's output layer can write.

    Args:
        dataset: Clean manifests, as dataset_validation writes them.
        checkpoint: Checkpoint folder in Coqui's layout.
        mode: auto, fine-tune or transfer; auto decides by the characters that the checkpoint's
            alphabet lacks.
        alphabet_uri: Alphabet file to train with, as a path or URI; empty for the checkpoint's, or
            one built from the transcripts.
        alphabet_digest: Digest of that file, from source_digests; recorded with the model's
            alphabet.
        keep_source_labels: Keep the labels of the checkpoint in an alphabet that is built from the
            transcripts.

    Returns:
        model_alphabet: Alphabet file of the model to be trained; one comment line in bytes mode.
        decision_report: The decision and its evidence: missing characters, counts, examples,
            look-alikes.
        mode: fine-tune, transfer or refuse. A refusal does not fail here: its evidence survives.
        reason: Why, in one line.
    """
    from pathlib import Path

    from stt_model import jobs

    decided = jobs.analyse_alphabet(
        dataset.path,
        checkpoint.path,
        Path(model_alphabet.path),
        Path(decision_report.path),
        mode=mode,
        alphabet_uri=alphabet_uri,
        keep_source_labels=keep_source_labels,
    )
    model_alphabet.metadata["source_digest"] = alphabet_digest
    return (decided.mode, decided.reason)
