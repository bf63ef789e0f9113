"""From a source of long recordings to a folder of clips."""

from __future__ import annotations

import logging
import re
import tempfile
from pathlib import Path

from stt_model.alignment.clips import AlignedClip, Unmatched, make_clips
from stt_model.alignment.config import AlignmentConfig
from stt_model.alignment.matching import Matched, match
from stt_model.alignment.outcome import CHECK, AlignmentResult, WrittenClip, write_manifests
from stt_model.alignment.page import write_page
from stt_model.alignment.sound import find_pauses, samples_on_disk
from stt_model.alignment.tiers import Interval, tiers_of, write_elan, write_textgrid
from stt_model.alignment.tokens import Text, label_sequence, tokenise
from stt_model.alignment.windows import Infer, log_probabilities
from stt_model.base import DataError
from stt_model.corpus import AudioError, AudioSettings
from stt_model.importing import (
    LongRecording,
    LongRecordings,
    Normalise,
    SetAside,
    UnusableError,
    as_it_is,
    open_long_recordings,
)
from stt_model.text import Alphabet

log = logging.getLogger(__name__)


class Aligner:
    """Aligns recordings with what one model hears in them."""

    def __init__(
        self,
        alphabet: Alphabet,
        audio: AudioSettings,
        infer: Infer,
        config: AlignmentConfig,
        normalise: Normalise = as_it_is,
    ) -> None:
        self._alphabet, self._audio, self._infer = alphabet, audio, infer
        self._config, self._normalise = config, normalise

    def align(
        self, source: str, target: Path, *, columns: str = "", encoding: str = ""
    ) -> AlignmentResult:
        """Write the clips of all recordings of a source, and all about them, into a folder.

        Args:
            source: folder, table or archive: see ``importing.open_long_recordings``.
            target: an empty folder.
            columns: which column of a table is what, as in an import.
            encoding: of texts; empty to tell it by their content.

        Raises:
            DataError: the source has no recordings with texts, or nothing in it matches.
            AlphabetError: the checkpoint's alphabet cannot write the text, nor its romanisation.
        """
        result = AlignmentResult(self._config.min_confidence)
        (target / CHECK).mkdir()
        with open_long_recordings(source, target, columns=columns, encoding=encoding) as found:
            for each in found:
                if isinstance(each, SetAside):
                    _leave(result, each.name, each.reason)
                    continue
                try:
                    self._one(each, found, target, result)
                except (UnusableError, AudioError) as error:
                    _leave(result, each.name, str(error))
        if not result.clips:
            reason = result.unmatched[0][1].reason if result.unmatched else "no recording"
            raise DataError(
                f"{source}: expected speech that matches its text, found none; the first reason:"
                f" {reason}"
            )
        write_manifests(result, target)
        write_page(result, target)
        return result

    def _one(
        self,
        recording: LongRecording,
        recordings: LongRecordings,
        target: Path,
        result: AlignmentResult,
    ) -> None:
        path = recordings.audio(recording)
        text = tokenise(
            recording.text,
            self._alphabet,
            normalise=self._normalise,
            romanise=self._config.romanise,
        )
        clips, unmatched, words, seconds = self._aligned(path, text)
        log.info("%s: %.1f minutes, %d clips", recording.name, seconds / 60, len(clips))
        result.seconds[recording.name] = seconds
        result.unmatched += [(recording.name, each) for each in unmatched]
        if text.romanised:
            note = f"{recording.name}: {text.romanised} of {len(text.tokens)} words by romanisation"
            result.notes.append(note)
        for clip in clips:
            audio = recordings.cut(recording, clip.start, min(clip.end, seconds))
            result.clips.append(
                WrittenClip(clip, recording.name, audio.place, audio.size, recording.extra)
            )
        tiers = tiers_of(clips, unmatched, words, self._config.min_confidence)
        stem = target / CHECK / _stem(recording.name)
        write_textgrid(stem.with_name(f"{stem.name}.TextGrid"), tiers, seconds)
        write_elan(stem.with_name(f"{stem.name}.eaf"), tiers, path)

    def _aligned(
        self, path: Path, text: Text
    ) -> tuple[list[AlignedClip], list[Unmatched], list[Interval], float]:
        """Return clips, what is in none, the words' places, and the length in s."""
        rate, step = self._audio.audio_sample_rate, self._audio.feature_win_step / 1000
        labels = label_sequence(text.tokens, self._alphabet)
        with (
            tempfile.TemporaryDirectory(prefix="stt-bootstrap-") as folder,
            samples_on_disk(path, Path(folder), rate) as samples,
        ):
            seconds = len(samples) / rate
            if len(samples) < self._audio.window:
                raise AudioError(path, f"{seconds:.2f} s, less than a frame")
            if not len(labels.sequence):
                reason = "expected text that the checkpoint's alphabet can write, found none"
                return [], [Unmatched("audio", 0.0, seconds, "", reason)], [], seconds
            pauses = find_pauses(samples, rate)
            with log_probabilities(self._infer, samples, self._audio, Path(folder)) as rows:
                matched = match(rows, labels)
                clips, unmatched = make_clips(
                    text, labels, matched, rows, pauses, step, self._config
                )
        return clips, unmatched, _words(text, matched, step), seconds


def _words(text: Text, matched: Matched, step: float) -> list[Interval]:
    return [
        (begin * step, (end + 1) * step, token.text)
        for token, (begin, end) in zip(text.tokens, matched.spans.tolist(), strict=True)
        if begin >= 0
    ]


def _leave(result: AlignmentResult, name: str, reason: str) -> None:
    log.warning("%s: %s", name, reason)
    result.unmatched.append((name, Unmatched("audio", 0.0, 0.0, "", reason)))


def _stem(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name.rpartition(".")[0] or name).strip("-.") or "recording"
