"""The job of evaluation: how well a checkpoint transcribes a test set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stt_model.base import BootstrapError, GateError, check_output, configure
from stt_model.checkpoint import open_checkpoint
from stt_model.corpus import iter_manifest
from stt_model.evaluation import EvaluationConfig
from stt_model.jobs import startup
from stt_model.jobs.checkpoints import check_scorer_fits
from stt_model.jobs.reports import given_file, write_report
from stt_model.jobs.starting_point import check_n_hidden
from stt_model.text import Alphabet

if TYPE_CHECKING:
    from stt_model.evaluation import EvaluationResult

NO_TEST_SPLIT = (
    "The dataset has no test split. These figures are of the dev split, on which the best epoch was"
    " chosen: expect worse results on other speech."
)


def evaluate(
    test_files: Sequence[str | Path],
    checkpoint: str | Path,
    *,
    load_evaluate: str = "auto",
    alphabet: Alphabet | None = None,
    n_hidden: int | None = None,
    scorer_uri: str | Path = "",
    source_checkpoint_dir: str | Path | None = None,
    test_output_file: str | Path | None = None,
    html_report: str | Path | None = None,
    suspects_file: str | Path | None = None,
    suspect_files: Sequence[str | Path] = (),
    report: str | Path | None = None,
    note: str = "",
    train_files: Sequence[str | Path] = (),
    **settings: Any,
) -> EvaluationResult:
    """Transcribe a test set with a checkpoint and compare with the transcripts.

    Args:
        test_files: manifests to test on, CSV files in Coqui's form.
        checkpoint: folder in Coqui's layout.
        load_evaluate: best, last, or auto: best, else last.
        alphabet: the checkpoint's, if it is stored elsewhere.
        n_hidden: width that the checkpoint must have.
        scorer_uri: language model to decode with: a path, ``file://``, ``s3://`` or ``http(s)://``.
        source_checkpoint_dir: checkpoint that it was made from; it is tested too, for comparison.
        test_output_file: JSON file for every utterance, with Coqui's keys.
        html_report: HTML page for the report, with audio of the worst utterances.
        suspects_file: CSV file for the clips whose text and audio may not match.
        suspect_files: further manifests to look for such clips in, which takes another pass.
        report: Markdown file for the report.
        note: shown at the top of the reports.
        train_files: manifests that it was trained on, to tell which speakers it knows.
        settings: further fields of ``EvaluationConfig``, such as ``beam_width`` and ``max_wer``.

    Raises:
        BootstrapError: the checkpoint, the scorer or an utterance cannot be read. Not passing the
            gate is a result, not an error.
    """
    tests = [Path(path) for path in test_files]
    check_evaluation(
        tests,
        outputs=(test_output_file, html_report, suspects_file, report),
        source_checkpoint_dir=source_checkpoint_dir,
        settings=settings,
    )
    opened = open_checkpoint(checkpoint, which=load_evaluate, alphabet=alphabet)
    check_n_hidden(n_hidden, opened)
    with given_file(str(scorer_uri)) as scorer:
        check_scorer_fits(scorer, opened.alphabet, settings.get("vocab_file"))
        config = configure(
            EvaluationConfig,
            test_files=tests,
            load_checkpoint_dir=Path(checkpoint),
            load_evaluate=load_evaluate,
            alphabet=alphabet,
            scorer_path=scorer,
            source_checkpoint_dir=Path(source_checkpoint_dir) if source_checkpoint_dir else None,
            test_output_file=test_output_file,
            html_report=html_report,
            suspects_file=suspects_file,
            note=note,
            train_files=[Path(path) for path in train_files],
            **settings,
        )
        config.check()
        startup.start_tensorflow()
        from stt_model.evaluation import evaluate as run_evaluation

        result = run_evaluation(config)
        if suspects_file and suspect_files:
            result = _look_further(config, result, [Path(path) for path in suspect_files])
    write_report(report, result.to_markdown())
    return result


def _look_further(
    config: EvaluationConfig, result: EvaluationResult, manifests: Sequence[Path]
) -> EvaluationResult:
    """Rank clips of more manifests together with the tested ones; error rates stay the same."""
    from stt_model.evaluation import evaluate as run_evaluation
    from stt_model.evaluation import find_suspects, write_html_report, write_suspects

    assert config.suspects_file
    only_look = replace(
        config,
        test_files=manifests,
        source_checkpoint_dir=None,
        must_beat_source=False,
        test_output_file=None,
        html_report=None,
        suspects_file=None,
    )
    others = run_evaluation(only_look).samples
    result = replace(result, suspects=find_suspects([*result.samples, *others]))
    write_suspects(result.suspects, config.suspects_file)
    if config.html_report:
        write_html_report(result, config.html_report)
    return result


def check_evaluation(
    test_files: Sequence[Path],
    *,
    outputs: Sequence[str | Path | None] = (),
    source_checkpoint_dir: str | Path | None = None,
    settings: Mapping[str, Any],
) -> None:
    """Check the header of each manifest and the places of the reports, which is quick."""
    for path in test_files:
        next(iter_manifest(path), None)
    for output in outputs:
        check_output(output)
    if source_checkpoint_dir:
        open_checkpoint(source_checkpoint_dir)
    elif settings.get("must_beat_source"):
        raise GateError(
            "--must_beat_source: expected --source_checkpoint_dir too, found none; name the"
            " checkpoint that the model must be better than"
        )


def test_split(splits: Mapping[str, Path]) -> tuple[list[Path], str]:
    """Return the split to test on, and a note if it is not a test split."""
    if "test" in splits:
        return [splits["test"]], ""
    if "dev" not in splits:
        raise BootstrapError("expected a dataset with a test or a dev split, found neither")
    return [splits["dev"]], NO_TEST_SPLIT
