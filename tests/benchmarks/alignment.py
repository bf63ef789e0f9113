"""How well long recordings become clips: by known boundaries, beside ctc-segmentation.

Speech is synthesised, the model is the demo's English checkpoint. A clip is right if its text is
what is said between its ends, and if neither end lies further in a word than the tolerance.
"""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from stt_bootstrap.demo.corpora import SOURCE_CHECKPOINT
from stt_model.network import import_tensorflow_quietly
from tests.benchmarks.long_recordings import Phrase, read_truth, write_recording

TOLERANCES = (0.2, 0.5)
"""Seconds."""


class Segment(NamedTuple):
    """What an aligner cut out."""

    start: float
    end: float
    text: str
    confidence: float


@dataclass(frozen=True)
class Judged:
    """A segment beside the truth."""

    segment: Segment
    is_text_right: bool
    error: float
    """Seconds that an end lies in a word, or beyond one that is not the segment's."""

    def is_right(self, tolerance: float) -> bool:
        """Tell whether text and both ends are right."""
        return self.is_text_right and self.error <= tolerance


@dataclass(frozen=True)
class Outcome:
    """What an aligner made of a recording, and what it took."""

    name: str
    minutes: float
    judged: Sequence[Judged]
    threshold: float
    """Confidence from which segments count as sure."""
    seconds: float
    mebibytes: float
    """Most memory that the process had."""

    def row(self) -> str:
        """Return its line of the table."""
        sure = [each for each in self.judged if each.segment.confidence >= self.threshold]
        cells = [self.name, f"{self.minutes:.0f}", str(len(self.judged))]
        for some in (self.judged, sure):
            cells.append(f"{_seconds(some) / (60 * self.minutes):.0%}")
            cells += [f"{_share(some, tolerance):.1%}" for tolerance in TOLERANCES]
        rate = self.seconds / (60 * self.minutes)
        cells += [f"{self.seconds:.0f}", f"{rate:.3f}", f"{self.mebibytes:.0f}"]
        return f"| {' | '.join(cells)} |"


HEADER = (
    "| | minutes | clips | audio | right to 0.2 s | to 0.5 s | sure: audio | right to 0.2 s"
    " | to 0.5 s | s | s a s of audio | MiB |\n|---|---|---|---|---|---|---|---|---|---|---|---|"
)


def judge(segments: Sequence[Segment], phrases: Sequence[Phrase]) -> list[Judged]:
    """Compare segments with the truth; those that end within words of unknown times are left out.

    espeak-ng says where words begin, except where it speaks two as one.
    """
    words: list[tuple[float, float, str]] = []
    unknown: list[tuple[float, float]] = []
    for phrase in phrases:
        if phrase.spans:
            pairs = zip(phrase.spans, phrase.words, strict=True)
            words += [(begin, end, word) for (begin, end), word in pairs]
        else:
            words.append((phrase.start, phrase.end, " ".join(phrase.words)))
            unknown.append((phrase.start, phrase.end))
    begins, ends = (np.array([each[place] for each in words]) for place in (0, 1))
    found = []
    for each in segments:
        edges = (each.start, each.end)
        if any(a + 0.3 < edge < b - 0.3 for a, b in unknown for edge in edges):
            continue
        inside = np.flatnonzero(
            ((begins + ends) / 2 > each.start) & ((begins + ends) / 2 < each.end)
        )
        if not len(inside):
            found.append(Judged(each, False, np.inf))
            continue
        first, last = int(inside[0]), int(inside[-1])
        errors = [each.start - begins[first], ends[last] - each.end]
        errors += [ends[first - 1] - each.start] if first else []
        errors += [each.end - begins[last + 1]] if last + 1 < len(words) else []
        text = " ".join(words[number][2] for number in inside)
        found.append(Judged(each, text == each.text, max(0.0, *errors)))
    return found


def align(wav: Path, folder: Path, rounds: int, language: str) -> list[Segment]:
    """Return the clips that the project makes of a recording, doubtful ones too."""
    from stt_model import jobs

    source = folder / "source"
    source.mkdir(parents=True)
    for suffix in (".wav", ".txt"):
        shutil.copy(wav.with_suffix(suffix), source)
    target = folder / "clips"
    normalise = language if language != "sw" else "generic"
    jobs.align(source, target, SOURCE_CHECKPOINT, rounds=rounds, normalise=normalise)
    rows: list[dict[str, str]] = []
    for manifest in (target / "clips.csv", target / "check" / "doubtful.csv"):
        with manifest.open(encoding="utf-8", newline="") as handle:
            rows += csv.DictReader(handle)
    return [
        Segment(
            *(float(row[f"recording_{end}"]) for end in ("start", "end")),
            row["transcript"],
            float(row["confidence"]),
        )
        for row in rows
    ]


