"""Check the header of a language model in KenLM's binary format before KenLM reads it.

KenLM maps the file and trusts the header: a damaged one crashes the process. The header is 88
bytes of known content; then the order (one byte and padding), the multiplier of its hash tables
(float32), the type of the model (int32), whether the words follow (one byte and padding) and the
version of the type (uint32); then a uint64 for each order, the number of its n-grams. Everything
is little-endian.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path

from stt_model.base import ScorerError, open_regular

KENLM_MAGIC = b"mmap lm http://kheafield.com/code format version 5\n\0"

_KNOWN = struct.pack("<52s4xfffIIIQ", KENLM_MAGIC, 0.0, 1.0, -0.5, 1, 2**32 - 1, 0, 1)
_HEAD = struct.Struct("<B3xfiB3xI")
_COUNT = struct.Struct("<Q")
_HIGHEST_ORDER = 6
"""KenLM's usual limit at build time."""
_TYPES = {0: "probing", 1: "rest probing", 2: "trie", 3: "quantised trie", 4: "array trie"}
_TYPES |= {5: "quantised array trie"}
_HASHED = (0, 1)
_NGRAMS_A_BYTE = 1
"""No format of KenLM needs less than one byte per n-gram."""


def check_kenlm_header(path: Path) -> None:
    """Refuse a file that begins like KenLM's binary format but has an impossible header.

    Raises:
        ScorerError: the header is truncated or impossible.
    """
    with open_regular(path) as file:
        head = file.read(len(_KNOWN) + _HEAD.size + _HIGHEST_ORDER * _COUNT.size)
        size = file.seek(0, 2)
    if problem := _problem(head, size):
        raise ScorerError(
            f"{path}: expected a language model of KenLM, found {problem}; the file is damaged or"
            " cut short: copy it again"
        )


def _problem(head: bytes, size: int) -> str:
    if len(head) < len(_KNOWN) + _HEAD.size + _HIGHEST_ORDER * _COUNT.size:
        return f"only {size} bytes"
    if not head.startswith(_KNOWN):
        return "a head that is not KenLM's"
    order, multiplier, kind, has_words, _ = _HEAD.unpack_from(head, len(_KNOWN))
    if not 1 <= order <= _HIGHEST_ORDER:
        return f"n-grams of order {order}, where 1 to {_HIGHEST_ORDER} can be"
    if kind not in _TYPES:
        return f"the type {kind}, where 0 to {max(_TYPES)} can be"
    if kind in _HASHED and not (math.isfinite(multiplier) and 1 < multiplier < 100):
        return f"hash tables of {multiplier:g} times what they hold"
    if has_words > 1:
        return f"the sign {has_words} for whether the words follow"
    counts = [
        _COUNT.unpack_from(head, len(_KNOWN) + _HEAD.size + place * _COUNT.size)[0]
        for place in range(order)
    ]
    if not counts[0] or sum(counts) > _NGRAMS_A_BYTE * size:
        return f"{counts[0]} words and {sum(counts)} n-grams in {size} bytes"
    return ""
