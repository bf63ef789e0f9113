"""Make a corpus from a source: read, check audio, normalise transcripts, split, write."""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from stt_model.base import BootstrapError, DataError, in_parallel, redact, usable_cpus
from stt_model.corpus import NEW, Speech, SplitPlan, Splits, draw_splits
from stt_model.importing.clip import (
    Clip,
    Format,
    Found,
    ImportSourceError,
    Notes,
    Options,
    SetAside,
    writable,
)
from stt_model.importing.columns import parse_columns
from stt_model.importing.outcome import ImportResult, write_corpus
from stt_model.importing.recordings import Audio, Recordings, UnusableError
from stt_model.importing.registry import find_format
from stt_model.importing.settings import ImportSettings
from stt_model.importing.sources import Source, open_source
from stt_model.importing.state import Record, State
from stt_model.importing.target import corpus_folder, upload
from stt_model.importing.transcripts import Normalise, as_it_is, spoilt
from stt_model.importing.tree import StoredTree
from stt_model.storage import is_stored, local_path

_AT_ONCE = 1024
"""Clips that are processed, and kept in memory, at once."""
_STORE_THREADS = 32

TRAIN, DEV, TEST, SET_ASIDE = 0, 1, 2, -1


def import_corpus(
    source: str,
    target: str,
    settings: ImportSettings | None = None,
    *,
    normalise: Normalise = as_it_is,
) -> ImportResult:
    """Make a corpus from a source, or add new clips to one.

    ``source`` is a folder, a table, or an archive: a path, ``file://``, ``http(s)://`` or ``s3://``
    URI. ``target`` becomes a folder (a path, ``file://`` or ``s3://`` URI) with ``train.csv``,
    ``dev.csv`` and ``test.csv``, ``rejected.csv`` with the rejected clips and reasons,
    ``report.md``, clips that had to be cut or converted, and the state for the next import.
    ``normalise`` rewrites each transcript for training.

    Nothing is written to ``target`` unless the import succeeds; an interrupted import resumes when
    it is called again. Raises DataError or StorageError, one line.
    """
    settings = settings or ImportSettings()
    _check_pattern(settings.speaker_pattern)
    options = Options(parse_columns(settings.columns), settings.encoding, tier=settings.tier)
    stored = is_stored(target)
    with (
        corpus_folder(target) as corpus,
        open_source(source, corpus, keep=not stored) as opened,
    ):
        found = find_format(opened.tree, settings.format)
        _check_order(source, target)
        state = State(corpus)
        try:
            result = _Import(opened, found, corpus, state, settings, options, normalise).run(
                copy=settings.copy_audio
                or opened.is_temporary
                or (stored and not isinstance(opened.tree, StoredTree))
            )
            write_corpus(corpus, state, result)
            state.finish()
        except sqlite3.OperationalError as error:
            raise ImportSourceError(
                f"{redact(target)}: cannot be written to, or another import is writing to it:"
                f" {error}"
            ) from error
        except BaseException as error:
            state.close(forget=isinstance(error, BootstrapError))
            raise
        if stored:
            upload(corpus, target)
    return result