def save_logits(wav: Path, target: Path) -> None:
    """Write what the network makes of a recording, for other aligners."""
    import_tensorflow_quietly()
    from stt_model.alignment.sound import samples_on_disk
    from stt_model.alignment.windows import log_probabilities
    from stt_model.jobs.recognition import open_model

    _, audio, _, infer = open_model(SOURCE_CHECKPOINT)
    with (
        samples_on_disk(wav, target.parent, audio.audio_sample_rate) as samples,
        log_probabilities(infer, samples, audio, target.parent) as rows,
    ):
        np.save(target, np.asarray(rows))


def segment(wav: Path, logits: Path) -> list[Segment]:
    """Return the sentences of a recording as ctc-segmentation cuts them, with its scores."""
    import ctc_segmentation as other

    from stt_model.alignment.tokens import label_sequence, tokenise
    from stt_model.checkpoint import open_checkpoint
    from stt_model.text import open_normaliser

    alphabet = open_checkpoint(SOURCE_CHECKPOINT).alphabet
    text = tokenise(
        wav.with_suffix(".txt").read_text(encoding="utf-8"),
        alphabet,
        normalise=open_normaliser("generic"),
    )
    sentences: dict[int, list[int]] = {}
    for number, token in enumerate(text.tokens):
        sentences.setdefault(token.sentence, []).append(number)
    ranges = [(numbers[0], numbers[-1] + 1) for numbers in sentences.values()]
    labels = [label_sequence(text.tokens[first:last], alphabet).sequence for first, last in ranges]
    rows = np.load(logits).astype(np.float32)
    settings = other.CtcSegmentationParameters(
        char_list=[*alphabet.labels, "<blank>"], blank=alphabet.blank, index_duration=0.02
    )
    matrix, begins = other.prepare_token_list(settings, labels)
    timings, probabilities, _ = other.ctc_segmentation(settings, rows, matrix)
    found = other.determine_utterance_segments(settings, begins, probabilities, timings, labels)
    return [
        Segment(float(start), float(end), text.between(first, last), float(score))
        for (start, end, score), (first, last) in zip(found, ranges, strict=True)
    ]


def measured(function: Callable[..., Any], *arguments: Any) -> tuple[Any, float, float]:
    """Return what a function returns in a process of its own, its seconds and its MiB at most."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure, (function, arguments))


def _measure(function: Callable[..., Any], arguments: Sequence[Any]) -> tuple[Any, float, float]:
    started = time.monotonic()
    result = function(*arguments)
    return result, time.monotonic() - started, _most_memory()


def _most_memory() -> float:
    """Return the most MiB that this process had; getrusage may count those of the one before."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (kibibytes,) = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    return int(kibibytes) / 1024


def compare(folder: Path, language: str, minutes: float, by: str, rounds: int) -> list[Outcome]:
    """Align one recording, by the project and by ctc-segmentation if that is installed."""
    recordings = folder / "recordings"
    wav = recordings / f"{language}-{minutes:g}-{by}-1.wav"
    if not wav.with_suffix(".json").exists():
        write_recording(recordings, language, minutes, by=by)
    phrases, _ = read_truth(wav)
    length = _length(wav)
    work = folder / f"{wav.stem}-{rounds}"
    shutil.rmtree(work, ignore_errors=True)
    segments, seconds, memory = measured(align, wav, work, rounds, language)
    name = f"{language}, errors by {by}" + (f", {rounds} rounds" if rounds > 1 else "")
    ours = Outcome(name, length / 60, judge(segments, phrases), 0.3, seconds, memory)
    outcomes = [ours]
    if rounds == 1 and _has_other():
        logits = work / "logits.npy"
        measured(save_logits, wav, logits)
        segments, seconds, memory = measured(segment, wav, logits)
        judged = judge(segments, phrases)
        kept = _kept(ours)
        scores = sorted((each.confidence for each in segments), reverse=True)
        threshold = scores[max(0, round(kept * len(scores)) - 1)]
        outcomes.append(
            Outcome(f"{name}: ctc-segmentation", length / 60, judged, threshold, seconds, memory)
        )
    return outcomes


TRAINED = "| trained on | clips | minutes | WER | CER |\n|---|---|---|---|---|"


def train_on(folder: Path, language: str, minutes: float, epochs: str) -> Iterator[str]:
    """Yield the error rates of models trained on aligned and on true clips, as lines of a table."""
    from stt_bootstrap.demo.corpora import MACEDONIAN_DEMO, SWAHILI_DEMO
    from stt_bootstrap.demo.synthesis import write_corpus

    tests = folder / f"test-{language}"
    if not tests.exists():
        write_corpus({"mk": MACEDONIAN_DEMO, "sw": SWAHILI_DEMO}[language], tests)
    wav = folder / "recordings" / f"{language}-{minutes:g}-sentence-1.wav"
    sources = {}
    for rounds in (1, 2):
        clips = folder / f"{wav.stem}-{rounds}" / "clips" / "clips.csv"
        if clips.exists():
            sources[f"aligned clips, {rounds} round{'s' * (rounds > 1)}"] = clips
    sources["true clips"] = _true_clips(wav, folder / f"true-{language}")
    for number, (name, manifest) in enumerate(sources.items()):
        model = folder / f"model-{language}-{number}"
        clips, length, wer, cer = measured(_trained, manifest, tests, model, epochs)[0]
        yield f"| {name} | {clips} | {length:.0f} | {wer:.1%} | {cer:.1%} |"


