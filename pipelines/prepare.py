"""The pipeline before training: from recordings to a corpus to train on."""

from collections.abc import Mapping
from typing import Any

from kfp import dsl

from stt_bootstrap.components.dataset_import.component import dataset_import
from stt_bootstrap.components.dataset_packing.component import dataset_packing
from stt_bootstrap.components.dataset_validation.component import dataset_validation
from stt_bootstrap.components.forced_alignment.component import forced_alignment
from stt_bootstrap.pipelines import cluster
from stt_bootstrap.pipelines.tasks import add_task


def _add_import(values: Mapping[str, Any]) -> None:
    """Add the import of a source and all steps after it."""
    imported = add_task(dataset_import, values).set_display_name("Import and split")
    # The content behind a URI can change.
    imported.set_caching_options(False)
    validated = dataset_validation(
        dataset_uri=imported.outputs["dataset_uri"],
        dataset_digest=imported.outputs["dataset_digest"],
        strict=values["strict_validation"],
        check_audio=values["check_audio"],
    ).set_display_name("Validate the corpus")
    budget = cluster.Budget(values["data_cpu"], values["data_memory"], hours=24, retries=2)
    for task in (imported, validated):
        cluster.place(task, budget)
    with dsl.If(values["packed_uri"] != "", name="pack"):
        packed = dataset_packing(
            dataset=validated.outputs["clean_dataset"],
            packed_uri=values["packed_uri"],
            shard_size=values["shard_size"],
        ).set_display_name("Pack into shards")
        packed.set_caching_options(False)
        cluster.place(packed, budget)


@dsl.pipeline(name="stt-bootstrap-prepare")
def prepare(
    source_uri: str,
    corpus_uri: str,
    packed_uri: str = "",
    align_checkpoint_uri: str = "",
    clips_uri: str = "",
    rounds: int = 1,
    shortest_clip: float = 2.0,
    longest_clip: float = 15.0,
    shortest_pause: float = 0.15,
    min_confidence: float = 0.3,
    romanise: str = "auto",
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
    shard_size: int = 256,
    strict_validation: bool = False,
    check_audio: str = "header",
    data_cpu: str = "2",
    data_memory: str = "4Gi",
    alignment_cpu: str = "8",
    alignment_memory: str = "16Gi",
) -> None:
    """Import recordings and texts, split them by speaker and text, check every clip, pack them.

    With align_checkpoint_uri, the source holds long recordings, which are cut into clips first.

    Give corpus_uri, or packed_uri if there is one, to the pipeline stt-bootstrap as dataset_uri.

    Args:
        source_uri: Folder, table or archive with recordings and texts, as a path, file://,
            http(s):// or s3:// URI.
        corpus_uri: Folder for the corpus, as a path, file:// or s3:// URI; an existing corpus gets
            new clips.
        packed_uri: Empty folder for the corpus in tar shards, which are read faster, as a path,
            file:// or s3:// URI; empty for none.
        align_checkpoint_uri: Model to align long recordings with, of this or another language: a
            checkpoint folder, archive or deployed model, as a path or URI; empty if each recording
            is a clip, or the source gives the times of its utterances.
        clips_uri: Empty folder for the clips of long recordings, as a path, file:// or s3:// URI.
        rounds: How many times recordings are aligned; each further round uses a model that is
            trained on the confident clips of the round before.
        shortest_clip: Minimum length of a clip, in seconds.
        longest_clip: Maximum length of a clip, in seconds.
        shortest_pause: Minimum pause for a cut between clips, in seconds.
        min_confidence: Minimum confidence of a clip to keep, from 0 (any other text would fit as
            well) to 1 (the model hears exactly this text); clips below are listed as doubtful.
        romanise: Whether words are aligned by their sound, written in Latin letters; auto does so
            if the checkpoint's alphabet cannot write them.
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
        shard_size: Size of a shard, in MiB; a clip is never divided.
        strict_validation: Stop if any row of the corpus has an error, instead of rejecting it.
        check_audio: How clips in an object store are checked: whole, or by their header alone,
            which reads far less but finds no silence, clipping or damage after it.
        data_cpu: Processors that each step may use on a cluster, such as 2 or 500m.
        data_memory: Memory that each step may use on a cluster, such as 4Gi.
        alignment_cpu: Processors that the alignment may use on a cluster.
        alignment_memory: Memory that the alignment may use on a cluster.
    """
    values = dict(locals())
    with dsl.If(align_checkpoint_uri == "", name="import"):
        _add_import(values)
    with dsl.If(align_checkpoint_uri != "", name="align"):
        aligned = add_task(forced_alignment, values, checkpoint_uri=align_checkpoint_uri)
        aligned.set_display_name("Align and cut")
        # The content behind a URI can change.
        aligned.set_caching_options(False)
        # Clips appear only when all are cut, so a lost pod leaves none that would stop the next.
        budget = cluster.Budget(alignment_cpu, alignment_memory, hours=96, retries=2)
        cluster.place(aligned, budget)
        # The texts are normalised already, and the table is one that alignment wrote.
        plain = {"normalise": "", "columns": "", "encoding": "", "tier": "", "format": "table"}
        _add_import({**values, **plain, "source_uri": aligned.outputs["manifest_uri"]})
