"""Read audio files of any rate and channel count as mono samples at the model's rate."""

from __future__ import annotations

import hashlib
import io
import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from stt_model.base import DataError, native_lines_dropped
from stt_model.corpus.audio_settings import (
    AUDIO_SUFFIXES,
    SAMPLE_RATE,
    USUAL_AUDIO,
    AudioSettings,
)
from stt_model.corpus.clip_cache import RangedReader
from stt_model.corpus.clip_places import ClipSizeError, ShardError, is_file
from stt_model.corpus.clips import open_clip, open_header, open_stored, open_stored_header
from stt_model.corpus.library_stream import LibraryStream
from stt_model.storage import MissingError, StoredObject

DIGEST_LENGTH = 32
"""Characters that ``clip_digest`` returns."""

_BLOCK = 1 << 18
"""Samples per channel decoded at once: the length in a header is not trusted for allocation."""


class AudioError(DataError):
    """A file that is not readable audio; ``found`` says what it is instead."""

    def __init__(self, path: Path | str, found: str) -> None:
        super().__init__(f"{path}: expected readable audio, found {found}")
        self.found = found


@dataclass(frozen=True)
class AudioInfo:
    """The header of an audio file."""

    sample_rate: int
    channels: int
    samples: int
    """Samples per channel, at ``sample_rate``."""

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.samples / self.sample_rate

    @property
    def frames(self) -> int:
        """Feature frames after resampling to 16 kHz."""
        return self.frames_for(USUAL_AUDIO)

    def frames_for(self, audio: AudioSettings) -> int:
        """Return the feature frames after resampling to a model's rate."""
        return audio.frame_count(round(self.samples * audio.audio_sample_rate / self.sample_rate))


def audio_info(path: Path | str) -> AudioInfo:
    """Read the header only; AudioError if the file is missing, empty or not audio.

    Of an object in a store, only the parts that the format needs for its length are fetched.
    """
    with _open(path, open_header) as sound:
        return AudioInfo(sound.rate, sound.channels, sound.frames)


def ranged_info(stored: StoredObject) -> AudioInfo:
    """Like ``audio_info``, for an object whose metadata is known already."""
    with _open(stored.uri, lambda _: open_stored_header(stored)) as sound:
        return AudioInfo(sound.rate, sound.channels, sound.frames)


def read_audio(
    path: Path | str,
    *,
    start: float = 0.0,
    seconds: float = math.inf,
    sample_rate: int = SAMPLE_RATE,
) -> NDArray[np.float32]:
    """Decode wav, flac, ogg (Vorbis, Opus) or mp3, from ``start`` (seconds) or all of it.

    Returns samples: float32 [n], mono at ``sample_rate``, in [-1, 1]. Channels are averaged, other
    rates resampled (soxr, very high quality); 16-bit samples come out as exactly
    ``int16 / 32768``.
    AudioError if the file is missing, empty or damaged.
    """
    with _open(path) as sound:
        return _decode(path, sound, start, seconds, sample_rate)


def decode_clip(
    path: Path | str, stored: StoredObject | None = None, *, max_seconds: float
) -> tuple[int, AudioInfo, NDArray[np.float32] | None]:
    """Return the bytes of a clip, what its header says, and its samples as ``read_audio`` does.

    ``stored`` is its object, if that is known already. None for samples above ``max_seconds``.
    AudioError if the file is missing, empty or damaged.
    """
    with _open(path, (lambda _: open_stored(stored)) if stored else open_clip) as sound:
        info = AudioInfo(sound.rate, sound.channels, sound.frames)
        samples = None
        if info.duration <= max_seconds:
            samples = _decode(path, sound, 0.0, math.inf, SAMPLE_RATE)
        return sound.size, info, samples


def _decode(
    path: Path | str, sound: _Sound, start: float, seconds: float, sample_rate: int
) -> NDArray[np.float32]:
    rate = sound.rate
    if start:
        sound.seek(round(start * rate))
    mono = sound.channels == 1
    blocks = [
        block[:, 0] if mono else block.mean(axis=1) for block in _blocks(sound, seconds * rate)
    ]
    samples = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    if not samples.size:
        raise AudioError(path, "no samples")
    if not np.isfinite(samples).all():
        raise AudioError(path, "samples that are not finite numbers")
    return np.clip(resample(samples, rate, sample_rate), -1.0, 1.0)


def resample(
    samples: NDArray[np.float32], rate: int, wanted: int = SAMPLE_RATE
) -> NDArray[np.float32]:
    """Resample mono samples, float32 [n], from one rate in Hz to another."""
    if rate == wanted:
        return samples
    return np.asarray(soxr.resample(samples, rate, wanted, quality="VHQ"), np.float32)


