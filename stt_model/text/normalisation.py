"""Normalise transcripts for training: what was said, with one spelling for each sound.

The steps of the language's rules are repeated until nothing changes. Each step that changed the
text is reported with the text before and after. If the text does not tell what was said (a number,
a symbol, ``[inaudible]``), or nothing would be left, it is set aside unchanged, with the reason.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass

from stt_model.base import RulesError
from stt_model.text.characters import describe_characters, shorten
from stt_model.text.language_rules import GENERIC, LanguageRules, Pattern, read_rules
from stt_model.text.numbers import NumberReader

NUMBERS = ("set_aside", "spell", "keep")

_ROUNDS = 5
"""Maximum number of passes; rules that still change something then never end."""
_MARKED_INVISIBLE = frozenset(
    map(chr, (0x034F, *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0), 0x115F, 0x1160, 0x3164))
)
"""Variation selectors and fillers, which Unicode classes as marks and letters."""
_STARRED = re.compile(r"\*([^*]+)\*")


@dataclass(frozen=True)
class Action:
    """One step that changed a text."""

    rule: str
    before: str
    after: str


@dataclass(frozen=True)
class NormalisedText:
    """The outcome for one text."""

    text: str
    """Unchanged if there is a ``problem``; otherwise never empty."""
    actions: tuple[Action, ...] = ()
    problem: str = ""
    """Why the clip is to be set aside, in one line; empty if it is not."""


class _SetAside(Exception):
    """Why a text cannot be used, in one line."""


_Step = tuple[str, Callable[[str], str]]


class Normaliser:
    """Normalises texts by the rules of a language. It has no side effects: threads may share it."""

    def __init__(self, rules: LanguageRules, numbers: str = "set_aside") -> None:
        if numbers not in NUMBERS:
            raise RulesError(f"numbers: expected {', '.join(NUMBERS)}, found {numbers!r}")
        self.rules = rules
        self.numbers = numbers
        self._steps = tuple(_steps(rules, numbers))

    def __call__(self, text: str) -> NormalisedText:
        """Return the normalised text, and every step that changed it."""
        actions: list[Action] = []
        current = text
        try:
            for _ in range(_ROUNDS):
                begun = current
                for rule, step in self._steps:
                    before, current = current, step(current)
                    if current != before:
                        actions.append(Action(rule, before, current))
                if current == begun:
                    return NormalisedText(self._check(text, current), tuple(actions))
            raise _SetAside(f"the rules never end, after {_ROUNDS} passes: {shorten(current)!r}")
        except _SetAside as reason:
            return NormalisedText(text, problem=str(reason))

    def beyond(self, text: str) -> set[str]:
        """Return the letters and marks of a text that are not in the language's list."""
        if not self.rules.letters:
            return set()
        return {
            each
            for each in set(text) - self.rules.letters - self.rules.keep - {self.rules.apostrophe}
            if _is_part_of_word(each)
        }

    def _check(self, original: str, text: str) -> str:
        if not text:
            raise _SetAside(f"nothing is left of {shorten(original)!r}")
        return text


def open_normaliser(language: str = GENERIC, *, numbers: str = "set_aside") -> Normaliser:
    """Return the normaliser of a language tag, of ``generic`` rules, or of a YAML rules file.

    ``numbers`` says what to do with digits: set the text aside, spell them out with ``num2words``
    where there is one way to read them, or keep them.
    RulesError for rules that are missing, invalid, or contradict their own examples.
    """
    rules = read_rules(language or GENERIC)
    check_examples(rules)
    return Normaliser(rules, numbers)


def check_examples(rules: LanguageRules) -> None:
    """Raise RulesError, naming the example, if rules contradict one of their examples."""
    normalise_text = Normaliser(rules)
    for example in rules.examples:
        found = normalise_text(example.text)
        if found.problem and (not example.set_aside or example.set_aside not in found.problem):
            told = f"set aside: {found.problem}"
        elif not found.problem and (example.set_aside or found.text != example.becomes):
            told = repr(found.text)
        else:
            continue
        expected = f"a reason with {example.set_aside!r}" if example.set_aside else None
        raise RulesError(
            f"rules for {rules.name}: the example {example.text!r} expects"
            f" {expected or repr(example.becomes)}, found {told}"
        )


