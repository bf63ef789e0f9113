"""The audio of imported clips: used in place, or cut, converted or copied where needed."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import Any

import numpy as np
import soundfile

from stt_model.base import atomic_write
from stt_model.corpus import (
    AUDIO_SUFFIXES,
    AudioError,
    LibraryStream,
    audio_info,
    file_name,
    is_file,
    open_clip,
    ranged_info,
)
from stt_model.importing.clip import Clip
from stt_model.importing.tree import FOREIGN_SUFFIXES, MEDIA_SUFFIXES, StoredTree, Tree
from stt_model.storage import is_stored

_TOLERANCE = 0.5
"""Seconds by which an utterance may end after its recording."""
_SHORTEST = 0.05
"""Seconds; shorter clips are mistakes in the time marks."""
_OF_WINDOWS = re.compile(r"(^|/)[A-Za-z]:\\")


class UnusableError(Exception):
    """Why the audio of a clip cannot be used."""

    def __init__(self, check: str, reason: str) -> None:
        super().__init__(reason)
        self.check, self.reason = check, reason


@dataclass(frozen=True)
class Audio:
    """The audio of a clip as in the manifest."""

    place: str
    """Absolute, a URI, or relative to the corpus."""
    size: int
    """Bytes."""
    seconds: float


class Recordings:
    """Provides the audio of each clip of a source. Threads may share one."""

    def __init__(self, tree: Tree, corpus: Path, *, copy: bool) -> None:
        self._tree, self._corpus, self._copy = tree, corpus, copy
        self._converted = _Converted()

    def close(self) -> None:
        """Remove temporary files."""
        self._converted.close()

    def version(self, clip: Clip) -> str:
        """Return a version of a clip's audio that changes with its content; "" if it is not known.

        UnusableError if there is no audio.
        """
        if "://" in clip.audio and not clip.content and not is_stored(clip.audio):
            raise UnusableError(
                "audio_missing",
                f"{clip.audio}: expected a file or an address of an object store; fetch the"
                " recordings beforehand, and write their paths",
            )
        if clip.content or not is_file(clip.audio):
            stored = self._stored(clip.audio)
            return stored.etag if stored else ""
        try:
            found = Path(clip.audio).stat()
        except OSError as error:
            hint = ""
            if _OF_WINDOWS.search(clip.audio):
                hint = ": a path of a Windows machine; write it relative to the table"
            reason = f"{clip.audio}: {error.strerror}{hint}"
            raise UnusableError("audio_missing", reason) from None
        return f"{found.st_size}-{found.st_mtime_ns}"

    def prepare(self, clip: Clip) -> Audio:
        """Return the audio of a clip, after writing it into the corpus if needed.

        UnusableError if it is missing, unreadable, or shorter than the clip's times.
        """
        try:
            if clip.content:
                return self._write(clip, clip.content(), PurePosixPath(clip.audio).suffix)
            if not clip.audio.lower().endswith(AUDIO_SUFFIXES) or clip.is_part:
                return self._cut(clip)
            if self._copy:
                with open_clip(clip.audio) as file:
                    content = file.read()
                return self._write(clip, content, PurePosixPath(file_name(clip.audio)).suffix)
            return self._look(clip)
        except AudioError as error:
            raise UnusableError("audio_unreadable", f"{clip.audio}: {error.found}") from error
        except OSError as error:
            raise UnusableError("audio_missing", f"{clip.audio}: {error.strerror}") from error

    def readable(self, place: str) -> str:
        """Return a file that can be read in parts: ``place``, or what it was converted to."""
        return self._converted.wav(place)

    def _look(self, clip: Clip) -> Audio:
        stored = self._stored(clip.audio)
        if stored:
            return Audio(clip.audio, stored.size, ranged_info(stored).duration)
        if is_stored(clip.audio):
            raise UnusableError("audio_missing", f"{clip.audio}: not in the store")
        seconds = audio_info(clip.audio).duration
        return Audio(clip.audio, Path(clip.audio).stat().st_size, _checked(clip, seconds))

    def _stored(self, place: str) -> Any:
        if isinstance(self._tree, StoredTree) and is_stored(place):
            return self._tree.stored_at(place)
        return None

    def _write(self, clip: Clip, content: bytes, suffix: str) -> Audio:
        """Write a whole clip into the corpus, as a wav if its format is not widely readable."""
        if suffix.lower() not in AUDIO_SUFFIXES:
            with tempfile.NamedTemporaryFile(suffix=suffix) as file:
                file.write(content)
                file.flush()
                samples, rate = _decode(Path(file.name))
            return self._save(clip, samples, rate)
        relative = _name(clip, suffix.lower())
        with atomic_write(self._corpus / relative) as beside:
            beside.write_bytes(content)
            seconds = _checked(clip, audio_info(beside).duration)
        return Audio(relative, len(content), seconds)

    def _cut(self, clip: Clip) -> Audio:
        path = self._converted.wav(clip.audio)
        # Of a local file only the needed part is read, however long the recording is.
        opened = Path(path).open("rb") if is_file(path) else open_clip(path)  # noqa: SIM115
        with opened as handle, _sound(handle, clip.audio) as sound:
            rate, length = sound.samplerate, sound.frames / sound.samplerate
            end = length if clip.end is None else clip.end
            _check_times(clip, end, length)
            if clip.channel is not None and clip.channel >= sound.channels:
                found = f"expected channel {clip.channel + 1}, found {sound.channels} channels"
                raise UnusableError("audio_unreadable", f"{clip.audio}: {found}")
            sound.seek(round(clip.start * rate))
            frames = round(min(end, length) * rate) - round(clip.start * rate)
            samples = sound.read(frames, dtype="float32", always_2d=True)
        channel = clip.channel
        mono = samples.mean(axis=1) if channel is None else samples[:, channel]
        return self._save(clip, mono, rate)

    def _save(self, clip: Clip, samples: Any, rate: int) -> Audio:
        relative = _name(clip, ".wav")
        with atomic_write(self._corpus / relative) as beside:
            soundfile.write(beside, samples, rate, format="WAV", subtype="PCM_16")
            size = beside.stat().st_size
        return Audio(relative, size, _checked(clip, len(samples) / rate))


class _Converted:
    """Wav files of the latest long recordings that soundfile cannot read in parts."""

    _KEPT = 3

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="stt-bootstrap-")
        self._lock = Lock()
        self._paths: OrderedDict[str, str] = OrderedDict()

    def wav(self, place: str) -> str:
        """Return a file of the recording that can be read in parts."""
        suffix = PurePosixPath(file_name(place)).suffix.lower()
        if suffix not in FOREIGN_SUFFIXES:
            return place
        with self._lock:
            if place not in self._paths:
                self._paths[place] = str(self._convert(place))
                while len(self._paths) > self._KEPT:
                    Path(self._paths.popitem(last=False)[1]).unlink(missing_ok=True)
            return self._paths[place]

    def close(self) -> None:
        """Remove the files."""
        self._folder.cleanup()

    def _convert(self, place: str) -> Path:
        target = Path(self._folder.name, hashlib.sha256(place.encode()).hexdigest() + ".wav")
        if is_file(place):
            _decode_to(Path(place), target)
            return target
        suffix = PurePosixPath(file_name(place)).suffix
        with (
            tempfile.NamedTemporaryFile(dir=self._folder.name, suffix=suffix) as file,
            open_clip(place) as clip,
        ):
            file.write(clip.read())
            file.flush()
            _decode_to(Path(file.name), target)
        return target


def _decode(path: Path) -> tuple[Any, int]:
    with tempfile.TemporaryDirectory(prefix="stt-bootstrap-") as folder:
        _decode_to(path, Path(folder, "decoded.wav"))
        samples, rate = soundfile.read(Path(folder, "decoded.wav"), dtype="float32", always_2d=True)
        return samples.mean(axis=1), rate


def _decode_to(path: Path, target: Path) -> None:
    """Decode with FFmpeg's libraries, in blocks, keeping the channels."""
    if not path.is_file():
        raise FileNotFoundError(2, "No such file or directory")
    try:
        import av
    except ImportError:
        raise UnusableError(
            "audio_format",
            f"{path.suffix or path.name}: such files need the package av; install it with"
            " pip install 'stt-bootstrap[import]'",
        ) from None
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise UnusableError("audio_unreadable", f"{path}: it holds no audio")
            stream = container.streams.audio[0]
            rate, channels = stream.rate, stream.channels
            resampler = av.AudioResampler("s16", stream.layout, rate)
            with soundfile.SoundFile(target, "w", rate, channels, "PCM_16") as out:
                for frame in container.decode(stream):
                    for block in resampler.resample(frame):
                        out.write(block.to_ndarray().reshape(-1, channels))
    except (av.FFmpegError, ValueError) as error:
        raise UnusableError("audio_unreadable", f"{path}: {error}") from error


