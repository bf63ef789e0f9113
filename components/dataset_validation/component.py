"""Kubeflow component: dataset validation."""

from kfp import dsl

from stt_bootstrap.components import images


@dsl.component(base_image=images.LIGHT, install_kfp_package=False)
def dataset_validation(
    dataset_uri: str,
    clean_dataset: dsl.Output[dsl.Dataset],
    validation_report: dsl.Output[dsl.Markdown],
    dataset_metrics: dsl.Output[dsl.Metrics],
    dataset_digest: str = "",
    strict: bool = False,
    normalise: str = "",
    numbers: str = "set_aside",
    drop_suspects_uri: str = "",
    check_audio: str = "header",
) -> None:
    """Check every row and every audio file of a dataset, and keep what can be trained on.

    Args:
        dataset_uri: Folder with train.csv, dev.csv and test.csv in Coqui's form, as a path, file://
            or s3:// URI.
        dataset_digest: Digest of that dataset, from source_digests; recorded with the manifests.
        strict: Stop if any row of the dataset has an error, instead of rejecting it.
        normalise: Normalise transcripts by the rules of a language, such as en or pt-BR, by the
            rules named generic, or by your own YAML file; empty leaves them unchanged.
        numbers: What normalise does with digits: set the clip aside, spell numbers out if there is
            only one way to read them, or keep them.
        drop_suspects_uri: File suspects.csv of an earlier run, as a path or URI: rows of the train
            and dev splits that it marks with drop are left out; empty for none.
        check_audio: How clips in an object store are checked: whole, or by their header alone,
            which reads far less but finds no silence, clipping or damage after it.

    Returns:
        clean_dataset: Manifests of the accepted rows with absolute audio paths, and rejected.csv
            with the other rows and the reasons.
        validation_report: Counts, hours, histograms and every finding.
        dataset_metrics: Utterances, hours, rejected rows and warnings of each split.
    """
    from pathlib import Path

    from stt_model import jobs

    result = jobs.validate(
        dataset_uri,
        clean_dataset.path,
        strict=strict,
        normalise=normalise,
        numbers=numbers,
        drop_suspects=drop_suspects_uri,
        check_audio=check_audio,
        report=Path(validation_report.path),
    )
    clean_dataset.metadata["source_digest"] = dataset_digest
    clean_dataset.metadata["name"] = Path(dataset_uri.rstrip("/")).name
    for name, value in result.metrics().items():
        dataset_metrics.log_metric(name, value)
