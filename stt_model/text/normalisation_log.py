"""A log of the normaliser: which rules changed how many texts, with examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from stt_model.base import escape_markdown
from stt_model.text.characters import describe_character, shorten
from stt_model.text.normalisation import NormalisedText, Normaliser

_EXAMPLES = 3
_CONTEXT = 20
"""Characters shown on each side of a change."""
_LETTERS_SHOWN = 40


@dataclass
class RuleCount:
    """How many texts a rule changed, with the first: place, before, after."""

    texts: int = 0
    examples: list[tuple[str, str, str]] = field(default_factory=list)


class NormalisationLog:
    """Counts of a normaliser's changes; its size does not grow with the corpus."""

    def __init__(self, normaliser: Normaliser) -> None:
        self.normaliser = normaliser
        self.texts = self.changed = self.set_aside = 0
        self.rules: dict[str, RuleCount] = {}
        self.reasons: dict[str, RuleCount] = {}
        """By the words of the reason before its colon or quotation."""
        self.beyond: Counter[str] = Counter()
        """How many texts hold each letter that is not in the language's list."""
        self._beyond_examples: dict[str, str] = {}

    def add(self, place: str, text: str, outcome: NormalisedText) -> None:
        """Count the outcome for a text; ``place`` says where it is."""
        self.texts += 1
        if outcome.problem:
            self.set_aside += 1
            kind = outcome.problem.partition(":")[0].partition(" of '")[0].partition(" how ")[0]
            _count(self.reasons, kind, place, text, outcome.problem)
            return
        self.changed += outcome.text != text
        # A rule that acted in two passes changed one text.
        for rule, action in {each.rule: each for each in reversed(outcome.actions)}.items():
            _count(self.rules, rule, place, *_around(action.before, action.after))
        for letter in self.normaliser.beyond(outcome.text):
            self.beyond[letter] += 1
            self._beyond_examples.setdefault(letter, f"{place}: {shorten(outcome.text)}")

    def summary(self) -> str:
        """Return the outcome in one line."""
        return (
            f"normalised by the rules for {self.normaliser.rules.name}: {self.changed} of"
            f" {self.texts} transcripts changed, {self.set_aside} set aside"
        )

    def to_dict(self) -> dict[str, object]:
        """Return the counts as JSON types."""
        return {
            "language": self.normaliser.rules.language,
            "texts": self.texts,
            "changed": self.changed,
            "set_aside": self.set_aside,
            "rules": {name: count.texts for name, count in self._ranked(self.rules)},
            "reasons": {name: count.texts for name, count in self._ranked(self.reasons)},
            "beyond": dict(self.beyond.most_common()),
        }

    def to_markdown(self) -> str:
        """Return the section of a report: every rule that changed a text, with examples."""
        summary = self.summary()
        lines = ["## Transcripts", "", escape_markdown(f"{summary[0].upper()}{summary[1:]}."), ""]
        lines += self._table("rule", ("before", "after"), self.rules)
        lines += self._table("set aside, for", ("transcript", "reason"), self.reasons)
        if self.beyond:
            lines += [
                "Letters that are not in the language's list; they are kept:",
                "",
                "| letter | transcripts | the first |",
                "| --- | ---: | --- |",
                *(
                    f"| {escape_markdown(describe_character(letter))} | {count} |"
                    f" {escape_markdown(self._beyond_examples[letter])} |"
                    for letter, count in self.beyond.most_common(_LETTERS_SHOWN)
                ),
                "",
            ]
        return "\n".join(lines).rstrip() + "\n"

    def _table(
        self, title: str, columns: tuple[str, str], counts: dict[str, RuleCount]
    ) -> Iterator[str]:
        if not counts:
            return
        yield f"| {title} | transcripts | place | {columns[0]} | {columns[1]} |"
        yield "| --- | ---: | --- | --- | --- |"
        for name, count in self._ranked(counts):
            shown, number = escape_markdown(name), str(count.texts)
            for example in count.examples:
                cells = " | ".join(escape_markdown(_visible(part)) for part in example)
                yield f"| {shown} | {number} | {cells} |"
                shown = number = ""
        yield ""

    @staticmethod
    def _ranked(counts: dict[str, RuleCount]) -> list[tuple[str, RuleCount]]:
        return sorted(counts.items(), key=lambda pair: (-pair[1].texts, pair[0]))


def _count(counts: dict[str, RuleCount], name: str, place: str, before: str, after: str) -> None:
    count = counts.setdefault(name, RuleCount())
    count.texts += 1
    if len(count.examples) < _EXAMPLES:
        count.examples.append((place, before, after))


def _around(before: str, after: str) -> tuple[str, str]:
    """Return both texts cut to where they differ, with a little context."""
    shortest = min(len(before), len(after))
    start = next((i for i in range(shortest) if before[i] != after[i]), shortest)
    end = 0
    while end < shortest - start and before[-1 - end] == after[-1 - end]:
        end += 1
    start, end = max(start - _CONTEXT, 0), max(end - _CONTEXT, 0)

    def cut(text: str) -> str:
        middle = shorten(text[start : len(text) - end], 80)
        return f"{'…' if start else ''}{middle}{'…' if end else ''}"

    return cut(before), cut(after)


def _visible(text: str) -> str:
    """Return a text with invisible characters shown as their numbers."""
    return "".join(each if each.isprintable() else f"⟨U+{ord(each):04X}⟩" for each in text).strip()
