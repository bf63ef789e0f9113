"""Kubeflow component: evaluation."""

from typing import NamedTuple

from kfp import dsl

from stt_bootstrap.components import images


@dsl.component(base_image=images.MODEL, install_kfp_package=False)
def evaluation(
    dataset: dsl.Input[dsl.Dataset],
    checkpoint: dsl.Input[dsl.Model],
    transcribed_samples: dsl.Output[dsl.Artifact],
    evaluation_report: dsl.Output[dsl.Markdown],
    evaluation_page: dsl.Output[dsl.HTML],
    confusions: dsl.Output[dsl.ClassificationMetrics],
    evaluation_metrics: dsl.Output[dsl.Metrics],
    suspects: dsl.Output[dsl.Artifact],
    source_checkpoint: dsl.Input[dsl.Model] = None,
    test_batch_size: int = 16,
    mixed_precision: str = "auto",
    beam_width: int = 0,
    scorer_uri: str = "",
    scorer_digest: str = "",
    lm_alpha: str = "auto",
    lm_beta: str = "auto",
    max_wer: float = 0.0,
    must_beat_source: bool = False,
    release_any: bool = False,
    list_suspects: bool = False,
    export_language: str = "",
) -> NamedTuple(  # type: ignore[valid-type]
    "Outputs", [("wer", float), ("cer", float), ("passed", bool), ("gate", str), ("verdict", str)]
):
    """Transcribe the test split with a checkpoint and compare with the transcripts.

    Args:
        dataset: Clean manifests, as dataset_validation writes them.
        checkpoint: Checkpoint folder in Coqui's layout; its best epoch is used.
        source_checkpoint: Checkpoint folder that the model was made from, for comparison; optional.
        test_batch_size: Utterances transcribed at once.
        mixed_precision: Precision of the computation: auto, off (32 bits), float16 or bfloat16;
            weights stay in 32 bits. Auto takes bfloat16 if it is clearly faster on this machine,
            otherwise off.
        beam_width: Candidates kept while decoding; 0 for Coqui's 1024, or what an exported model
            says; 1 without a scorer takes the best label of every frame, which is fastest.
        scorer_uri: Language model for decoding: a Coqui .scorer package, as a path, file://, s3://
            or http(s):// URI; empty for none.
        scorer_digest: Digest of the scorer, from source_digests; recorded with the samples.
        lm_alpha: Weight of the language model; auto takes the scorer's own.
        lm_beta: Reward for each word; auto takes the scorer's own.
        max_wer: Highest word error rate of a model to release, such as 0.2; 0 for no limit.
        must_beat_source: Release the model only if it makes fewer word errors than the source
            checkpoint.
        release_any: If neither max_wer nor must_beat_source is given: release a model even if it is
            worse than the source, or has a WER above 90 %.
        list_suspects: Also transcribe the train and dev splits, and list the clips of all splits
            whose text and audio may not match.
        export_language: Language of the model as a BCP 47 tag, such as sw-Latn-KE.

    Returns:
        transcribed_samples: JSON list with one object per utterance, with the keys of Coqui's test
            output.
        evaluation_report: Error rates with intervals, the kinds of errors, and example utterances.
        evaluation_page: The same in more detail, as one HTML page with audio of the worst
            utterances.
        confusions: Confused characters, for the most frequent errors.
        evaluation_metrics: Word error rate, character error rate, their intervals, loss and speed.
        suspects: CSV list of clips whose text and audio may not match, with reasons, the most
            suspicious first; empty unless list_suspects is set.
        wer: Word error rate on the test split; 0 is perfect.
        cer: Character error rate on the test split; 0 is perfect.
        passed: Whether the model meets max_wer and must_beat_source; if neither is given, whether
            it is no worse than the source and its WER is at most 90 %.
        gate: What max_wer and must_beat_source demand, and why the model does not pass, if so.
        verdict: What the model can be used for, and what to do next.
    """
    from pathlib import Path

    from stt_model import jobs
    from stt_model.corpus import find_splits

    splits = find_splits(dataset.path)
    test_files, note = jobs.test_split(splits)
    # An artifact's file must exist in any case.
    Path(suspects.path).touch()
    result = jobs.evaluate(
        test_files,
        checkpoint.path,
        source_checkpoint_dir=source_checkpoint.path if source_checkpoint else None,
        test_batch_size=test_batch_size,
        mixed_precision=mixed_precision,
        beam_width=beam_width,
        scorer_uri=scorer_uri,
        lm_alpha=lm_alpha,
        lm_beta=lm_beta,
        max_wer=max_wer,
        must_beat_source=must_beat_source,
        release_any=release_any,
        train_files=[splits["train"]] if "train" in splits else [],
        test_output_file=Path(transcribed_samples.path),
        html_report=Path(evaluation_page.path),
        suspects_file=Path(suspects.path) if list_suspects else None,
        suspect_files=[path for path in splits.values() if path not in test_files],
        report=Path(evaluation_report.path),
        note=note,
        dataset=str(dataset.metadata.get("name", "")),
        language=export_language,
    )
    transcribed_samples.metadata["scorer_digest"] = scorer_digest
    for name, value in result.metrics().items():
        evaluation_metrics.log_metric(name, value)
    confusions.log_confusion_matrix(
        result.confusions.names, list(map(list, result.confusions.counts))
    )
    return (result.wer, result.cer, result.gate.passed, str(result.gate), str(result.verdict))