def _steps(rules: LanguageRules, numbers: str) -> Iterator[_Step]:
    """Yield the steps in order: earlier ones keep what later ones need."""
    keep = rules.keep | set(rules.apostrophe) | ({"-"} if rules.hyphen == "keep" else set())
    yield "white space", _translator(lambda each: " " if _is_space(each) else each)
    invisible = rules.keep_invisible
    yield "invisible characters", _translator(lambda each: _visible(each, invisible))
    yield "compatibility forms", _translator(lambda each: _plain_form(each, rules.compatibility))
    yield "composed letters (NFC)", _nfc
    yield "annotations and brackets", functools.partial(_take_out_annotations, rules)
    for symbol, reading in rules.symbols.items():
        yield f"{symbol} read as {reading}", _replacer(symbol, f" {reading} ")
    yield "spoken symbols", functools.partial(_refuse_symbols, rules.spoken_symbols - keep)
    if numbers == "spell":
        yield "numbers spelled out", NumberReader(rules.numbers, rules.years)
    if numbers != "keep":
        # Before punctuation is removed, which would turn 3.5 into 3 and 5.
        yield "numbers", _refuse_numbers
    yield "apostrophes", _joiner(rules.apostrophes, rules.apostrophe, rules.apostrophe_at)
    becomes = {"space": " ", "remove": "", "keep": "-"}[rules.hyphen]
    yield "hyphens and dashes", _joiner(rules.hyphens - rules.keep, becomes, {"inside"})
    yield "punctuation", _translator(lambda each: _spoken(each, keep))
    yield "look-alikes", _look_alikes(rules)
    yield from _pattern_steps(rules.before_case)
    if rules.case == "lower":
        special = str.maketrans(dict(rules.lower))
        yield "capitals", lambda text: text.translate(special).lower()
    if rules.remove:
        yield "characters to remove", _translator(lambda each: "" if each in rules.remove else each)
    for old in sorted(rules.replace, key=len, reverse=True):
        yield f"{old} replaced by {rules.replace[old]!r}", _replacer(old, rules.replace[old])
    yield from _pattern_steps(rules.patterns)
    if rules.accents == "plain":
        yield "foreign accents", _translator(lambda each: _without_accent(each, rules.letters))
    yield "composed letters (NFC)", _nfc
    yield "white space", lambda text: " ".join(text.split())


def _pattern_steps(patterns: tuple[Pattern, ...]) -> Iterator[_Step]:
    for pattern in patterns:
        name = f"{pattern.find.pattern} replaced by {pattern.replace!r}"
        yield name, functools.partial(pattern.find.sub, pattern.replace)


class _Table(dict[int, str]):
    """A table for ``str.translate`` that computes each code point once."""

    def __init__(self, change: Callable[[str], str]) -> None:
        super().__init__()
        self._change = change

    def __missing__(self, code: int) -> str:
        self[code] = self._change(chr(code))
        return self[code]


def _translator(change: Callable[[str], str]) -> Callable[[str], str]:
    table = _Table(change)
    return lambda text: text.translate(table)


def _replacer(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new)


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _is_space(character: str) -> bool:
    return character.isspace() or unicodedata.category(character) in ("Cc", "Zs", "Zl", "Zp")


def _visible(character: str, keep: Container[str]) -> str:
    if character in keep:
        return character
    hidden = unicodedata.category(character) == "Cf" or character in _MARKED_INVISIBLE
    return "" if hidden else character


def _plain_form(character: str, forms: Container[str]) -> str:
    return unicodedata.normalize("NFKC", character) if character in forms else character


def _spoken(character: str, keep: Container[str]) -> str:
    is_mark = unicodedata.category(character)[0] in "PS"
    return " " if is_mark and character not in keep else character


def _is_number(character: str) -> bool:
    return unicodedata.category(character).startswith("N")


def _is_part_of_word(character: str) -> bool:
    return unicodedata.category(character)[0] in "LM"


