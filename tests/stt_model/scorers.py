"""Small scorers to test with."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import pytest

from stt_model.decoding.scorer import write_package
from stt_model.text.alphabet import BytesAlphabet, CharacterAlphabet

needs_flashlight = pytest.mark.skipif(
    importlib.util.find_spec("flashlight") is None, reason="flashlight-text is not installed"
)

GOLDEN = Path(__file__).parents[1] / "golden"
WORDS_MODEL = GOLDEN / "scorers" / "words.binary"
LETTERS_MODEL = GOLDEN / "scorers" / "letters.binary"
WORDS = (Path(__file__).parents[2] / "demo" / "words" / "english.txt").read_text().split()
LETTERS = "абвгдѓежзѕијклљмнњопрстќуфхцчџш"
ENGLISH = CharacterAlphabet(" abcdefghijklmnopqrstuvwxyz'")
ABC = CharacterAlphabet(" abc")

# log10 of the probability, and what is added where a longer sequence is not listed.
UNIGRAMS = {"<unk>": (-9, 0), "<s>": (-99, -0.25), "</s>": (-1, 0)}
UNIGRAMS |= {"a": (-1, -0.5), "b": (-0.5, -0.125), "ab": (-1.5, 0), "ca": (-0.75, -0.25)}
BIGRAMS = {("<s>", "b"): -0.25, ("a", "b"): -2, ("b", "ca"): -0.125, ("ca", "a"): -0.5}


def write_arpa(path: Path, unigrams=UNIGRAMS, bigrams=BIGRAMS) -> Path:
    """Write the bigram model above, or another."""
    lines = ["\\data\\", f"ngram 1={len(unigrams)}", f"ngram 2={len(bigrams)}", "", "\\1-grams:"]
    lines += [f"{score}\t{word}\t{backoff}" for word, (score, backoff) in unigrams.items()]
    lines += ["", "\\2-grams:"]
    lines += [f"{score}\t{' '.join(words)}" for words, score in bigrams.items()]
    path.write_text("\n".join([*lines, "", "\\end\\", ""]), encoding="utf-8")
    return path


def probability(words) -> float:
    """The natural logarithm of the probability of words at the start of a sentence, no end."""
    total = 0.0
    for before, word in zip(["<s>", *words], words, strict=False):
        backed_off = UNIGRAMS[before][1] + UNIGRAMS[word][0]
        total += BIGRAMS.get((before, word), backed_off)
    return total * math.log(10)


def write_words_package(path: Path, alphabet=ENGLISH, words=WORDS, **weights) -> Path:
    write_package(path, WORDS_MODEL, words, alphabet, **weights)
    return path


def write_letters_package(path: Path) -> Path:
    write_package(path, LETTERS_MODEL, LETTERS, BytesAlphabet())
    return path
