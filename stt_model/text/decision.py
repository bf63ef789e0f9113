"""Choose between fine-tuning, transfer and refusal from the labels of a checkpoint.

A bytes-output checkpoint can write every language, so it is fine-tuned. One with an alphabet is
fine-tuned if its labels cover every character of the transcripts; otherwise its output layer is
replaced (transfer). If only capitals, punctuation, digits or look-alikes have no label, ``auto``
stops: normalised transcripts would allow fine-tuning, and a transfer would lose letters. A
requested mode that cannot work is refused, never changed to another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from stt_model.base import AlphabetError, escape_markdown
from stt_model.text.alphabet import Alphabet, CharacterAlphabet, build_alphabet
from stt_model.text.characters import describe_characters, show_characters
from stt_model.text.comparison import AlphabetComparison, compare_alphabet
from stt_model.text.needless import (
    DECOMPOSED,
    FLAG_HINT,
    describe_kinds,
    kinds_of_missing,
    needless_characters,
)
from stt_model.text.normalisation import script_of

MODES = ("auto", "fine-tune", "transfer")


@dataclass(frozen=True)
class Decision:
    """The chosen mode, the alphabet to train with, and the reason."""

    mode: Literal["fine-tune", "transfer", "refuse"]
    requested: str
    reason: str
    """One line."""
    source: Alphabet
    alphabet: Alphabet | None
    """The alphabet of the model to be trained; None if refused."""
    comparison: AlphabetComparison
    """The comparison of the source alphabet with the transcripts."""
    warnings: tuple[str, ...] = ()
    """What to check before training, one line each."""

    @property
    def new_labels(self) -> tuple[str, ...]:
        """Characters that are labels only in the new alphabet, in order."""
        known = set(_characters(self.source))
        return tuple(label for label in _characters(self.alphabet) if label not in known)

    @property
    def dropped_labels(self) -> tuple[str, ...]:
        """Characters that are labels only in the checkpoint, in order."""
        if self.alphabet is None:
            return ()
        kept = set(_characters(self.alphabet))
        return tuple(label for label in _characters(self.source) if label not in kept)

    def to_dict(self) -> dict[str, object]:
        """Return the decision and its evidence as JSON types."""
        return {
            "mode": self.mode,
            "requested": self.requested,
            "reason": self.reason,
            "source": _summary(self.source),
            "alphabet": _summary(self.alphabet) if self.alphabet else None,
            "new_labels": list(self.new_labels),
            "dropped_labels": list(self.dropped_labels),
            "warnings": list(self.warnings),
            "comparison": self.comparison.to_dict(),
        }

    def to_markdown(self) -> str:
        """Return the decision and its evidence as a Markdown document."""
        rows = [
            ("requested", self.requested),
            ("decided", self.mode),
            ("checkpoint", _describe(self.source)),
            ("model to be trained", _describe(self.alphabet) if self.alphabet else "none"),
        ]
        if self.new_labels:
            rows.append(("new labels", show_characters(self.new_labels)))
        if self.dropped_labels:
            rows.append(("labels dropped", show_characters(self.dropped_labels)))
        lines = [
            f"# Mode: {self.mode}",
            "",
            escape_markdown(f"{self.reason[0].upper()}{self.reason[1:]}."),
            "",
            *(line for each in self.warnings for line in (f"**{escape_markdown(each)}.**", "")),
            "| | |",
            "| --- | --- |",
            *(f"| {name} | {escape_markdown(value)} |" for name, value in rows),
            "",
            "## The checkpoint's alphabet and the transcripts",
            "",
            self.comparison.to_markdown(),
        ]
        return "\n".join(lines)


def decide(
    source_alphabet: Alphabet,
    transcripts: Iterable[str],
    *,
    mode: str = "auto",
    alphabet: Alphabet | None = None,
    keep_source_labels: bool = False,
) -> Decision:
    """Decide how to train a checkpoint with ``source_alphabet`` to write ``transcripts``.

    ``transcripts`` are those of every split, as training will see them. ``mode`` is in ``MODES``.
    ``alphabet``, if given, is the one to train with; a bytes-output checkpoint needs none and keeps
    its own. With ``keep_source_labels``, the alphabet after a transfer starts with all labels of
    the checkpoint, followed by new ones. Raises nothing: a mode that cannot work is refused.
    """
    texts = list(transcripts)
    comparison = compare_alphabet(source_alphabet, texts)
    try:
        if mode not in MODES:
            raise _Refusal(f"mode {mode!r} was asked for; allowed: {', '.join(MODES)}")
        if not any(texts):
            raise _Refusal("there are no transcripts to decide by; allowed: a corpus with text")
        if source_alphabet.is_bytes:
            outcome = _decide_bytes(source_alphabet, comparison, mode, alphabet)
        else:
            kept = source_alphabet.labels if keep_source_labels else ()
            outcome = _decide_characters(source_alphabet, comparison, texts, mode, alphabet, kept)
    except (_Refusal, AlphabetError) as refusal:
        return Decision("refuse", mode, str(refusal), source_alphabet, None, comparison)
    decision = Decision(
        outcome.mode, mode, outcome.reason, source_alphabet, outcome.target, comparison
    )
    if alphabet is None and outcome.mode == "transfer":
        decision = replace(decision, warnings=tuple(_warnings(decision, texts)))
    return decision


@dataclass(frozen=True)
class _Outcome:
    mode: Literal["fine-tune", "transfer"]
    target: Alphabet
    reason: str


class _Refusal(Exception):
    """Why the request cannot be met, in one line."""


def _decide_bytes(
    source: Alphabet, comparison: AlphabetComparison, mode: str, alphabet: Alphabet | None
) -> _Outcome:
    if mode == "transfer":
        raise _Refusal(
            "transfer was asked for, but the checkpoint writes bytes, so every language already; "
            "allowed: auto, fine-tune"
        )
    if not comparison.fits:
        raise _Refusal(f"bytes mode cannot write {comparison.describe_missing()}")
    reason = "the checkpoint writes bytes, so every language"
    if alphabet is not None and alphabet != source:
        reason += "; the given alphabet is not used"
    return _Outcome("fine-tune", source, reason)


def _decide_characters(
    source: Alphabet,
    comparison: AlphabetComparison,
    texts: Sequence[str],
    mode: str,
    alphabet: Alphabet | None,
    kept: tuple[str, ...],
) -> _Outcome:
    obstacle = _obstacle_to_fine_tuning(source, comparison, alphabet)
    if mode == "fine-tune" and obstacle:
        raise _Refusal(f"fine-tune was asked for, but {obstacle}; allowed: auto, transfer")
    if mode != "transfer" and not obstacle:
        reason = f"every character of the {len(texts)} transcripts is a label of the checkpoint"
        if alphabet is not None and alphabet != source:
            reason += "; its labels are reordered as in the given alphabet"
        return _Outcome("fine-tune", alphabet or source, reason)
    if mode == "auto" and alphabet is None:
        _stop_for_what_a_normaliser_mends(comparison)
    target = with_labels(_target_alphabet(texts, alphabet), kept)
    return _Outcome("transfer", target, obstacle or "transfer was asked for")


def _obstacle_to_fine_tuning(
    source: Alphabet, comparison: AlphabetComparison, alphabet: Alphabet | None
) -> str | None:
    if not comparison.fits:
        return f"the checkpoint has no label for {comparison.describe_missing()}"
    if alphabet is None:
        return None
    given, known = set(_characters(alphabet)), set(_characters(source))
    if given == known:
        return None
    new, gone = given - known, known - given
    differences = [f"adds {describe_characters(sorted(new))}"] if new else []
    differences += [f"lacks {describe_characters(sorted(gone))}"] if gone else []
    return f"the given alphabet is not the checkpoint's: it {' and '.join(differences)}"


def _stop_for_what_a_normaliser_mends(comparison: AlphabetComparison) -> None:
    kinds, needed = kinds_of_missing(comparison)
    # Without NFC no alphabet can be built either; that has a message of its own.
    if set(kinds) - {DECOMPOSED} and not needed:
        raise _Refusal(
            f"the checkpoint's alphabet lacks only {describe_kinds(kinds)}; to fine-tune on"
            f" normalised transcripts, give {FLAG_HINT}; or --mode transfer for a model"
            " that writes them too"
        )


def _warnings(decision: Decision, texts: Sequence[str]) -> Iterator[str]:
    """Yield warnings about needless or missing labels in an alphabet built from transcripts.

    The language may have letters that a small corpus lacks.
    """
    source = set(_characters(decision.source))
    characters = Counter(character for text in texts for character in text)
    if kinds := needless_characters(characters, known=source):
        yield (
            f"The model will have to learn {describe_kinds(kinds)}; to write transcripts without"
            f" them, give {FLAG_HINT}"
        )
    scripts = {script_of(character) for character in characters} - {""}
    lost = [
        label for label in decision.dropped_labels if label == "'" or script_of(label) in scripts
    ]
    if lost:
        yield (
            f"No transcript has these characters of the checkpoint: {show_characters(lost)}; the"
            " new alphabet leaves them out; if the language has them, give --keep_source_labels"
        )


def with_labels(alphabet: Alphabet, kept: Sequence[str]) -> Alphabet:
    """Return these labels followed by the alphabet's others; unchanged if it has them all."""
    if alphabet.is_bytes or set(kept) <= set(alphabet.labels):
        return alphabet
    return CharacterAlphabet(dict.fromkeys((*kept, *alphabet.labels)))


