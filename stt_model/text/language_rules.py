"""Rules for writing a language: one YAML file per language, on top of generic rules.

``docs/transcripts.md`` explains each key of these files.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from stt_model.base import RulesError
from stt_model.text.characters import shorten

GENERIC = "generic"
_FOLDER = Path(__file__).with_name("rules")
_EXTENDED = ("annotations", "unintelligible", "lookalikes")
"""Lists that a language extends; its other keys replace those of the generic rules."""
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "case": ("lower", "keep"),
    "hyphen": ("space", "remove", "keep"),
    "accents": ("plain", "keep"),
    "years": ("cardinal", "ambiguous"),
}
_RANGE = re.compile(r"U\+([0-9A-F]{4,6})(?:-U\+([0-9A-F]{4,6}))?")


@dataclass(frozen=True)
class Pattern:
    """A regular expression (Python's ``re``), its replacement, and when it is applied."""

    find: re.Pattern[str]
    replace: str
    before_case: bool = False


@dataclass(frozen=True)
class Example:
    """A text and the expected outcome: another text, or words of the reason to set it aside."""

    text: str
    becomes: str = ""
    set_aside: str = ""


@dataclass(frozen=True)
class LanguageRules:
    """All rules of a language; the fields are the keys of the YAML files."""

    language: str
    name: str
    script: str
    """The script as in Unicode's character names, in capitals; empty for any."""
    letters: frozenset[str]
    """The language's own letters in lower case; empty if there is no list."""
    keep: frozenset[str]
    case: str
    lower: Mapping[str, str]
    before_case: tuple[Pattern, ...]
    patterns: tuple[Pattern, ...]
    replace: Mapping[str, str]
    remove: frozenset[str]
    keep_invisible: frozenset[str]
    compatibility: frozenset[str]
    apostrophes: frozenset[str]
    apostrophe: str
    """The character for apostrophes; empty to remove them."""
    apostrophe_at: frozenset[str]
    """Where it is one and no quotation mark: ``inside``, ``start`` or ``end`` of a word."""
    hyphens: frozenset[str]
    hyphen: str
    accents: str
    symbols: Mapping[str, str]
    spoken_symbols: frozenset[str]
    brackets: Mapping[str, str]
    """A pair of brackets, and whether to ``remove`` or ``keep`` what is between them."""
    annotations: frozenset[str]
    unintelligible: frozenset[str]
    lookalikes: tuple[str, ...]
    numbers: str
    """The language's name in ``num2words``; empty if it is not supported there."""
    years: str
    examples: tuple[Example, ...]


def rule_languages() -> tuple[str, ...]:
    """Return the languages with shipped rules, without ``generic``."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.yaml") if path.stem != GENERIC))


def read_rules(language: str) -> LanguageRules:
    """Return the rules for a language tag (``de``, ``pt-BR``), ``generic``, or a YAML file.

    RulesError for a language without rules, and for an invalid file.
    """
    if language.endswith((".yaml", ".yml")):
        return _build(Path(language))
    tag = language.strip().lower().replace("_", "-")
    for name in (tag, tag.partition("-")[0]):
        if (path := _FOLDER / f"{name}.yaml").is_file() and re.fullmatch(r"[a-z-]+", name):
            return _build(path)
    raise RulesError(
        f"no rules for writing {language!r}; there are {', '.join(rule_languages())}; give"
        f" {GENERIC!r} for rules that suit any language, or your own YAML file"
    )


def _build(path: Path) -> LanguageRules:
    """Merge the keys of a file into those of its base file, and these into the generic rules."""
    own = _load(path)
    values = dict(_generic())
    base = own.pop("like", None)
    layers = [own] if base is None else [_load(_FOLDER / f"{base}.yaml"), own]
    for layer in layers:
        for key, value in layer.items():
            _check_kind(path, key, value, type(values.get(key, "")))
            extends = key in _EXTENDED and path.stem != GENERIC
            values[key] = [*values[key], *value] if extends else value
    if base is not None and "examples" not in own:
        values["examples"] = []
    try:
        return _convert(values)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, re.error) as error:
        raise RulesError(f"{path}: {error}; see docs/transcripts.md for what each key is") from None


def _check_kind(path: Path, key: str, value: Any, kind: type) -> None:
    """Raise RulesError if a value is not of the kind that its key has in the generic rules."""
    if not isinstance(value, kind):
        # YAML takes `language: no` for false.
        expected = "a text, in quotes if need be"
        if kind in (list, dict):
            expected = "a list" if kind is list else "keys and values"
        raise RulesError(
            f"{path}: {key}: expected {expected}, found {shorten(repr(value))}; see"
            " docs/transcripts.md for what each key is"
        )


@functools.cache
def _generic() -> Mapping[str, Any]:
    return _load(_FOLDER / f"{GENERIC}.yaml")


def _load(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RulesError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RulesError(f"{path}: expected UTF-8, found other bytes; save it as UTF-8") from error
    except RecursionError:
        raise RulesError(f"{path}: expected YAML, found it nested too deeply") from None
    except (yaml.YAMLError, ValueError) as error:
        problem = " ".join(str(error).split())
        raise RulesError(f"{path}: expected YAML, found {problem}") from error
    if not isinstance(values, dict):
        raise RulesError(f"{path}: expected keys and values such as `language: de`, found others")
    known = {field.name for field in fields(LanguageRules)} | {"like"}
    if unknown := sorted(str(key) for key in values if key not in known):
        raise RulesError(
            f"{path}: unknown key {', '.join(unknown)}; there are {', '.join(sorted(known))}"
        )
    return values


def _convert(values: Mapping[str, Any]) -> LanguageRules:
    """Convert the values to the types of ``LanguageRules``; ValueError names the key."""
    for key, choices in _CHOICES.items():
        if values[key] not in choices:
            raise ValueError(f"{key}: expected {' or '.join(choices)}, found {values[key]!r}")
    converted = dict(values)
    for key in ("letters", "keep", "apostrophes", "hyphens", "spoken_symbols"):
        converted[key] = frozenset(_nfc(values[key]).replace(" ", ""))
    for key in ("remove", "keep_invisible", "compatibility"):
        converted[key] = frozenset(_expand(key, values[key]))
    for key in ("annotations", "unintelligible"):
        converted[key] = frozenset(str(word).casefold() for word in values[key])
    for key in ("before_case", "patterns"):
        before = key == "before_case"
        converted[key] = tuple(
            Pattern(re.compile(_nfc(each["find"])), _nfc(each["replace"]), before)
            for each in values[key]
        )
    for key in ("lower", "symbols", "brackets", "replace"):
        converted[key] = {_nfc(str(old)): _nfc(str(new)) for old, new in values[key].items()}
    for name, length in (("lower", 1), ("symbols", 1), ("brackets", 2)):
        if odd := [old for old in converted[name] if len(old) != length]:
            raise ValueError(f"{name}: expected {length} character before the colon, found {odd}")
    if len(values["apostrophe"]) > 1:
        raise ValueError(f"apostrophe: expected one character, found {values['apostrophe']!r}")
    for example in values["examples"]:
        if odd := [each for each in example.values() if not isinstance(each, str)]:
            raise ValueError(f"examples: expected texts, in quotes if need be, found {odd[0]!r}")
    converted["apostrophe_at"] = frozenset(values["apostrophe_at"])
    converted["lookalikes"] = tuple(str(group).replace(" ", "") for group in values["lookalikes"])
    converted["examples"] = tuple(Example(**example) for example in values["examples"])
    return LanguageRules(**converted)


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _expand(key: str, entries: Iterable[str]) -> Iterator[str]:
    """Yield characters, written literally or as ``U+064B`` or ``U+064B-U+0652``."""
    for entry in entries:
        if match := _RANGE.fullmatch(entry):
            first, last = (int(number, 16) for number in (match[1], match[2] or match[1]))
            yield from map(chr, range(first, last + 1))
        elif len(entry) == 1:
            yield entry
        else:
            raise ValueError(f"{key}: expected a character or U+064B-U+0652, found {entry!r}")
