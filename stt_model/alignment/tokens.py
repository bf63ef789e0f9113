"""A text as tokens: what can be cut between, with the labels that a checkpoint would write."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stt_model.base import AlphabetError
from stt_model.importing import Normalise, as_it_is
from stt_model.text import Alphabet

# Also those of Chinese, Hindi, Urdu, Armenian and Arabic; behind them quotes may be closed.
_SENTENCE_END = re.compile(
    r"(?<=[.!?\u2026\u3002\uff01\uff1f\u0964\u0965\u06d4\u0589\u061f])"
    r"[\"')\]\u201d\u2019\u00bb]*\s+|(?<=[\u3002\uff01\uff1f])|\n+"
)
# Scripts written without spaces: each letter with its marks can be cut from the next.
_SPACELESS = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    r"\U00020000-\U0003ffff]"
)


@dataclass(frozen=True)
class Token:
    """A word, or a letter of a script that is written without spaces."""

    text: str
    """As a transcript has it."""
    labels: tuple[int, ...]
    """What the checkpoint would write; empty where it has no way to."""
    sentence: int
    """Which sentence of the text it is in, from 0."""
    is_spaced: bool
    """Whether a space stands before it, where another token does."""


@dataclass(frozen=True)
class LeftOut:
    """A sentence that cannot be aligned, and why."""

    sentence: int
    text: str
    reason: str


@dataclass(frozen=True)
class Text:
    """All tokens of a text, and what of it is none."""

    tokens: Sequence[Token]
    left_out: Sequence[LeftOut]
    romanised: int
    """Tokens whose labels are those of a romanisation."""

    def between(self, first: int, last: int) -> str:
        """Return the transcript of the tokens from ``first`` to before ``last``."""
        parts = [
            (" " if token.is_spaced and number else "") + token.text
            for number, token in enumerate(self.tokens[first:last])
        ]
        return "".join(parts)


def tokenise(
    text: str,
    alphabet: Alphabet,
    *,
    normalise: Normalise = as_it_is,
    romanise: str = "auto",
) -> Text:
    """Return a text as tokens with the labels of an alphabet.

    A token that the alphabet cannot write gets the labels of its small letters without punctuation,
    or those of its romanisation; a number in digits gets none.

    Raises:
        AlphabetError: a romanisation is needed and the package uroman is not installed.
    """
    writer = _Writer(alphabet, romanise)
    tokens: list[Token] = []
    left_out: list[LeftOut] = []
    for number, sentence in enumerate(split_sentences(text)):
        written = normalise(sentence)
        if written.problem:
            left_out.append(LeftOut(number, sentence, written.problem))
            continue
        for part, is_spaced in _parts(written.text):
            tokens.append(Token(part, writer(part), number, is_spaced))
    return Text(tokens, left_out, sum(writer.is_romanised(each.text) for each in tokens))


def split_sentences(text: str) -> Iterator[str]:
    """Yield the sentences of a text: what marks at an end or line ends divide."""
    for part in _SENTENCE_END.split(unicodedata.normalize("NFC", text)):
        if part and (sentence := " ".join(part.split())):
            yield sentence


@dataclass(frozen=True)
class Labels:
    """The labels of a text, one after the other."""

    sequence: NDArray[np.int32]
    """[labels]. A space stands behind the token before it, where the alphabet has one."""
    starts: NDArray[np.int32]
    """[tokens + 1]: where each token begins; one without labels where the next one does."""
    ends: NDArray[np.int32]
    """[tokens]: behind a token's last label, the space not counted."""


def label_sequence(tokens: Sequence[Token], alphabet: Alphabet) -> Labels:
    """Return the labels of tokens, with spaces between them."""
    space = () if alphabet.missing(" ") else tuple(alphabet.encode(" "))
    labels: list[int] = []
    starts: list[int] = []
    ends: list[int] = []
    has_space = True
    for token in tokens:
        if token.is_spaced and not has_space:
            labels += space
            has_space = True
        starts.append(len(labels))
        labels += token.labels
        ends.append(len(labels))
        has_space = has_space and not token.labels
    # No space stands behind the last labels.
    count = max((end for token, end in zip(tokens, ends, strict=True) if token.labels), default=0)
    kept = [np.minimum(np.array(each, np.int32), count) for each in ([*starts, count], ends)]
    return Labels(np.array(labels[:count], np.int32), *kept)


def _parts(sentence: str) -> Iterator[tuple[str, bool]]:
    for word in sentence.split():
        begun, is_spaced = "", True
        for letter in word:
            is_mark = unicodedata.category(letter).startswith("M")
            if begun and not is_mark and (_SPACELESS.match(letter) or _SPACELESS.match(begun)):
                yield begun, is_spaced
                begun, is_spaced = "", False
            begun += letter
        yield begun, is_spaced


class _Writer:
    """Finds labels for tokens; remembers those it has found."""

    def __init__(self, alphabet: Alphabet, romanise: str) -> None:
        self._alphabet, self._romanise = alphabet, romanise
        self._known: dict[str, tuple[tuple[int, ...], bool]] = {}

    def __call__(self, text: str) -> tuple[int, ...]:
        if text not in self._known:
            self._known[text] = self._write(text)
        return self._known[text][0]

    def is_romanised(self, text: str) -> bool:
        return self._known[text][1]

    def _write(self, text: str) -> tuple[tuple[int, ...], bool]:
        letters = "".join(each for each in text.lower() if unicodedata.category(each)[0] in "LMN")
        if self._romanise != "always":
            for form in (text, text.lower(), letters):
                if form and not self._alphabet.missing(form):
                    return tuple(self._alphabet.encode(form)), False
        if not letters or any(map(str.isdigit, letters)):
            return (), False
        if self._romanise == "never":
            kept = "".join(each for each in letters if not self._alphabet.missing(each))
            return tuple(self._alphabet.encode(kept)), False
        plain = "".join(each for each in _romaniser()(letters).lower() if each.isalpha())
        kept = "".join(each for each in plain if not self._alphabet.missing(each))
        return tuple(self._alphabet.encode(kept)), True


@functools.cache
def _romaniser() -> Callable[[str], str]:
    try:
        import uroman
    except ImportError:
        return _without_marks
    romanise = uroman.Uroman().romanize_string
    return lambda text: str(romanise(text))


def _without_marks(text: str) -> str:
    """Return what can be romanised without a table: Latin letters without their marks."""
    parts = unicodedata.normalize("NFKD", text)
    plain = "".join(each for each in parts if not unicodedata.category(each).startswith("M"))
    if plain and not plain.isascii():
        raise AlphabetError(
            f"the checkpoint's alphabet cannot write {text!r}, and a romanisation needs the package"
            " uroman; install it with pip install 'stt-bootstrap[align]'"
        )
    return plain
