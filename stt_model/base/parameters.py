"""Parameters: fields of a configuration that declare their range and their help.

A parameter stands in one place, on the field of the configuration that uses it, with its type,
default, range, unit and help. Flags of the command line, checks, the defaults of the pipeline and
the tables of the documentation come from there.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from stt_model.base.errors import BootstrapError

AUTO = "auto"
"""The value that lets the program choose, on a command line and in a file."""

_KEY = "parameter"
_Config = TypeVar("_Config")


@dataclass(frozen=True)
class Parameter:
    """What values a parameter may have, and what it does."""

    type: type
    """bool, int, float or str."""
    default: Any
    help: str
    """One or two sentences, with the unit."""
    metavar: str
    expected: str
    """What values are allowed, in words."""
    allowed: Callable[[Any], bool]
    choices: tuple[str, ...] = ()
    name: str = ""
    """The default of the field and of the flag."""

    @property
    def is_auto(self) -> bool:
        """Whether ``auto`` may stand in place of a value; it is None in Python."""
        return self.default is None

    @property
    def written_default(self) -> bool | int | float | str:
        """The default as it is written in a file or a pipeline."""
        return AUTO if self.is_auto else self.default

    def field(self) -> Any:
        """Declare the same parameter on another configuration."""
        return dataclasses.field(default=self.default, metadata={_KEY: self})

    def read(self, text: str) -> Any:
        """Parse a value.

        Raises:
            ValueError: it is invalid or out of range; the message says what was expected.
        """
        if self.is_auto and text in ("", AUTO):
            return None
        with contextlib.suppress(ValueError):
            value = read_boolean(text) if self.type is bool else self.type(text)
            if self.allowed(value):
                return value
        raise ValueError(f"expected {self._expectation}, found {text!r}")

    def check(self, value: Any) -> None:
        """Raise ValueError unless the value has the right type and is in range."""
        if value is None and self.is_auto:
            return
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        right_type = is_number if self.type is float else type(value) is self.type
        if not right_type or not self.allowed(value):
            raise ValueError(f"expected {self._expectation}, found {value!r}")

    @property
    def _expectation(self) -> str:
        return f"{self.expected}, or {AUTO}" if self.is_auto else self.expected


def read_boolean(text: str) -> bool:
    """Read true/false, yes/no, on/off or 1/0, as Coqui writes them.

    Raises:
        ValueError: it is none of these.
    """
    values = {"true": True, "yes": True, "on": True, "1": True}
    values |= {"false": False, "no": False, "off": False, "0": False}
    try:
        return values[text.lower()]
    except KeyError:
        raise ValueError(f"expected true or false, found {text!r}") from None


def whole(
    default: int | None, help: str, *, minimum: int, maximum: int | None = None, metavar: str = "N"
) -> Any:
    """Declare a field that holds a whole number."""
    expected = f"a whole number, {minimum} or more"
    if maximum is not None:
        expected = f"{minimum} to {maximum}"
    top = math.inf if maximum is None else maximum
    return _declare(int, default, help, metavar, expected, lambda value: minimum <= value <= top)


def real(
    default: float | None,
    help: str,
    *,
    minimum: float = -math.inf,
    above: float = -math.inf,
    maximum: float = math.inf,
    below: float = math.inf,
    metavar: str = "R",
) -> Any:
    """Declare a field that holds a finite number."""

    def allowed(value: float) -> bool:
        return math.isfinite(value) and minimum <= value <= maximum and above < value < below

    expected = _describe_range(minimum, above, maximum, below)
    return _declare(float, default, help, metavar, expected, allowed)


def _describe_range(minimum: float, above: float, maximum: float, below: float) -> str:
    has_floor, is_above = math.isfinite(minimum), math.isfinite(above)
    if has_floor and math.isfinite(below):
        return f"a number from {minimum:g} to below {below:g}"
    if is_above and math.isfinite(below):
        return f"a number between {above:g} and {below:g}"
    floor = f", {minimum:g} or more" if has_floor else f" above {above:g}" if is_above else ""
    top = f", up to {maximum:g}" if math.isfinite(maximum) else ""
    return f"a number{floor}{top}"


def choice(default: str, choices: tuple[str, ...], help: str) -> Any:
    """Declare a field that holds one of a few words."""
    expected = " or ".join([", ".join(choices[:-1]), choices[-1]])
    return Parameter(
        str, default, help, "NAME", expected, lambda value: value in choices, choices
    ).field()


def switch(default: bool, help: str) -> Any:
    """Declare a field that is true or false."""
    return _declare(bool, default, help, "BOOL", "true or false", lambda value: True)


def text(
    default: str,
    help: str,
    *,
    metavar: str = "TEXT",
    expected: str = "a text",
    allowed: Callable[[str], bool] = lambda value: True,
) -> Any:
    """Declare a field that holds a text."""
    return _declare(str, default, help, metavar, expected, allowed)


def _declare(
    kind: type,
    default: Any,
    help: str,
    metavar: str,
    expected: str,
    allowed: Callable[[Any], bool],
) -> Any:
    return Parameter(kind, default, help, metavar, expected, allowed).field()


def parameters_of(config: type[Any]) -> dict[str, Parameter]:
    """Return the parameters that a configuration declares, by name."""
    return {
        field.name: replace(field.metadata[_KEY], name=field.name)
        for field in dataclasses.fields(config)
        if _KEY in field.metadata
    }


def check_parameters(config: Any, error: type[BootstrapError]) -> None:
    """Raise ``error``, naming the flag, for the first parameter of a configuration out of range."""
    for name, parameter in parameters_of(type(config)).items():
        try:
            parameter.check(getattr(config, name))
        except ValueError as problem:
            raise error(f"--{name}: {problem}") from None


def configure(config: Callable[..., _Config], /, **values: Any) -> _Config:
    """Make a configuration; parameters and paths may be given as text.

    Raises:
        BootstrapError: a text is not a valid value.
    """
    assert isinstance(config, type)
    declared = parameters_of(config)
    paths = {
        field.name for field in dataclasses.fields(config) if field.type in ("Path", "Path | None")
    }
    read = {name: _read(declared.get(name), name, value) for name, value in values.items()}
    return config(
        **{
            name: Path(value) if name in paths and isinstance(value, str) else value
            for name, value in read.items()
        }
    )


def _read(parameter: Parameter | None, name: str, value: Any) -> Any:
    if parameter is None or parameter.type is str or not isinstance(value, str):
        return value
    try:
        return parameter.read(value)
    except ValueError as problem:
        raise BootstrapError(f"--{name}: {problem}") from None


def pick(config: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return only those values that are parameters of a configuration."""
    return {name: values[name] for name in parameters_of(config) if name in values}