class _Import:
    """One import while it runs."""

    def __init__(
        self,
        source: Source,
        found: Format,
        corpus: Path,
        state: State,
        settings: ImportSettings,
        options: Options,
        normalise: Normalise,
    ) -> None:
        self._source, self._format, self._state = source, found, state
        self._corpus, self._settings, self._normalise = corpus, settings, normalise
        prefers_new = getattr(found, "PREFERS_NEW_SPLITS", False)
        self._released = settings.splits == "released" or (
            settings.splits == "auto" and not prefers_new
        )
        self._options = options._replace(released_splits=self._released)
        self._target_is_stored = state.told("target_is_stored") == "yes"
        self._notes = Notes()
        self._pattern = re.compile(settings.speaker_pattern) if settings.speaker_pattern else None
        self._counts: Counter[str] = Counter()
        self._rules: dict[str, tuple[int, str, str]] = {}

    def run(self, *, copy: bool) -> ImportResult:
        """Read everything, then draw the splits."""
        self._state.forget_set_aside(self._source.label)
        recordings = Recordings(self._source.tree, self._corpus, copy=copy)
        remote = isinstance(self._source.tree, StoredTree)
        workers = _STORE_THREADS if remote else 2 * usable_cpus()
        found = self._format.read(self._source.tree, self._options, self._notes)
        try:
            with tqdm(desc="importing", unit="clip", disable=None) as bar:
                while chunk := list(islice(found, _AT_ONCE)):
                    self._take(chunk, recordings, workers)
                    bar.update(len(chunk))
        finally:
            recordings.close()
        self._state.count_rules((name, *each) for name, each in self._rules.items())
        if not self._state.totals():
            raise ImportSourceError(self._nothing())
        split_by, kept = self._split()
        return ImportResult(
            format=self._format.TITLE,
            source=self._source.label,
            new=self._counts["new"],
            known=self._counts["known"],
            changed=self._counts["changed"],
            split_by=split_by,
            kept=kept,
            notes=self._notes.lines,
            totals=self._state.totals(),
            reasons=self._state.reasons(),
            rules=self._state.rules(),
        )

    def _take(self, chunk: list[Found], recordings: Recordings, workers: int) -> None:
        chunk = list(map(writable, chunk))
        clips = [each for each in chunk if isinstance(each, Clip)]
        aside = [each for each in chunk if isinstance(each, SetAside)]
        known = self._state.known([clip.name for clip in clips])
        fresh: dict[str, Record] = {}
        work = ((clip, known.get(clip.name)) for clip in clips)
        for clip, outcome, actions in in_parallel(
            lambda pair: (pair[0], *self._look(pair[0], pair[1], recordings)), work, workers=workers
        ):
            if isinstance(outcome, Record) and clip.name in fresh:
                outcome = _twice(clip, fresh[clip.name])
            if isinstance(outcome, SetAside):
                aside.append(outcome)
                continue
            fresh[clip.name] = outcome
            self._count(known.get(clip.name), outcome, actions)
        self._state.put(fresh.values())
        self._state.set_aside(aside, self._source.label)
        # A clip that has become unusable leaves its split.
        self._state.drop(
            each.name for each in aside if each.name in known and each.check not in _OF_ANOTHER
        )
        self._state.commit()

    def _look(
        self, clip: Clip, known: Record | None, recordings: Recordings
    ) -> tuple[Record | SetAside, Sequence[Any]]:
        """Return the clip's record, or why it is rejected, and the rules that changed it."""

        def aside(check: str, reason: str) -> tuple[SetAside, Sequence[Any]]:
            return SetAside(clip.name, clip.where, check, reason, clip.transcript), ()

        if problem := spoilt(clip.transcript):
            return aside(*problem)
        if known and known.run == self._state.run:
            return _twice(clip, known), ()
        if known and known.source != self._source.label and known.raw != clip.transcript:
            return aside("name_taken", f"another clip has this name, from {known.source}")
        written = self._normalise(clip.transcript)
        if written.problem:
            return aside("transcript", written.problem)
        if not written.text.strip():
            return aside("transcript_blank", f"nothing is left of {clip.transcript[:80]!r}")
        try:
            version = recordings.version(clip)
            if known and known.version == version and self._is_there(known.place):
                audio = Audio(known.place, known.size, known.seconds)
            else:
                audio = recordings.prepare(clip)
        except UnusableError as error:
            return aside(error.check, error.reason)
        record = Record(
            name=clip.name,
            version=version,
            place=self._inside(audio.place),
            size=audio.size,
            seconds=audio.seconds,
            raw=clip.transcript,
            transcript=written.text,
            given=clip.split,
            extra=self._extra(clip),
            source=self._source.label,
        )
        return record, written.actions

    def _count(self, known: Record | None, record: Record, actions: Sequence[Any]) -> None:
        kind = "new" if known is None else "known" if _same(known, record) else "changed"
        self._counts[kind] += 1
        for action in actions:
            count, before, after = self._rules.get(action.rule, (0, action.before, action.after))
            self._rules[action.rule] = (count + 1, before, after)

    def _inside(self, place: str) -> str:
        """Return a place inside the corpus as a relative path, so that the corpus can be moved."""
        root = f"{self._corpus.absolute()}/"
        return place.removeprefix(root) if place.startswith(root) else place

    def _is_there(self, place: str) -> bool:
        # If the corpus is in a store, only new clips are on this machine.
        is_elsewhere = self._target_is_stored or not place.startswith("clips/")
        return is_elsewhere or (self._corpus / place).exists()

    def _extra(self, clip: Clip) -> dict[str, str]:
        extra = {name: value for name, value in clip.extra.items() if name not in _OWN}
        if self._pattern and "speaker" not in extra and (match := self._pattern.search(clip.name)):
            extra["speaker"] = match[1]
        return extra

    def _split(self) -> tuple[str, float]:
        """Assign every clip to a split; return what was split by, and the share of audio kept."""
        speech = self._state.speech()
        given = self._state.given()
        plan: SplitPlan = self._settings
        if self._released and (given >= 0).any():
            plan, speech = _with_released(plan, speech, given)
        if (speech.previous >= 0).all():
            self._state.place(speech.previous)
            return self._state.told("split_by") or "what was released", 1.0
        drawn = self._draw(speech, plan)
        self._state.tell("split_by", drawn.by)
        for note in drawn.notes:
            self._notes.add(note)
        self._state.place(drawn.splits)
        self._state.set_aside(
            (
                SetAside(each.name, "", "text_in_other_split", _OTHER_SPLIT, each.raw)
                for each in self._state.records(SET_ASIDE)
            ),
            self._source.label,
        )
        return drawn.by, drawn.kept

    def _draw(self, speech: Speech, plan: SplitPlan) -> Splits:
        try:
            return draw_splits(speech, plan)
        except DataError as error:
            raise ImportSourceError(
                f"{self._source.label}: {error} ({len(speech.seconds)} clips can be used"
                f"{self._left_out()})"
            ) from error

    def _left_out(self) -> str:
        reasons = self._state.reasons()
        count = sum(number for _, number, _ in reasons)
        return f", {count} cannot, such as: {reasons[0][2]}" if reasons else ""

    def _nothing(self) -> str:
        reasons = self._state.reasons()
        if not reasons:
            name = self._settings.format
            hint = f"; without --format {name}, import detects the format" if name else ""
            return f"{self._source.label}: expected {self._format.TITLE}, found no clips{hint}"
        return (
            f"{self._source.label}: expected clips that can be used, found none among"
            f" {sum(count for _, count, _ in reasons)}; the most frequent reason: {reasons[0][2]}"
        )


