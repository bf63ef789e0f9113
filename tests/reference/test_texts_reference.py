"""The texts of ``evaluate`` and ``transcribe`` without a scorer beside Coqui STT 1.4.0's.

Both commands as they are called, with the same flags, on a checkpoint that understands nearly
everything and on one that does not. Both search as widely as they do when nobody says how widely:
Coqui's ``evaluate`` with 500 beams, everything else with 1024.

Needs STT_REFERENCE_DIR: a folder in which ``train/bin/python`` has ``coqui_stt_training``.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import pytest
import soundfile

from stt_bootstrap.demo.corpora import SOURCE
from stt_bootstrap.demo.synthesis import write_corpus
from stt_model import jobs
from stt_model.checkpoint.directory import open_checkpoint
from stt_model.corpus.audio import read_audio
from stt_model.corpus.audio_settings import SAMPLE_RATE
from stt_model.corpus.manifests import Utterance, read_manifest
from stt_model.jobs.speech_pieces import FRAME_MS
from tests.command_line import call
from tests.golden import reference

PYTHON = Path(os.environ.get("STT_REFERENCE_DIR", "/none")) / "train" / "bin" / "python"
pytestmark = [
    pytest.mark.reference,
    pytest.mark.skipif(not PYTHON.exists(), reason="STT_REFERENCE_DIR has no train/bin/python"),
]

GOOD = Path(__file__).parents[2] / "demo" / "source_checkpoint"
UTTERANCES = 200
TOGETHER = 5
"""Utterances that make up a long recording."""
PAUSE = np.zeros(SAMPLE_RATE, np.float32)
"""Between two of them: one second."""
N_HIDDEN = str(open_checkpoint(GOOD).geometry.n_hidden)
SAME = 0.95
ERROR_RATES = {"good": (0.0, 0.15), "weak": (0.3, 0.9)}
"""Lowest and highest CER of whole utterances. Pieces of a long recording can lack their edges."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Speech of voices that the good checkpoint knows and does not know, and both checkpoints.

    The weak one has lost its last three layers, and learnt them anew for a few steps only.
    """
    folder = tmp_path_factory.mktemp("texts")
    spec = dataclasses.replace(SOURCE, train=160, dev=1, test=UTTERANCES, seed=77)
    write_corpus(spec, folder / "corpus")
    shutil.copytree(GOOD, folder / "good")
    jobs.train(
        [folder / "corpus" / "train.csv"],
        load_checkpoint_dir=GOOD,
        save_checkpoint_dir=folder / "weak",
        alphabet=open_checkpoint(GOOD).alphabet,
        drop_source_layers=2,
        epochs=4,
        train_batch_size=16,
        learning_rate=0.002,
        augment="none",
    )
    (folder / "long").mkdir()
    for number, said in enumerate(recordings(folder)):
        sounds = [sound for each in said for sound in (read_audio(each.path), PAUSE)]
        path = folder / "long" / f"{number:02}.wav"
        soundfile.write(path, np.concatenate(sounds), SAMPLE_RATE, subtype="PCM_16")
    return folder


def recordings(folder: Path) -> list[list[Utterance]]:
    """Return the utterances of each long recording."""
    utterances = list(read_manifest(folder / "corpus" / "test.csv"))
    return [utterances[place : place + TOGETHER] for place in range(0, UTTERANCES, TOGETHER)]


def share(first: Sequence[Any], second: Sequence[Any]) -> float:
    assert len(first) == len(second)
    return sum(one == other for one, other in zip(first, second, strict=True)) / len(first)


def report(command: str, name: str, same: float, cer: float) -> None:
    print(f"{command}, {name} checkpoint, CER {cer:.1%}: {same:.1%} of the texts the same")
    assert same >= SAME


@pytest.mark.parametrize(("name", "width"), [("good", None), ("weak", None), ("weak", 500)])
def test_evaluate_finds_the_same_texts(folder: Path, name: str, width: int | None) -> None:
    flags = {"n_hidden": N_HIDDEN, "test_batch_size": "8", "scorer_path": ""}
    found = reference.evaluate(folder, "corpus/test.csv", name, flags)
    theirs = {Path(each["wav_filename"]).name: each["res"] for each in found}
    given = [word for flag, value in flags.items() for word in (f"--{flag}", value)]
    files = ("--test_files", folder / "corpus" / "test.csv", "--checkpoint_dir", folder / name)
    if width:
        # As wide as Coqui's evaluate is by default.
        given += ["--beam_width", str(width)]
    output = folder / f"{name}.json"
    outcome = call("evaluate", *files, *given, "--test_output_file", output)
    assert outcome.code == 0, outcome.err
    samples = json.loads(output.read_text(encoding="utf-8"))
    ours = {Path(each["wav_filename"]).name: each["res"] for each in samples}
    said = {Path(each["wav_filename"]).name: each["src"] for each in samples}
    clips = sorted(said)
    cer = jiwer.cer([said[clip] for clip in clips], [ours[clip] for clip in clips])
    same = share([theirs[clip] for clip in clips], [ours[clip] for clip in clips])
    report(f"evaluate, {width or 'its own'} beams", name, same, cer)
    lowest, highest = ERROR_RATES[name]
    assert lowest <= cer <= highest
    # Nothing else makes a difference.
    assert not width or same >= 0.99


@pytest.mark.parametrize("name", ERROR_RATES)
def test_transcribe_finds_the_same_pieces_and_texts(folder: Path, name: str) -> None:
    theirs, ours = folder / f"theirs-{name}", folder / f"ours-{name}"
    for copy in (theirs, ours):
        shutil.copytree(folder / "long", copy)
    flags = {"n_hidden": N_HIDDEN, "scorer_path": "", "checkpoint_dir": name}
    reference.coqui(
        "transcribe",
        {"src": theirs.name, **flags, "show_progressbar": "false"},
        cwd=folder,
        log=folder / "transcribe.log",
    )
    given = [word for flag, value in flags.items() for word in (f"--{flag}", value)]
    outcome = call("transcribe", "--src", ours, *given[:-1], folder / name)
    assert outcome.code == 0, outcome.err
    logs = [f"{number:02}.tlog" for number in range(UTTERANCES // TOGETHER)]
    pieces = [
        [
            (log, piece["start"], piece["end"], piece["transcript"])
            for log in logs
            for piece in json.loads((place / log).read_text(encoding="utf-8"))
        ]
        for place in (theirs, ours)
    ]
    # Cut at the same places, into about as many pieces as were said. Coqui counts frames one short:
    # speech that begins with the recording has a start of -30 milliseconds there.
    for one, other in zip(*pieces, strict=True):
        assert one[0] == other[0]
        assert np.allclose(one[1:3], other[1:3], rtol=0, atol=FRAME_MS)
    assert len(pieces[0]) > 0.75 * UTTERANCES
    texts = [" ".join(piece[3] for piece in pieces[1] if piece[0] == log) for log in logs]
    said = [" ".join(each.transcript for each in group) for group in recordings(folder)]
    same = share([piece[3] for piece in pieces[0]], [piece[3] for piece in pieces[1]])
    report("transcribe", name, same, jiwer.cer(said, texts))
