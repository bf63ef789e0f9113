"""Build dataclasses from JSON, checking every type: people edit these files by hand."""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Mapping
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

_Built = TypeVar("_Built")


def build(cls: type[_Built], values: Mapping[str, Any]) -> _Built:
    """Return a dataclass with these values, given as JSON types.

    Fields may be ``int``, ``float`` (finite), ``bool``, ``str``, ``None``, ``Any``, ``list[...]``,
    ``dict[str, ...]``, other such dataclasses, and unions of these.

    Raises:
        ValueError: a value is missing, unknown or of the wrong type; the message names it.
    """
    return _converted(cls, values, "it")


def _converted(kind: Any, value: Any, name: str) -> Any:
    origin, parts = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, value, name)
    if origin in (Union, types.UnionType):
        return _one_of(parts, value, name)
    if origin is list and isinstance(value, list):
        return [_converted(parts[0], each, f"{name}[{at}]") for at, each in enumerate(value)]
    if origin is dict and isinstance(value, dict):
        return {key: _converted(parts[1], each, f"{name}.{key}") for key, each in value.items()}
    # JSON does not distinguish 1 from 1.0, but true is not a number.
    if kind is float and type(value) is int and abs(value) < 2**53:
        return float(value)
    if isinstance(kind, type) and type(value) is kind and _is_finite(value):
        return value
    shown = getattr(kind, "__name__", str(kind))
    raise ValueError(f"expected {shown} for {name}, found {str(value)[:60]!r}")


def _is_finite(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def _one_of(kinds: tuple[Any, ...], value: Any, name: str) -> Any:
    problem = ValueError(name)
    for kind in kinds:
        try:
            return _converted(kind, value, name)
        except ValueError as error:
            problem = error
            if value is not None and kind is not type(None):
                raise
    raise problem


def _dataclass(kind: Any, value: Any, name: str) -> Any:
    if not isinstance(value, Mapping):
        raise ValueError(f"expected a JSON object for {name}, found {str(value)[:60]!r}")
    hints = get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    if unknown := sorted(set(map(str, value)) - set(fields)):
        raise ValueError(f"{name} has an unknown key: {unknown[0]}")
    needed = [
        each.name
        for each in fields.values()
        if each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING
    ]
    if missing := [each for each in needed if each not in value]:
        raise ValueError(f"{name} lacks {missing[0]}")
    return kind(
        **{
            each: _converted(hints[each], content, each if name == "it" else f"{name}.{each}")
            for each, content in value.items()
        }
    )