def _sound(handle: Any, place: str) -> soundfile.SoundFile:
    try:
        return soundfile.SoundFile(LibraryStream(handle))
    except (soundfile.SoundFileError, OSError, TypeError, ValueError) as error:
        reason = " ".join(getattr(error, "error_string", str(error)).split()).rstrip(".")
        known = " ".join(MEDIA_SUFFIXES)
        raise UnusableError(
            "audio_unreadable",
            f"{place}: expected a recording ({known}), found: {reason}; convert it, such as with"
            " ffmpeg -i FILE FILE.wav",
        ) from error


def _check_times(clip: Clip, end: float, length: float) -> None:
    if not (np.isfinite(clip.start) and np.isfinite(end)) or clip.start < 0:
        raise UnusableError("times", f"expected times from 0, found {clip.start:g} to {end:g} s")
    if end - clip.start < _SHORTEST:
        raise UnusableError(
            "times", f"expected an end after the start, found {clip.start:.3f} to {end:.3f} s"
        )
    if end > length + _TOLERANCE or clip.start >= length:
        raise UnusableError(
            "times",
            f"{clip.audio}: expected times within its {length:.2f} s, found {clip.start:.2f} to"
            f" {end:.2f} s",
        )


def _checked(clip: Clip, seconds: float) -> float:
    if seconds <= 0:
        raise UnusableError("audio_unreadable", f"{clip.audio}: no samples")
    return seconds


def _name(clip: Clip, suffix: str) -> str:
    """Return a deterministic file name for a clip, in one of 256 folders."""
    digest = hashlib.sha256(clip.name.encode("utf-8", "surrogatepass")).hexdigest()
    stem = re.sub(r"[^\w.-]+", "-", PurePosixPath(file_name(clip.audio)).stem)[:80].strip("-.")
    return f"clips/{digest[:2]}/{stem or 'clip'}-{digest[2:12]}{suffix}"