_OWN = ("wav_filename", "wav_filesize", "transcript")
_OF_ANOTHER = ("name_twice", "name_taken")
"""Checks that do not concern the existing clip of the same name."""
_OTHER_SPLIT = "its text is in another split, with more audio; --split_by speaker keeps it"


def _with_released(
    plan: SplitPlan, speech: Speech, given: np.ndarray[tuple[int], np.dtype[np.int8]]
) -> tuple[SplitPlan, Speech]:
    """Use the splits of the source's makers; draw missing ones from their train split."""
    previous = np.where(speech.previous >= 0, speech.previous, given).astype(np.int8)
    shares: dict[str, float] = {}
    for split, name in ((DEV, "dev"), (TEST, "test")):
        if (previous == split).any():
            shares |= {f"{name}_share": 0.0, f"{name}_hours": 0.0}
    if len(shares) < 4:
        # Only clips of train that no earlier import has placed may move to the missing split.
        free = (previous == TRAIN) & (speech.previous < 0)
        previous = np.where(free, np.int8(NEW), previous)
    values = {name: getattr(plan, name) for name in SplitPlan.__dataclass_fields__} | shares
    return SplitPlan(**values), speech.__class__(
        speech.speakers, speech.texts, speech.seconds, speech.strata, previous
    )


def _same(known: Record, record: Record) -> bool:
    mine = (record.version, record.transcript, record.raw, record.extra, record.given)
    return mine == (known.version, known.transcript, known.raw, known.extra, known.given)


def _twice(clip: Clip, first: Record) -> SetAside:
    """Return why the second clip of a name is rejected."""
    if first.raw == clip.transcript:
        reason = "the same clip with the same text is in the source already"
    else:
        reason = f"the clip is in the source already, with the text {first.raw[:80]!r}"
    return SetAside(clip.name, clip.where, "name_twice", reason, clip.transcript)


def _check_pattern(pattern: str) -> None:
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise ImportSourceError(f"--speaker_pattern: {pattern!r}: {error}") from error
    if pattern and groups != 1:
        raise ImportSourceError(
            f"--speaker_pattern: expected one group in parentheses, found {groups} in {pattern!r}"
        )


def _check_order(source: str, target: str) -> None:
    if is_stored(target) or is_stored(source) or "://" in source:
        return
    inner, outer = local_path(target).resolve(), local_path(source).resolve()
    if outer.is_dir() and inner.is_relative_to(outer):
        raise ImportSourceError(
            f"{target}: expected a folder outside of the source {source}, which would otherwise be"
            " imported into itself; give another target"
        )
