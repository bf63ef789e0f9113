"""Kubeflow component: model export."""

from kfp import dsl

from stt_bootstrap.components import images


@dsl.component(base_image=images.MODEL, install_kfp_package=False)
def model_export(
    dataset: dsl.Input[dsl.Dataset],
    checkpoint: dsl.Input[dsl.Model],
    exported_model: dsl.Output[dsl.Model],
    package: dsl.Output[dsl.Artifact],
    export_report: dsl.Output[dsl.Markdown],
    export_metrics: dsl.Output[dsl.Metrics],
    released: bool = True,
    gate: str = "",
    scorer_uri: str = "",
    scorer_digest: str = "",
    export_uri: str = "",
    export_quantize: bool = True,
    export_savedmodel: bool = False,
    export_beam_width: int = 500,
    max_wer_change: float = 0.02,
    export_author_id: str = "",
    export_model_name: str = "",
    export_model_version: str = "",
    export_language: str = "",
    export_license: str = "",
    export_contact_info: str = "",
    export_description: str = "",
) -> None:
    """Export a checkpoint for deployed runtimes, and compare the export with the checkpoint.

    Args:
        dataset: Clean manifests, as dataset_validation writes them; export and checkpoint are
            compared on the test split.
        checkpoint: Checkpoint folder in Coqui's layout; its best epoch is used.
        released: Whether the model card says that the model may be used.
        gate: Why the model is or is not released, for the model card.
        scorer_uri: Language model to put beside the model, as a path, file://, s3:// or http(s)://
            URI; empty for none.
        scorer_digest: Digest of the scorer, from source_digests; recorded with the export.
        export_uri: Folder to copy the export to if the model is released, as a path, file:// or
            s3:// URI; empty for none.
        export_quantize: Store the exported weights in 8-bit integers, a quarter of the size.
        export_savedmodel: Export a TensorFlow SavedModel too.
        export_beam_width: Beam width that the deployed runtime starts with.
        max_wer_change: How much quantising may raise the word error rate on the test split; more is
            an error.
        export_author_id: Author of the model, in one word.
        export_model_name: Name of the model.
        export_model_version: Version of the model, in the form of https://semver.org.
        export_language: Language of the model as a BCP 47 tag, such as sw-Latn-KE.
        export_license: SPDX identifier of the model's license.
        export_contact_info: How to reach the model's authors.
        export_description: Further notes for the model's users, in Markdown.

    Returns:
        exported_model: Folder with the .tflite file for Coqui STT's runtime 1.4, alphabet, scorer,
            model card and export.json; its metadata say whether the model is released.
        package: The same in one zip.
        export_report: The exported files, and how they compare with the checkpoint.
        export_metrics: Sizes of the files, and changes of the word error rate.
    """
    from pathlib import Path

    from stt_model import jobs
    from stt_model.corpus import find_splits

    test_files, _ = jobs.test_split(find_splits(dataset.path))
    result = jobs.export_model(
        checkpoint.path,
        exported_model.path,
        test_files=test_files,
        zip_path=Path(package.path),
        report=Path(export_report.path),
        released=released,
        gate=gate,
        scorer_uri=scorer_uri,
        export_uri=export_uri,
        export_quantize=export_quantize,
        export_savedmodel=export_savedmodel,
        export_beam_width=export_beam_width,
        max_wer_change=max_wer_change,
        identity={
            "author_id": export_author_id,
            "model_name": export_model_name,
            "model_version": export_model_version,
            "language": export_language,
            "license": export_license,
            "contact_info": export_contact_info,
            "description": export_description,
        },
    )
    exported_model.metadata["released"] = released
    exported_model.metadata["scorer_digest"] = scorer_digest
    for name, value in result.metrics().items():
        export_metrics.log_metric(name, value)
