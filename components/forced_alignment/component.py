"""Kubeflow component: the alignment of long recordings."""

from typing import NamedTuple

from kfp import dsl

from stt_bootstrap.components import images


@dsl.component(base_image=images.MODEL, install_kfp_package=False)
def forced_alignment(
    source_uri: str,
    checkpoint_uri: str,
    clips_uri: str,
    alignment_report: dsl.Output[dsl.Markdown],
    alignment_metrics: dsl.Output[dsl.Metrics],
    rounds: int = 1,
    normalise: str = "",
    numbers: str = "set_aside",
    columns: str = "",
    encoding: str = "",
    shortest_clip: float = 2.0,
    longest_clip: float = 15.0,
    shortest_pause: float = 0.15,
    min_confidence: float = 0.3,
    romanise: str = "auto",
    epochs: str = "auto",
) -> NamedTuple("Outputs", [("manifest_uri", str)]):  # type: ignore[valid-type]
    """Cut long recordings into clips by their text, which needs to match only roughly.

    Never cache this component: the content of source_uri can change.

    Args:
        source_uri: Long recordings and their texts: a folder with a .txt beside each, a table with
            columns for audio and text file, or an archive, as a path, file://, http(s):// or s3://
            URI.
        checkpoint_uri: Model to align with, of this or another language: a checkpoint folder,
            archive or deployed model, as a path or URI.
        clips_uri: Empty folder for the clips, as a path, file:// or s3:// URI that later steps can
            reach.
        rounds: How many times recordings are aligned; each further round uses a model that is
            trained on the confident clips of the round before.
        normalise: Normalise transcripts by the rules of a language, such as en or pt-BR, by the
            rules named generic, or by your own YAML file; empty leaves them unchanged.
        numbers: What normalise does with digits: set the clip aside, spell numbers out if there is
            only one way to read them, or keep them.
        columns: Roles of a table's columns, such as audio=path,transcript=sentence,speaker=who;
            other columns are recognised by their names.
        encoding: Encoding of text files; empty to detect it.
        shortest_clip: Minimum length of a clip, in seconds.
        longest_clip: Maximum length of a clip, in seconds.
        shortest_pause: Minimum pause for a cut between clips, in seconds.
        min_confidence: Minimum confidence of a clip to keep, from 0 (any other text would fit as
            well) to 1 (the model hears exactly this text); clips below are listed as doubtful.
        romanise: Whether words are aligned by their sound, written in Latin letters; auto does so
            if the checkpoint's alphabet cannot write them.
        epochs: Passes over the training split; auto stops when the dev split no longer improves.

    Returns:
        alignment_report: Clips of each recording, and the text and audio that is in no clip, with
            the reasons.
        alignment_metrics: Number and hours of clips, confident and doubtful.
        manifest_uri: The manifest of the clips, which dataset_import takes as its source.
    """
    from pathlib import Path

    from stt_model import jobs

    aligned = jobs.align(
        source_uri,
        clips_uri,
        checkpoint_uri,
        rounds=rounds,
        normalise=normalise,
        numbers=numbers,
        columns=columns,
        encoding=encoding,
        report=Path(alignment_report.path),
        training={"epochs": epochs},
        shortest_clip=shortest_clip,
        longest_clip=longest_clip,
        shortest_pause=shortest_pause,
        min_confidence=min_confidence,
        romanise=romanise,
    )
    for name, value in aligned.metrics().items():
        alignment_metrics.log_metric(name, value)
    return (f"{clips_uri.rstrip('/')}/clips.csv",)