def _true_clips(wav: Path, folder: Path) -> Path:
    """Write phrases as clips of some seconds, with what is said in them."""
    import soundfile

    phrases, _ = read_truth(wav)
    samples, rate = soundfile.read(wav, dtype="int16")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    groups: list[list[Phrase]] = [[]]
    for phrase in phrases:
        if groups[-1] and phrase.end - groups[-1][0].start > 8:
            groups.append([])
        groups[-1].append(phrase)
    with (folder / "clips.csv").open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["wav_filename", "wav_filesize", "transcript"])
        for number, group in enumerate(groups):
            path = folder / f"{number}.wav"
            begin, end = max(0.0, group[0].start - 0.15), group[-1].end + 0.15
            soundfile.write(path, samples[round(begin * rate) : round(end * rate)], rate)
            text = " ".join(word for phrase in group for word in phrase.words)
            writer.writerow([path.name, path.stat().st_size, text])
    return folder / "clips.csv"


def _trained(
    manifest: Path, tests: Path, target: Path, epochs: str
) -> tuple[int, float, float, float]:
    """Train on a manifest as a person would, and test: clips, minutes, WER and CER."""
    from stt_model import jobs
    from stt_model.corpus import audio_info, read_manifest

    rows = read_manifest(manifest)
    minutes = sum(audio_info(row.place).duration for row in rows) / 60
    decision = jobs.decide([row.transcript for row in rows], SOURCE_CHECKPOINT)
    shutil.rmtree(target, ignore_errors=True)
    jobs.train(
        [manifest],
        [tests / "dev.csv"],
        load_checkpoint_dir=SOURCE_CHECKPOINT,
        save_checkpoint_dir=target,
        alphabet=decision.alphabet,
        drop_source_layers=1 if decision.mode == "transfer" else 0,
        epochs=epochs,
    )
    result = jobs.evaluate([tests / "test.csv"], target)
    return len(rows), minutes, result.wer, result.cer


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; print its tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="for recordings, clips and models")
    parser.add_argument("--languages", nargs="+", default=["en", "sw", "mk"])
    parser.add_argument("--minutes", nargs="+", type=float, default=[30])
    parser.add_argument("--by", nargs="+", default=["sentence"], help="sentence, word")
    parser.add_argument("--rounds", nargs="+", type=int, default=[1])
    parser.add_argument("--train", nargs="*", default=["mk"], help="languages to train models of")
    parser.add_argument("--epochs", default="10", help="of these models; auto for as many as help")
    args = parser.parse_args(arguments)
    args.folder.mkdir(parents=True, exist_ok=True)
    print(HEADER)
    for language in args.languages:
        for minutes in args.minutes:
            for by in args.by:
                for rounds in args.rounds:
                    for outcome in compare(args.folder, language, minutes, by, rounds):
                        print(outcome.row(), flush=True)
                        _note(args.folder, outcome)
    for language in filter(args.languages.__contains__, args.train):
        print(f"\nModels of {language}, {args.epochs} epochs\n\n{TRAINED}", flush=True)
        for row in train_on(args.folder, language, args.minutes[0], args.epochs):
            print(row, flush=True)
    return 0


def _note(folder: Path, outcome: Outcome) -> None:
    """Keep every segment, for who wants to look."""
    rows = [
        [*each.segment, each.is_text_right, each.error if np.isfinite(each.error) else None]
        for each in outcome.judged
    ]
    name = outcome.name.replace(",", "").replace(" ", "-").replace(":", "")
    path = folder / f"{name}-{outcome.minutes:.0f}.json"
    path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")


def _share(judged: Sequence[Judged], tolerance: float) -> float:
    return sum(each.is_right(tolerance) for each in judged) / len(judged) if judged else 0.0


def _seconds(judged: Sequence[Judged]) -> float:
    return sum(each.segment.end - each.segment.start for each in judged)


def _kept(outcome: Outcome) -> float:
    sure = [each for each in outcome.judged if each.segment.confidence >= outcome.threshold]
    return _seconds(sure) / (60 * outcome.minutes)


def _length(wav: Path) -> float:
    import soundfile

    return float(soundfile.info(wav).duration)


def _has_other() -> bool:
    import importlib.util

    return importlib.util.find_spec("ctc_segmentation") is not None


if __name__ == "__main__":
    sys.exit(main())
