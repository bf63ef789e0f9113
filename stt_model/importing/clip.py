"""What a format's reader yields: clips, and unusable items with the reason."""

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
    """One utterance of a source, before its audio is read."""

    name: str
    """A name that is unique within the source and the same at each import."""
    audio: str
    """Where the audio is, as ``corpus.open_clip`` takes it, or the name of ``content``."""
    transcript: str
    where: str
    """File and row, for people."""
    start: float = 0.0
    """Seconds from the start of ``audio``."""
    end: float | None = None
    """Seconds from the start of ``audio``; None for all of it."""
    content: Callable[[], bytes] | None = None
    """Returns the audio if it is not a file of its own."""
    channel: int | None = None
    """Channel from 0, if each speaker has one; None to mix all channels."""
    split: str = ""
    """The split that the source's makers chose."""
    extra: Mapping[str, str] = field(default_factory=dict)
    """Further columns: speaker, gender, age, accent, licence, source, and the source's own."""

    @property
    def is_part(self) -> bool:
        """Whether it must be cut out of its audio."""
        return self.start > 0 or self.end is not None or self.channel is not None


@dataclass(frozen=True)
class SetAside:
    """An item of a source that cannot be used."""

    name: str
    where: str
    check: str
    """One word for the kind of reason."""
    reason: str
    transcript: str = ""


Found = Union[Clip, SetAside]  # noqa: UP007 (evaluated by Python 3.10 at import)


def writable(found: Found) -> Found:
    """Return what was found, or set it aside if a manifest in UTF-8 cannot hold its names and text.

    File names may hold any bytes, and JSON may hold half of a surrogate pair.
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
    if any("\0" in text for text in texts):
        reason = "expected names and texts, found a NUL byte; write the table again"
    return SetAside(name, where, "encoding", reason, transcript)


def _is_writable(text: str) -> bool:
    if "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(text: str) -> str:
    return text.encode(errors="backslashreplace").decode().replace("\0", "\\0")


class Options(NamedTuple):
    """Options of the readers."""

    columns: Mapping[str, str]
    """Role (audio, transcript, speaker …) → column, for tables."""
    encoding: str = ""
    """Encoding of text files; "" to detect it from their content."""
    released_splits: bool = False
    """Whether to use the splits of the source's makers."""
    tier: str = ""
    """The tier of ELAN and Praat files that holds the transcripts; "" to choose automatically."""


class Notes:
    """A reader's remarks for people, each once, such as a guess or a skipped file."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, line: str) -> None:
        """Add a line, unless it is there already."""
        if line not in self.lines:
            self.lines.append(line)


class Format(Protocol):
    """A module of ``importing.formats``."""

    NAME: str
    """Its name for ``--format``."""
    TITLE: str
    """One line for people."""

    def recognise(self, tree: Any) -> bool:
        """Tell from names and first lines whether a source has this format."""
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
