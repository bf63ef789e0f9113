"""What Kubeflow sees of the alignment of long recordings."""

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
    """Cut long recordings into clips by their text, which only has to match roughly.

    Never cache this component: the content of source_uri can change.

    Args:
        source_uri: Long recordings and their texts: a folder with a .txt beside each, a table with
            columns for audio and text file, or an archive, as a path, file://, http(s):// or s3://
            URI.
        checkpoint_uri: Model to align with, of this or another language: a checkpoint folder,
            archive or deployed model, as any such URI.
        clips_uri: Empty folder for the clips that later steps can reach, as a path, file:// or
            s3:// URI.
        rounds: How often recordings are aligned: with 2 a model is trained on the confident clips
            of the first round, and all is aligned again with it.
        normalise: Normalise transcripts by the rules of a language, such as en or pt-BR, by generic
            rules or by your own YAML file; empty leaves them unchanged.
        numbers: What normalise does with digits: set the clip aside, spell numbers out if there is
            only one way to read them, or keep them.
        columns: Roles of a table's columns, such as audio=path,transcript=sentence,speaker=who;
            others are guessed from their names.
        encoding: Encoding of text files; empty to detect it.
        shortest_clip: Shortest clip, in seconds.
        longest_clip: Longest clip, in seconds.
        shortest_pause: Shortest pause that a clip may begin or end in, in seconds.
        min_confidence: Least confidence of a clip that is taken, from 0 (its text fits no better
            than any other would) to 1 (the model hears just this text); the others are listed as
            doubtful.
        romanise: Whether words are aligned by what they sound like in Latin letters: auto does so
            where the checkpoint's alphabet cannot write them.
        epochs: Passes over the training split; auto ends when the dev split has stopped improving.

    Returns:
        alignment_report: Clips of each recording, and what of text and audio is in none, and why.
        alignment_metrics: Clips and hours, taken and doubtful.
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
