"""The job of suggesting: which clips of untranscribed recordings to transcribe first."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from stt_model.base import DataError, atomic_directory, check_output
from stt_model.corpus import SAMPLE_RATE, find_audio, read_audio
from stt_model.jobs import startup
from stt_model.jobs.clip_ranking import describe_sound, rank_clips
from stt_model.jobs.listening import BATCH_SIZE, Heard, Listener, batches
from stt_model.jobs.reports import given_file
from stt_model.jobs.speech_pieces import FRAME_MS, find_speech
from stt_model.jobs.suggestion_files import Suggestion, write_suggestions

log = logging.getLogger(__name__)

SHORTEST, LONGEST = 0.5, 15.0
"""Maximum seconds of a clip; longer speech is cut in pauses, or else where it is quietest."""


@dataclass(frozen=True)
class Piece:
    """A part of a recording that becomes a clip."""

    recording: Path
    start: float
    """Seconds."""
    end: float
    samples: NDArray[np.float32]
    """At 16 kHz, in [-1, 1]."""


def suggest(
    model: str | Path,
    audio: Sequence[str | Path],
    output: str | Path,
    *,
    minutes: float = 0.0,
    aggressiveness: int = 3,
    batch_size: int = BATCH_SIZE,
    scorer_uri: str = "",
    **decoding: Any,
) -> list[Suggestion]:
    """Cut recordings into clips, rank them for transcription, and write them with the model's text.

    Args:
        model: checkpoint, or exported ``.tflite``, for the language of the recordings.
        audio: untranscribed recordings, or folders of them.
        output: a new or empty folder for ``clips``, ``suggestions.csv``, ``label-studio.json``,
            ``label-studio.xml`` and ``elan``.
        minutes: of speech to suggest, the most useful first; 0 for all of it.
        aggressiveness: 0 to 3: how readily a sound counts as silence.
        batch_size: clips transcribed at once.
        scorer_uri: language model for the texts.
        decoding: further arguments of ``decoding.open_decoder``.

    Returns:
        the suggestions, the most useful first.

    Raises:
        DataError: there is no speech in the recordings.
        BootstrapError: the model, the scorer or a recording cannot be read.
    """
    check_output(Path(output), is_folder=True)
    recordings = find_audio([Path(each) for each in audio])
    startup.start_tensorflow()
    with given_file(scorer_uri) as scorer, atomic_directory(output) as folder:
        clips = folder / "clips"
        clips.mkdir()
        listener = Listener(Path(model), scorer, **decoding)
        pieces = cut_recordings(recordings, aggressiveness)
        found = list(_listen(listener, pieces, clips, batch_size))
        if not found:
            raise DataError(
                f"{', '.join(map(str, audio))}: expected speech, found none in"
                f" {len(recordings)} recordings; try a lower --vad_aggressiveness"
            )
        suggestions = _suggestions(found, minutes)
        kept = {Path(each.clip).name for each in suggestions}
        for path in clips.iterdir():
            if path.name not in kept:
                path.unlink()
        write_suggestions(suggestions, folder)
    return suggestions


@dataclass(frozen=True)
class _Candidate:
    """A clip that was written and transcribed."""

    clip: Path
    heard: Heard
    sound: NDArray[np.float64]
    """See ``describe_sound``."""
    recording: Path
    start: float
    """Seconds."""
    end: float


def _listen(
    listener: Listener, pieces: Iterable[Piece], clips: Path, batch_size: int
) -> Iterator[_Candidate]:
    """Write each piece into the folder ``clips``, and transcribe it."""
    number = 0
    for batch in batches(pieces, batch_size):
        heard = listener.hear([piece.samples for piece in batch])
        for piece, each in zip(batch, heard, strict=True):
            number += 1
            clip = clips / f"{number:06}.wav"
            soundfile.write(clip, piece.samples, SAMPLE_RATE, subtype="PCM_16")
            sound = _sound_of(piece.samples)
            yield _Candidate(clip, each, sound, piece.recording, piece.start, piece.end)
        log.info("%d clips transcribed", number)


def _suggestions(found: Sequence[_Candidate], minutes: float) -> list[Suggestion]:
    """Return the most useful clips first, up to ``minutes`` in total; 0 for all."""
    doubts = np.array([each.heard.uncertainty for each in found])
    order = rank_clips(doubts, np.array([each.sound for each in found]))
    suggestions: list[Suggestion] = []
    seconds = 0.0
    for each in (found[row] for row in order):
        length = each.end - each.start
        if minutes and seconds + length > 60 * minutes:
            continue
        seconds += length
        suggestions.append(
            Suggestion(
                rank=len(suggestions) + 1,
                clip=f"clips/{each.clip.name}",
                text=each.heard.text,
                uncertainty=each.heard.uncertainty,
                recording=each.recording,
                start=each.start,
                end=each.end,
            )
        )
    return suggestions


def cut_recordings(recordings: Sequence[Path], aggressiveness: int = 3) -> Iterator[Piece]:
    """Yield short recordings as they are, and the pieces of speech of longer ones."""
    for path in recordings:
        samples = read_audio(path)
        seconds = len(samples) / SAMPLE_RATE
        if seconds <= LONGEST:
            if seconds >= SHORTEST:
                yield Piece(path, 0.0, seconds, samples)
            continue
        for piece in find_speech(samples, aggressiveness):
            start = piece.start / 1000
            for first, last in _short_enough(piece.samples):
                if last - first >= SHORTEST * SAMPLE_RATE:
                    yield Piece(
                        path,
                        start + first / SAMPLE_RATE,
                        start + last / SAMPLE_RATE,
                        piece.samples[first:last],
                    )


def _short_enough(samples: NDArray[np.float32]) -> Iterator[tuple[int, int]]:
    """Yield the ends of parts of at most ``LONGEST``, cut where it is quietest."""
    frame = SAMPLE_RATE * FRAME_MS // 1000
    most, start = int(LONGEST * SAMPLE_RATE), 0
    while len(samples) - start > most:
        behind = samples[start + most // 2 : start + most]
        count = len(behind) // frame
        energy = (behind[: count * frame].reshape(count, frame) ** 2).sum(axis=1)
        end = start + most // 2 + int(energy.argmin()) * frame + frame // 2
        yield start, end
        start = end
    yield start, len(samples)


def _sound_of(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    from stt_model.features import extract_features

    return describe_sound(extract_features(samples))
