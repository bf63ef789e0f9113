"""Settings for tuning the weights of a scorer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stt_model.base import DataError, check_parameters, real, switch, whole
from stt_model.decoding.search_defaults import DEFAULT_CUTOFF_TOP_N

if TYPE_CHECKING:
    from stt_model.text import Alphabet


@dataclass(frozen=True)
class TuningConfig:
    """Settings for tuning. Names and meanings are those of Coqui STT's ``lm_optimize``.

    ``lm_alpha_max`` and ``lm_beta_max`` are the highest weights to try, the lowest being 0;
    ``n_trials`` is the number of pairs. See ``decoding.open_decoder`` for the others.
    """

    test_files: Sequence[Path]
    load_checkpoint_dir: Path
    scorer_path: Path
    vocab_file: Path | None = None
    load_evaluate: str = "auto"
    alphabet: Alphabet | None = None
    test_batch_size: int = whole(16, "Utterances that are transcribed at once.", minimum=1)
    beam_width: int = whole(0, "Candidates kept while decoding; 0 for 1024.", minimum=0)
    cutoff_prob: float = real(
        1.0,
        "Labels of a frame that the search looks at: the likeliest, up to this share; 1 for all.",
        above=0,
        maximum=1,
    )
    cutoff_top_n: int = whole(
        DEFAULT_CUTOFF_TOP_N, "Most labels of a frame, if cutoff_prob is below 1.", minimum=1
    )
    lm_alpha_max: float = real(5.0, "Highest weight of the language model to try.", above=0)
    lm_beta_max: float = real(5.0, "Highest reward for each word to try.", above=0)
    n_trials: int = whole(100, "Pairs of weights to try, the scorer's own first.", minimum=1)
    random_seed: int = whole(4568, "Seed of the search.", minimum=0, maximum=2**32 - 1)
    show_progressbar: bool = switch(True, "Show progress on a terminal.")

    def check(self) -> None:
        """Refuse invalid numbers, before anything is read."""
        check_parameters(self, DataError)