def _target_alphabet(texts: Sequence[str], alphabet: Alphabet | None) -> Alphabet:
    """Return the alphabet to train with; refuse if it does not cover the transcripts."""
    target = alphabet or build_alphabet(texts)
    fit = compare_alphabet(target, texts)
    if fit.fits:
        return target
    if alphabet is None:
        raise _Refusal(
            f"the transcripts are not in NFC ({fit.describe_missing()}); allowed: transcripts in "
            "NFC, as validation writes them, or an alphabet that has these labels"
        )
    raise _Refusal(
        f"the given alphabet has no label for {fit.describe_missing()}; allowed: an alphabet that "
        "has them, or none, to build one from the transcripts"
    )


def _characters(alphabet: Alphabet | None) -> tuple[str, ...]:
    # The labels of bytes mode are not characters, even where they look the same.
    return alphabet.labels if alphabet and not alphabet.is_bytes else ()


def _describe(alphabet: Alphabet) -> str:
    if alphabet.is_bytes:
        return f"{alphabet.size} labels, one for each byte of UTF-8 except NUL"
    return f"{alphabet.size} labels: {show_characters(alphabet.labels)}"


def _summary(alphabet: Alphabet) -> dict[str, object]:
    labels = [] if alphabet.is_bytes else list(alphabet.labels)
    return {
        "bytes": alphabet.is_bytes,
        "size": alphabet.size,
        "labels": labels,
        "digest": alphabet.digest,
    }
