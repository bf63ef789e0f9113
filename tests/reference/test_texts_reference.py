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
import pytest

from stt_bootstrap.demo.corpora import SOURCE
from stt_bootstrap.demo.synthesis import write_corpus
from stt_model import jobs
from stt_model.checkpoint.directory import open_checkpoint
from stt_model.corpus.manifests import read_manifest
from tests.command_line import call
from tests.golden import reference

PYTHON = Path(os.environ.get("STT_REFERENCE_DIR", "/none")) / "train" / "bin" / "python"
pytestmark = [
    pytest.mark.reference,
    pytest.mark.skipif(not PYTHON.exists(), reason="STT_REFERENCE_DIR has no train/bin/python"),
]

GOOD = Path(__file__).parents[2] / "demo" / "source_checkpoint"
UTTERANCES = 200
N_HIDDEN = str(open_checkpoint(GOOD).geometry.n_hidden)
SAME = 0.95
ERROR_RATES = {"good": (0.0, 0.15), "weak": (0.3, 0.9)}
"""Lowest and highest CER."""


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
    (folder / "clips").mkdir()
    for utterance in read_manifest(folder / "corpus" / "test.csv"):
        shutil.copyfile(utterance.path, folder / "clips" / utterance.path.name)
    return folder


def share(first: Sequence[Any], second: Sequence[Any]) -> float:
    assert len(first) == len(second) == UTTERANCES
    return sum(one == other for one, other in zip(first, second, strict=True)) / len(first)


def report(command: str, name: str, same: float, cer: float) -> None:
    print(f"{command}, {name} checkpoint, CER {cer:.1%}: {same:.1%} of {UTTERANCES} texts the same")
    lowest, highest = ERROR_RATES[name]
    assert lowest <= cer <= highest
    assert same >= SAME


@pytest.mark.parametrize("name", ERROR_RATES)
def test_evaluate_finds_the_same_texts(folder: Path, name: str) -> None:
    flags = {"n_hidden": N_HIDDEN, "test_batch_size": "8", "scorer_path": ""}
    found = reference.evaluate(folder, "corpus/test.csv", name, flags)
    theirs = {Path(each["wav_filename"]).name: each["res"] for each in found}
    given = [word for flag, value in flags.items() for word in (f"--{flag}", value)]
    files = ("--test_files", folder / "corpus" / "test.csv", "--checkpoint_dir", folder / name)
    output = folder / f"{name}.json"
    outcome = call("evaluate", *files, *given, "--test_output_file", output)
    assert outcome.code == 0, outcome.err
    samples = json.loads(output.read_text(encoding="utf-8"))
    ours = {Path(each["wav_filename"]).name: each["res"] for each in samples}
    said = {Path(each["wav_filename"]).name: each["src"] for each in samples}
    clips = sorted(said)
    cer = jiwer.cer([said[clip] for clip in clips], [ours[clip] for clip in clips])
    report("evaluate", name, share([theirs[c] for c in clips], [ours[c] for c in clips]), cer)


@pytest.mark.parametrize("name", ERROR_RATES)
def test_transcribe_finds_the_same_pieces_and_texts(folder: Path, name: str) -> None:
    theirs, ours = folder / f"theirs-{name}", folder / f"ours-{name}"
    for copy in (theirs, ours):
        shutil.copytree(folder / "clips", copy)
    flags = {"n_hidden": N_HIDDEN, "scorer_path": "", "checkpoint_dir": name}
    reference.coqui(
        "transcribe",
        {"src": theirs.name, **flags, "show_progressbar": "false"},
        cwd=folder,
        log=folder / "transcribe.log",
    )
    given = [word for flag, value in flags.items() for word in (f"--{flag}", value)]
    given[-1] = folder / name
    outcome = call("transcribe", "--src", ours, *given)
    assert outcome.code == 0, outcome.err
    utterances = read_manifest(folder / "corpus" / "test.csv")
    said = {each.path.with_suffix(".tlog").name: each.transcript for each in utterances}
    logs = sorted(said)
    pieces = [[json.loads((place / log).read_text()) for log in logs] for place in (theirs, ours)]
    assert all(set(piece) == {"start", "end", "transcript"} for log in pieces[1] for piece in log)
    texts = [" ".join(piece["transcript"] for piece in log) for log in pieces[1]]
    cer = jiwer.cer([said[log] for log in logs], texts)
    report("transcribe", name, share(pieces[0], pieces[1]), cer)
