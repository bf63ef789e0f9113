"""What a reader of a format yields: clips, and what it cannot take with the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, NamedTuple, Protocol, Union

from stt_model.base import DataError


class ImportSourceError(DataError):
    """A source that cannot be imported as a whole."""


@dataclass(frozen=True)
class Clip:
    """One utterance of a source, before its audio is looked at."""

    name: str
    """What tells it from every other clip of the source, the same at each import."""
    audio: str
    """Where the audio lies, as ``corpus.open_clip`` takes it; what ``content`` is called if not."""
    transcript: str
    where: str
    """File and row, for people."""
    start: float = 0.0
    """Seconds from the start of ``audio``."""
    end: float | None = None
    """Seconds from the start of ``audio``; None for all of it."""
    content: Callable[[], bytes] | None = None
    """Gives the audio where it is no file of its own."""
    channel: int | None = None
    """Of a recording with several speakers, one a channel, from 0; None for all of them mixed."""
    split: str = ""
    """The one that the source's makers put it into."""
    extra: Mapping[str, str] = field(default_factory=dict)
    """Further columns: speaker, gender, age, accent, licence, source, and the source's own."""

    @property
    def is_part(self) -> bool:
        """Whether it must be cut out of its audio."""
        return self.start > 0 or self.end is not None or self.channel is not None


@dataclass(frozen=True)
class SetAside:
    """Something that was found in a source and cannot be used."""

    name: str
    where: str
    check: str
    """One word for the kind of reason."""
    reason: str
    transcript: str = ""


Found = Union[Clip, SetAside]  # noqa: UP007 (evaluated by Python 3.10 at import)


def writable(found: Found) -> Found:
    """Return what was found, or why it is set aside: manifests, in UTF-8, could not name it.

    Files may be called by any bytes, and JSON may hold half of a pair of surrogates.
    """
    texts = [found.name, found.where, found.transcript]
    if isinstance(found, Clip):
        texts += [found.audio, found.split, *found.extra, *found.extra.values()]
    else:
        texts += [found.reason]
    if all(map(_is_writable, texts)):
        return found
    name, where, transcript = map(_shown, texts[:3])
    reason = "expected names and texts in UTF-8, found other bytes; rename the file"
    return SetAside(name, where, "encoding", reason, transcript)


def _is_writable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


class Options(NamedTuple):
    """What a reader may need to know beyond the source."""

    columns: Mapping[str, str]
    """Role (audio, transcript, speaker …) → column, for tables."""
    encoding: str = ""
    """Of text files; "" to tell it by their content."""
    released_splits: bool = False
    """Whether the splits of the source's makers are wanted."""
    tier: str = ""
    """The tier of ELAN and Praat files that holds the transcripts; "" to choose it."""


class Notes:
    """What a reader tells people beside its clips, each once: a guess, a file that it left out."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, line: str) -> None:
        """Remember a line, unless it is known."""
        if line not in self.lines:
            self.lines.append(line)


class Format(Protocol):
    """A module of ``importing.formats``."""

    NAME: str
    """What ``--format`` calls it."""
    TITLE: str
    """One line for people."""

    def recognise(self, tree: Any) -> bool:
        """Tell by a look at names and first lines whether a source has this format."""
        ...

    def read(self, tree: Any, options: Options, notes: Notes) -> Iterator[Found]:
        """Yield all clips, in the same order each time."""
        ...


def needs(module: str, package: str, format_title: str) -> ModuleType:
    """Return an optional library; DataError says how to install it."""
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise DataError(
            f"{format_title}: expected the package {package}, found none; install it with"
            " pip install 'stt-bootstrap[import]'"
        ) from error