def _without_accent(character: str, letters: Container[str]) -> str:
    if character in letters or not _is_part_of_word(character):
        return character
    base = unicodedata.normalize("NFD", character)[0]
    if unicodedata.combining(base):
        return ""
    return base if base in letters else character


def _joiner(marks: frozenset[str], becomes: str, places: Container[str]) -> Callable[[str], str]:
    """Return a step for marks: ``becomes`` in these places of a word, elsewhere a space."""
    if not marks:
        return lambda text: text
    found = re.compile(f"[{re.escape(''.join(sorted(marks)))}]")

    def replace(match: re.Match[str]) -> str:
        text, start, end = match.string, match.start(), match.end()
        before = start > 0 and (_is_part_of_word(text[start - 1]) or _is_number(text[start - 1]))
        after = end < len(text) and (_is_part_of_word(text[end]) or _is_number(text[end]))
        place = ("inside" if after else "end") if before else ("start" if after else "")
        return becomes if place in places else " "

    return lambda text: found.sub(replace, text)


def _take_out_annotations(rules: LanguageRules, text: str) -> str:
    """Remove what was not said; _SetAside if something was said that is not written."""
    for pair, action in rules.brackets.items():
        if pair[0] in text:
            opening, closing = map(re.escape, pair)
            between = re.compile(f"{opening}([^{opening}{closing}]*){closing}")
            found = 1
            while found:
                text, found = between.subn(lambda match: _inner(rules, match, action), text)  # noqa: B023
    return _STARRED.sub(lambda match: _inner(rules, match, "keep"), text) if "*" in text else text


def _inner(rules: LanguageRules, match: re.Match[str], action: str) -> str:
    words = " ".join(match[1].casefold().split()).strip(".!,:;- ")
    if words in rules.unintelligible:
        raise _SetAside(f"part of what was said is not written down: {match[0]!r}")
    return " " if action == "remove" or words in rules.annotations else f" {match[1]} "


def _refuse_symbols(spoken: frozenset[str], text: str) -> str:
    if found := sorted(spoken.intersection(text)):
        raise _SetAside(
            f"the rules do not say how {describe_characters(found)} is read in {shorten(text)!r}"
        )
    return text


def _refuse_numbers(text: str) -> str:
    if digits := set(filter(_is_number, text)):
        found = " ".join(word for word in text.split() if digits & set(word))
        raise _SetAside(f"numbers that are not spelled out: {shorten(found)!r}")
    return text


# Look-alikes


def _look_alikes(rules: LanguageRules) -> Callable[[str], str]:
    doubles: dict[str, dict[str, str]] = {}
    for group in rules.lookalikes:
        for each in group:
            others = {script_of(other): other for other in group if other != each}
            doubles[each] = {
                script: other for script, other in others.items() if script != script_of(each)
            }
    suspicious = re.compile(f"[{re.escape(''.join(doubles))}]") if doubles else None

    def step(text: str) -> str:
        if suspicious is None or not suspicious.search(text):
            return text
        return " ".join(_in_one_script(word, rules, doubles) for word in text.split(" "))

    return step


def _in_one_script(
    word: str, rules: LanguageRules, doubles: Mapping[str, Mapping[str, str]]
) -> str:
    scripts = Counter(script_of(each) for each in word if each.isalpha())
    target = rules.script or _majority(scripts)
    foreign = scripts.total() - scripts[target]
    # A longer word that is entirely in another script is a foreign word.
    if not foreign or not target or (not scripts[target] and len(word) > 1):
        return word
    return "".join(
        each
        if script_of(each) == target or each.lower() in rules.letters
        else doubles.get(each, {}).get(target, each)
        for each in word
    )


def _majority(scripts: Counter[str]) -> str:
    """Return the script of more than half of the letters, if there is one."""
    if not scripts:
        return ""
    script, count = scripts.most_common(1)[0]
    return script if 2 * count > scripts.total() else ""


@functools.lru_cache(maxsize=4096)
def script_of(character: str) -> str:
    """Return a letter's script as in Unicode's names (``LATIN``); empty for other characters."""
    return unicodedata.name(character, "").partition(" ")[0] if character.isalpha() else ""
