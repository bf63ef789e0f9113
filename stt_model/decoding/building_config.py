"""What to build a scorer from, and how."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stt_model.base import choice, real, switch, text, whole
from stt_model.decoding.search_defaults import DEFAULT_LM_ALPHA, DEFAULT_LM_BETA

if TYPE_CHECKING:
    from stt_model.text import Alphabet


@dataclass(frozen=True)
class BuildConfig:
    """What to build a scorer from, and how. Names and meanings are Coqui STT's.

    Attributes:
        input_txt: sentences in UTF-8, one a line; may be compressed with gzip.
        package: the ``.scorer`` to write.
        alphabet: that of the model. If it has no capitals, the text is converted to lower case;
            words with other characters are left out of the vocabulary.
        kenlm_bins: folder with KenLM's programs; None looks for them on the PATH.
    """

    input_txt: Path
    package: Path
    alphabet: Alphabet
    kenlm_bins: Path | None = None
    top_k: int = whole(500_000, "Size of the vocabulary: the most frequent words.", minimum=1)
    arpa_order: int = whole(5, "Order of the n-grams, 2 to 6.", minimum=2, maximum=6)
    max_arpa_memory: str = text("2G", "Memory for counting, such as 4G or 50%.")
    arpa_prune: str = text(
        "0|0|1",
        "For each order, the count up to which n-grams are pruned.",
        metavar="N|N|N",
        expected="counts such as 0|0|1",
        allowed=lambda value: all(each.isdigit() for each in value.split("|")),
    )
    binary_a_bits: int = whole(
        255, "Bits of pointer compression, for the type trie.", minimum=0, maximum=255
    )
    binary_q_bits: int = whole(
        8, "Bits of a probability, for the type trie.", minimum=2, maximum=25
    )
    binary_type: str = choice("trie", ("trie", "probing"), "trie is small, probing is fast.")
    discount_fallback: bool = switch(
        False, "Continue even if the text is too small or too regular for smoothing."
    )
    default_alpha: float = real(
        DEFAULT_LM_ALPHA, "Default weight of the language model in the package.", minimum=0
    )
    default_beta: float = real(DEFAULT_LM_BETA, "Default reward for a word in the package.")
