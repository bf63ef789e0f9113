"""Kubeflow component: everything between the sources and training, in one pod."""

from typing import NamedTuple

from kfp import dsl

from stt_bootstrap.components import images


@dsl.component(base_image=images.LIGHT, install_kfp_package=False)
def source_analysis(
    dataset_uri: str,
    checkpoint_uri: str,
    clean_dataset: dsl.Output[dsl.Dataset],
    source_checkpoint: dsl.Output[dsl.Model],
    grafted_checkpoint: dsl.Output[dsl.Model],
    model_alphabet: dsl.Output[dsl.Artifact],
    source_report: dsl.Output[dsl.Markdown],
    dataset_metrics: dsl.Output[dsl.Metrics],
    dataset_digest: str = "",
    checkpoint_digest: str = "",
    alphabet_digest: str = "",
    scorer_digest: str = "",
    strict: bool = False,
    expected_sha256: str = "",
    mode: str = "auto",
    alphabet_uri: str = "",
    scorer_uri: str = "",
    drop_source_layers: int = 1,
    warm_start: bool = True,
    random_seed: int = 4568,
    keep_source_labels: bool = False,
    normalise: str = "",
    numbers: str = "set_aside",
    drop_suspects_uri: str = "",
    check_audio: str = "header",
    checkpoint_alphabet_uri: str = "",
    bytes_output_mode: bool = False,
) -> NamedTuple("Outputs", [("mode", str), ("reason", str)]):  # type: ignore[valid-type]
    """Validate a dataset, fetch a checkpoint, choose the mode, and replace layers for a transfer.

    This does the work of dataset_validation, checkpoint_fetch, alphabet_analysis and layer_surgery
    in one pod, since each pod costs about 20 seconds; those are for other pipelines.

    Args:
        dataset_uri: Folder with train.csv, dev.csv and test.csv in Coqui's form, as a path,
            file:// or s3:// URI.
        checkpoint_uri: Checkpoint folder, tar or zip archive, or deployed model (.tflite, .pb,
            .pbmm), as a path, file://, s3:// or http(s):// URI.
        dataset_digest: Digest of the dataset, from source_digests; recorded with the manifests.
        checkpoint_digest: Digest of the checkpoint, from source_digests; recorded with it.
        alphabet_digest: Digest of the alphabet file, from source_digests; recorded with the
            alphabet.
        scorer_digest: Digest of the scorer, from source_digests; recorded with the alphabet.
        strict: Stop if any row of the dataset has an error, instead of rejecting it.
        expected_sha256: Expected SHA-256 of the checkpoint, in hexadecimal; empty for no check.
        mode: auto, fine-tune or transfer; auto decides by the characters that the checkpoint's
            alphabet lacks.
        alphabet_uri: Alphabet file to train with, as a path or URI; empty for the checkpoint's, or
            one built from the transcripts.
        scorer_uri: Language model that the model will be tested with; empty for none.
        drop_source_layers: Layers to replace when transferring, counted from the output: 1 to 5.
        warm_start: Keep the output weights of characters that both alphabets share, if only the
            output layer is replaced.
        random_seed: Seed of new weights, of dropout and of the order of batches.
        keep_source_labels: Keep the labels of the checkpoint in an alphabet that is built from the
            transcripts.
        normalise: Normalise transcripts by the rules of a language, such as en or pt-BR, by the
            rules named generic, or by your own YAML file; empty leaves them unchanged.
        numbers: What normalise does with digits: set the clip aside, spell numbers out if there is
            only one way to read them, or keep them.
        drop_suspects_uri: File suspects.csv of an earlier run, as a path or URI: rows of the train
            and dev splits that it marks with drop are left out; empty for none.
        check_audio: How clips in an object store are checked: whole, or by their header alone,
            which reads far less but finds no silence, clipping or damage after it.
        checkpoint_alphabet_uri: The checkpoint's alphabet file, if the checkpoint holds none; empty
            for none.
        bytes_output_mode: Whether the checkpoint's labels are the bytes of UTF-8, if the checkpoint
            does not say so.

    Returns:
        clean_dataset: Manifests of the accepted rows with absolute audio paths, and rejected.csv
            with the other rows and the reasons.
        source_checkpoint: Checkpoint folder in Coqui's layout, with its geometry as metadata.
        grafted_checkpoint: The source checkpoint with new last layers, for a transfer; otherwise a
            note.
        model_alphabet: Alphabet that the model will have.
        source_report: The decision with its reasons, the new layers, the checkpoint and the
            dataset.
        dataset_metrics: Utterances, hours, rejected rows and warnings of each split.
        mode: fine-tune, transfer or refuse. A refusal does not fail here: its evidence survives.
        reason: Why, in one line.
    """
    from pathlib import Path

    from stt_model import jobs

    found = jobs.analyse_sources(
        dataset_uri,
        checkpoint_uri,
        clean_dataset=Path(clean_dataset.path),
        checkpoint=Path(source_checkpoint.path),
        model_alphabet=Path(model_alphabet.path),
        grafted_checkpoint=Path(grafted_checkpoint.path),
        report=Path(source_report.path),
        strict=strict,
        sha256=expected_sha256,
        mode=mode,
        alphabet_uri=alphabet_uri,
        scorer_uri=scorer_uri,
        drop_source_layers=drop_source_layers,
        warm_start=warm_start,
        random_seed=random_seed,
        keep_source_labels=keep_source_labels,
        normalise=normalise,
        numbers=numbers,
        drop_suspects=drop_suspects_uri,
        check_audio=check_audio,
        checkpoint_alphabet_uri=checkpoint_alphabet_uri,
        bytes_output_mode=bytes_output_mode,
    )
    source_checkpoint.metadata.update(found.fetched.metadata)
    source_checkpoint.metadata["source_digest"] = checkpoint_digest
    clean_dataset.metadata["source_digest"] = dataset_digest
    clean_dataset.metadata["name"] = Path(dataset_uri.rstrip("/")).name
    model_alphabet.metadata.update(source_digest=alphabet_digest, scorer_digest=scorer_digest)
    for name, value in found.validation.metrics().items():
        dataset_metrics.log_metric(name, value)
    return (found.decision.mode, found.decision.reason)
