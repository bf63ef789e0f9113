"""How well an alphabet fits a corpus, with the evidence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from stt_model.base import escape_markdown
from stt_model.text.alphabet import Alphabet, normalise
from stt_model.text.characters import (
    describe_character,
    is_control,
    is_mark,
    join_some,
    shorten,
    show_characters,
)

_TABLED = 40
"""Maximum number of missing characters that the report lists."""


@dataclass(frozen=True)
class MissingCharacter:
    """A character that an alphabet lacks: how often and where it occurs."""

    char: str
    count: int
    example: str
    """The first transcript that holds it."""
    line: int
    """The number of that transcript, from 1."""


@dataclass(frozen=True)
class AlphabetComparison:
    """How an alphabet fits transcripts; ``missing`` decides, the rest is explanation and advice."""

    size: int
    """Labels of the alphabet."""
    transcripts: int
    missing: Mapping[str, MissingCharacter]
    unused: tuple[str, ...]
    """Labels that no transcript holds."""
    lookalikes: tuple[tuple[str, str], ...]
    """Missing characters, each with the label that it resembles (Unicode TR39)."""
    uppercase: tuple[tuple[str, str], ...]
    """Missing capitals, each with the label that is its lower case."""
    decomposed: tuple[str, ...]
    """Missing characters that disappear in NFC."""
    marks: tuple[str, ...]
    """Missing combining marks that remain in NFC and need a label of their own."""
    digits: tuple[str, ...]
    control: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether every character of the transcripts has a label."""
        return not self.missing

    def to_dict(self) -> dict[str, object]:
        """Return the comparison as JSON types."""
        return {
            "fits": self.fits,
            "labels": self.size,
            "transcripts": self.transcripts,
            "missing": [vars(character) for character in self._by_count()],
            "unused": list(self.unused),
            "lookalikes": [list(pair) for pair in self.lookalikes],
            "uppercase": [list(pair) for pair in self.uppercase],
            "decomposed": list(self.decomposed),
            "marks": list(self.marks),
            "digits": list(self.digits),
            "control": list(self.control),
        }

    def describe_missing(self) -> str:
        """Return the missing characters with their counts and one example, in one line."""
        ranked = self._by_count()
        names = [f"{describe_character(each.char)} ({each.count} times)" for each in ranked]
        first = ranked[0]
        return f"{join_some(names)}, first in transcript {first.line}: {shorten(first.example)!r}"

    def to_markdown(self) -> str:
        """Return the comparison as a Markdown section, with what to do about each finding."""
        lines = [
            f"The alphabet has {self.size} labels; {self.transcripts} transcripts were compared: "
            + (
                "every character has a label."
                if self.fits
                else f"{len(self.missing)} characters have no label."
            ),
            "",
        ]
        if self.missing:
            lines += ["| missing | count | first transcript |", "| --- | ---: | --- |"]
            lines += [
                f"| {escape_markdown(describe_character(each.char))} | {each.count} "
                f"| {each.line}: {escape_markdown(shorten(each.example, 80))} |"
                for each in self._by_count()[:_TABLED]
            ]
            lines.append("")
        if (more := len(self.missing) - _TABLED) > 0:
            rest = (each.char for each in self._by_count()[_TABLED:])
            lines += [f"and {more} more: {escape_markdown(show_characters(rest))}", ""]
        lines += [f"- {advice}" for advice in self._advice()]
        return "\n".join(lines).rstrip() + "\n"

    def _by_count(self) -> list[MissingCharacter]:
        return sorted(self.missing.values(), key=lambda each: (-each.count, each.char))

    def _advice(self) -> list[str]:
        alike = (
            f"{describe_character(char)} for {show_characters(label)}"
            for char, label in self.lookalikes
        )
        sections = {
            "Look-alikes (replace them if the label is meant)": ", ".join(alike),
            "Capitals whose lower case is a label (write the transcripts in lower case)":
                show_characters(capital for capital, _ in self.uppercase),
            "Decomposed letters (write the transcripts in NFC to avoid them)":
                ", ".join(map(describe_character, self.decomposed)),
            "Combining marks without a composed form (each needs a label of its own)":
                ", ".join(map(describe_character, self.marks)),
            "Digits (spell the numbers out as they are spoken)": show_characters(self.digits),
            "Control characters (remove them from the transcripts)": show_characters(self.control),
            "Labels that no transcript uses": show_characters(self.unused),
        }  # fmt: skip
        return [f"{title}: {escape_markdown(found)}" for title, found in sections.items() if found]


def compare_alphabet(alphabet: Alphabet, transcripts: Iterable[str]) -> AlphabetComparison:
    """Compare transcripts, as they are written, with the labels of an alphabet.

    ``transcripts`` is read once. Code points are compared one by one, so a letter and its combining
    mark count as two characters unless NFC composes them.
    """
    missing: dict[str, MissingCharacter] = {}
    missing_in_nfc: set[str] = set()
    used: set[str] = set()
    number = 0
    for number, transcript in enumerate(transcripts, start=1):
        used.update(_labels_used(alphabet, transcript))
        missing_in_nfc |= alphabet.missing(normalise(transcript))
        for char in alphabet.missing(transcript):
            seen = missing.get(char, MissingCharacter(char, 0, transcript, number))
            count = seen.count + transcript.count(char)
            missing[char] = MissingCharacter(char, count, seen.example, seen.line)

    def lacking(test: Callable[[str], bool]) -> tuple[str, ...]:
        return tuple(sorted(filter(test, missing)))

    labels = () if alphabet.is_bytes else alphabet.labels
    return AlphabetComparison(
        size=alphabet.size,
        transcripts=number,
        missing=missing,
        unused=tuple(label for label in labels if label not in used),
        lookalikes=_lookalikes(missing, labels),
        uppercase=tuple((char, char.lower()) for char in lacking(lambda c: c.lower() in labels)),
        decomposed=lacking(lambda char: char not in missing_in_nfc),
        marks=lacking(lambda char: char in missing_in_nfc and is_mark(char)),
        digits=lacking(str.isdigit),
        control=lacking(is_control),
    )


def _labels_used(alphabet: Alphabet, text: str) -> set[str]:
    return set() if alphabet.is_bytes else set(text)


def _lookalikes(missing: Iterable[str], labels: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    # A megabyte of tables, loaded only when needed.
    from confusable_homoglyphs import categories, confusables

    pairs = []
    for char in sorted(missing):
        alike = {entry["c"] for entry in confusables.confusables_data.get(char, ())}
        for label in labels:
            # Latin I, l and the digit 1 are confusable too, but nobody types one for the other.
            scripts = {categories.alias(char), categories.alias(label)}
            if label in alike and not char.isdigit() and (len(scripts) > 1 or "COMMON" in scripts):
                pairs.append((char, label))
    return tuple(pairs)
