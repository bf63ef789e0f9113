"""Kubeflow component: the import of recordings."""

from typing import NamedTuple

from kfp import dsl

from stt_bootstrap.components import images


@dsl.component(base_image=images.LIGHT, install_kfp_package=False)
def dataset_import(
    source_uri: str,
    corpus_uri: str,
    import_report: dsl.Output[dsl.Markdown],
    import_metrics: dsl.Output[dsl.Metrics],
    normalise: str = "",
    numbers: str = "set_aside",
    format: str = "",
    columns: str = "",
    encoding: str = "",
    tier: str = "",
    speaker_pattern: str = "",
    splits: str = "auto",
    dev_share: float = 0.1,
    test_share: float = 0.1,
    dev_hours: float = 0.0,
    test_hours: float = 0.0,
    split_by: str = "auto",
    copy_audio: bool = False,
) -> NamedTuple(  # type: ignore[valid-type]
    "Outputs", [("dataset_uri", str), ("dataset_digest", str)]
):
    """Import recordings and texts into a corpus, or add new ones to an existing corpus.

    Never cache this component: the content of source_uri can change.

    Args:
        source_uri: Folder, table or archive with recordings and texts, as a path, file://,
            http(s):// or s3:// URI.
        corpus_uri: Folder for the corpus, as a path, file:// or s3:// URI that later steps can
            reach; an existing corpus gets new clips.
        normalise: Normalise transcripts by the rules of a language, such as en or pt-BR, by the
            rules named generic, or by your own YAML file; empty leaves them unchanged.
        numbers: What normalise does with digits: set the clip aside, spell numbers out if there is
            only one way to read them, or keep them.
        format: Format of the source; empty to detect it.
        columns: Roles of a table's columns, such as audio=path,transcript=sentence,speaker=who;
            other columns are recognised by their names.
        encoding: Encoding of text files; empty to detect it.
        tier: Tier of ELAN and Praat files that holds the transcripts; empty to choose
            automatically.
        speaker_pattern: Regular expression whose only group matches the speaker in a clip's path,
            such as ^([^/]+)/ for one folder per speaker; empty for none.
        splits: Whether to use the splits that the source was released with, or to draw new ones:
            auto uses the released ones, except Common Voice's, which hold few of its clips.
        dev_share: Share of all audio that becomes the dev split.
        test_share: Share of all audio that becomes the test split.
        dev_hours: Hours of the dev split; above 0 they replace dev_share.
        test_hours: Hours of the test split; above 0 they replace test_share.
        split_by: What no two splits may share: speaker+text, speaker or text; auto means both, or
            text alone if there are too few speakers.
        copy_audio: Copy every clip into the corpus, instead of naming its place in the source.

    Returns:
        import_report: Clips, hours and speakers of each split, rejected clips with reasons, and
            transcripts that rules changed.
        import_metrics: Clips, hours and speakers of each split, and rejected clips.
        dataset_uri: The corpus.
        dataset_digest: Digest of its manifests and clips, for steps that may be cached.
    """
    from pathlib import Path

    from stt_model import jobs

    imported = jobs.import_dataset(
        source_uri,
        corpus_uri,
        report=Path(import_report.path),
        normalise=normalise,
        numbers=numbers,
        format=format,
        columns=columns,
        encoding=encoding,
        tier=tier,
        speaker_pattern=speaker_pattern,
        splits=splits,
        dev_share=dev_share,
        test_share=test_share,
        dev_hours=dev_hours,
        test_hours=test_hours,
        split_by=split_by,
        copy_audio=copy_audio,
    )
    for name, value in imported.metrics().items():
        import_metrics.log_metric(name, value)
    return imported.placed(corpus_uri)