def clip_digest(path: Path | str) -> str:
    """Return a digest of a clip's content, in hexadecimal.

    AudioError if it cannot be read.
    """
    return hashlib.blake2b(read_clip(path), digest_size=DIGEST_LENGTH // 2).hexdigest()


def read_clip(path: Path | str) -> bytes:
    """Return the bytes of a clip; AudioError if it cannot be read."""
    with _explained(path):
        _check_kind(path)
        with open_clip(path) as clip:
            return clip.read()


def find_audio(paths: Sequence[Path]) -> list[Path]:
    """Return the files, and for each folder all audio files below it, sorted.

    Raises:
        DataError: a path that is not there, or a folder without audio.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise DataError(f"{path}: expected an audio file or a folder of them, found nothing")
        inside = sorted(
            each
            for each in (path.rglob("*") if path.is_dir() else [path])
            if each.is_file() and (each == path or each.suffix.lower() in AUDIO_SUFFIXES)
        )
        if not inside:
            raise DataError(f"{path}: expected audio ({' '.join(AUDIO_SUFFIXES)}), found none")
        found += inside
    return found


def _blocks(sound: _Sound, samples: float) -> Iterator[NDArray[np.float32]]:
    while len(block := sound.read(round(min(_BLOCK, samples)))):
        samples -= len(block)
        yield block


class _FailedError(Exception):
    """The library's error, kept apart from errors of reading the file."""


@contextmanager
def _open(
    path: Path | str, open_file: Callable[[Path | str], BinaryIO] = open_clip
) -> Iterator[_Sound]:
    """Yield an opened audio file; AudioError for errors while opening or reading it."""
    with _explained(path):
        _check_kind(path)
        with open_file(path) as handle:
            if not handle.read(1):
                raise AudioError(path, "an empty file")
            handle.seek(0)
            sound = _sound_of(handle)
            try:
                yield sound
            finally:
                sound.close()


def _sound_of(handle: BinaryIO) -> _Sound:
    try:
        return _Sound(handle)
    except _FailedError:
        # The library only reports that it could not read; the store's error says why.
        if isinstance(handle, RangedReader) and handle.failure:
            raise handle.failure from None
        raise


class _Sound:
    """An audio file read by soundfile, whose exceptions become _FailedError."""

    def __init__(self, handle: BinaryIO) -> None:
        # Not by name: by its name the library would take a *.raw file for raw samples.
        if isinstance(getattr(handle, "raw", None), io.FileIO):
            # A file on disk, which the library reads itself, without the interpreter's lock.
            os.lseek(handle.fileno(), 0, os.SEEK_SET)
            self._file = self._ask(soundfile.SoundFile, handle.fileno(), closefd=False)
        else:
            self._file = self._ask(soundfile.SoundFile, LibraryStream(handle))
        self.rate: int = self._file.samplerate
        self.channels: int = self._file.channels
        self.frames: int = self._file.frames
        self._handle = handle

    @property
    def size(self) -> int:
        """Bytes of the clip."""
        return self._handle.seek(0, os.SEEK_END)

    def seek(self, frame: int) -> None:
        self._ask(self._file.seek, frame)

    def read(self, frames: int) -> NDArray[np.float32]:
        """Return float32 [up to ``frames``, channels]."""
        block: NDArray[np.float32] = self._ask(
            self._file.read, frames, dtype="float32", always_2d=True
        )
        return block

    def close(self) -> None:
        self._file.close()

    @staticmethod
    def _ask(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        try:
            with native_lines_dropped():
                return function(*arguments, **options)
        except (soundfile.SoundFileError, OSError, TypeError, ValueError) as error:
            # The library's reason, without the handle that it includes.
            reason = getattr(error, "error_string", str(error))
            raise _FailedError(" ".join(reason.split())) from error


@contextmanager
def _explained(path: Path | str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise AudioError(path, f"a file that cannot be read: {error.strerror}") from error
    except _FailedError as error:
        raise AudioError(path, f"a file that cannot be decoded: {error}") from error
    except MissingError as error:
        raise AudioError(path, "nothing") from error
    except (ShardError, ClipSizeError) as error:
        raise AudioError(path, error.found) from error


def _check_kind(path: Path | str) -> None:
    if is_file(path) and not Path(path).is_file():
        raise AudioError(path, _what_is_at(Path(path)))


def _what_is_at(path: Path) -> str:
    if path.is_dir():
        return "a folder"
    return "something else" if path.exists() else "nothing"
