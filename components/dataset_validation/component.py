"""What Kubeflow sees of dataset validation."""

from kfp import dsl

from components import images


@dsl.component(base_image=images.LIGHT, install_kfp_package=False)
def dataset_validation(
    dataset_uri: str,
    clean_dataset: dsl.Output[dsl.Dataset],
    report: dsl.Output[dsl.Markdown],
    metrics: dsl.Output[dsl.Metrics],
    dataset_digest: str = "",
    strict: bool = False,
) -> None:
    """Check every row and every audio file of a dataset, and keep what can be trained on.

    Args:
        dataset_uri: Folder with train.csv, dev.csv and test.csv in Coqui's form, as a path or
            file:// or s3:// URI.
        dataset_digest: Its digest, of source_digests; kept with the manifests.
        strict: Fail if any row has an error, instead of rejecting that row.

    Returns:
        clean_dataset: Manifests of the accepted rows with absolute audio paths, and rejected.csv
            with a reason for every other.
        report: Counts, hours, histograms and every finding.
        metrics: Utterances, hours, rejected rows and warnings of each split.
    """
    from pathlib import Path

    from stt_model.jobs import steps

    counts = steps.validate_dataset(
        dataset_uri, Path(clean_dataset.path), Path(report.path), strict=strict
    )
    clean_dataset.metadata["source_digest"] = dataset_digest
    for name, value in counts.items():
        metrics.log_metric(name, value)
