"""Settings of an evaluation, which are checked before TensorFlow starts."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stt_model.base import AUTO, DataError, check_parameters, choice, real, switch, whole
from stt_model.decoding import DEFAULT_BEAM_WIDTH
from stt_model.training import PRECISIONS

if TYPE_CHECKING:
    from stt_model.text import Alphabet


@dataclass(frozen=True)
class EvaluationConfig:
    """Settings of an evaluation. Names and meanings are Coqui STT's, where it has them.

    ``beam_width`` is the number of prefixes that the search keeps, 0 for 1024; 1 without a scorer
    takes the best label of each frame (see ``decoding.open_decoder`` for the others).
    ``source_checkpoint_dir`` holds the checkpoint that the model was made from, for comparison.
    ``max_wer`` is the highest word error rate with which the model passes.
    ``note`` is shown at the top of the reports.
    """

    test_files: Sequence[Path]
    load_checkpoint_dir: Path
    load_evaluate: str = "auto"
    alphabet: Alphabet | None = None
    test_batch_size: int = whole(16, "Utterances transcribed at once.", minimum=1)
    mixed_precision: str = choice(
        AUTO,
        (AUTO, *PRECISIONS),
        "Precision of the network: auto, off (32 bits), float16 or bfloat16. Auto takes bfloat16 if"
        " it is clearly faster on this machine and changes no text of the first batch, otherwise"
        " off.",
    )
    beam_width: int = whole(
        0,
        "Candidates kept while decoding; 0 for Coqui's 1024, or what an exported model says; 1"
        " without a scorer takes the best label of every frame, which is fastest.",
        minimum=0,
    )
    lm_alpha: float | None = real(
        None, "Weight of the language model; auto takes the scorer's own.", minimum=0
    )
    lm_beta: float | None = real(None, "Reward for each word; auto takes the scorer's own.")
    cutoff_prob: float = real(
        1.0,
        "Share of probability, per frame, of the likeliest labels that the search considers.",
        above=0,
        maximum=1,
    )
    cutoff_top_n: int = whole(300, "Most labels of a frame, if cutoff_prob is below 1.", minimum=1)
    limit_test: int = whole(
        0, "Utterances of each test file to test on, the shortest ones; 0 for all.", minimum=0
    )
    reverse_test: bool = switch(
        False, "With limit_test: take the longest utterances instead of the shortest."
    )
    max_wer: float = real(
        0.0,
        "Highest word error rate of a model to release, such as 0.2; 0 for no limit.",
        minimum=0,
    )
    must_beat_source: bool = switch(
        False,
        "Release the model only if it makes fewer word errors than the source checkpoint.",
    )
    release_any: bool = switch(
        False,
        "If neither max_wer nor must_beat_source is given: release a model even if it is worse than"
        " the source, or has a WER above 90 %.",
    )
    report_count: int = whole(
        5,
        "Utterances in each part of the report; the HTML page shows four times as many.",
        minimum=0,
    )
    show_progressbar: bool = switch(True, "Show progress on a terminal.")
    scorer_path: Path | None = None
    vocab_file: Path | None = None
    source_checkpoint_dir: Path | None = None
    test_output_file: Path | None = None
    html_report: Path | None = None
    suspects_file: Path | None = None
    note: str = ""
    dataset: str = ""
    """The name of the test data for titles; may be empty."""
    language: str = ""
    """Its BCP 47 tag, for titles; may be empty."""
    train_files: Sequence[Path] = ()
    """The training manifests, to tell which speakers the model knows; optional."""

    def check(self) -> None:
        """Refuse invalid numbers, before anything is read."""
        if not self.test_files:
            raise DataError("--test_files: expected at least one CSV file, got none")
        check_parameters(self, DataError)
        if self.must_beat_source and not self.source_checkpoint_dir:
            raise DataError(
                "--must_beat_source: expected --source_checkpoint_dir beside it, got none;"
                " say which checkpoint the model has to be better than"
            )

    @property
    def is_greedy(self) -> bool:
        """Whether decoding takes each frame's best label without a search."""
        return self.beam_width == 1 and not self.scorer_path

    def describe_decoding(self) -> str:
        """Describe the decoding in words."""
        if self.is_greedy:
            return "greedy: the best label of each frame"
        width = f"beam width {self.beam_width or DEFAULT_BEAM_WIDTH}"
        if not self.scorer_path:
            return f"beam search without a language model, {width}"
        weights = {"alpha": self.lm_alpha, "beta": self.lm_beta}
        given = [f"{name} {value}" for name, value in weights.items() if value is not None]
        return ", ".join([f"beam search with {self.scorer_path.name}", width, *given])

    def command(self) -> str:
        """Return a command line that repeats the evaluation."""
        flags: dict[str, object] = {
            "checkpoint_dir": self.load_checkpoint_dir,
            "load_evaluate": self.load_evaluate,
            "test_batch_size": self.test_batch_size,
            "mixed_precision": self.mixed_precision,
            "beam_width": self.beam_width,
            "scorer_path": self.scorer_path,
            "vocab_file": self.vocab_file,
            "lm_alpha": self.lm_alpha,
            "lm_beta": self.lm_beta,
            "cutoff_prob": self.cutoff_prob,
            "cutoff_top_n": self.cutoff_top_n,
            "limit_test": self.limit_test,
            "reverse_test": self.reverse_test,
            "source_checkpoint_dir": self.source_checkpoint_dir,
            "max_wer": self.max_wer,
            "must_beat_source": self.must_beat_source,
        }
        unset = EvaluationConfig(self.test_files, Path())
        words = ["stt-bootstrap", "evaluate", "--test_files", *map(str, self.test_files)]
        for name, value in flags.items():
            if value != getattr(unset, name, None):
                words += [f"--{name}", str(value)]
        return shlex.join(words)
