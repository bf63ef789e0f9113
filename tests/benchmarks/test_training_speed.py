from __future__ import annotations

import dataclasses
import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stt_model.checkpoint.geometry import Geometry
from stt_model.corpus.dataset import frames_needed, read_samples
from stt_model.features.batches import plan_batches
from stt_model.text.alphabet_file import read_alphabet
from tests.benchmarks.noise_corpus import LABELS, NoiseCorpus, random_text, write_noise_corpus
from tests.benchmarks.trainers import Bootstrap, Coqui, Line, Settings, Timing
from tests.benchmarks.training_speed import (
    Run,
    _parse,
    multiplied_weights,
    ratios,
    to_table,
    useful_operations,
    whole_batches,
)

PEAKS = {"float32": 1e11, "bfloat16": 4e11}
CORPUS = NoiseCorpus(Path("train.csv"), Path("alphabet.txt"), 29, 10, 100.0, 5000)
SETTINGS = Settings(n_hidden=512, batch_size=8, epochs=3)

OUR_LOG = """\
train.csv, row 3: left out: expected at least 9 frames of audio for its 9 labels, found 3
training 6,588,957 parameters on 64 utterances (0.10 h); the CPU (no GPU found); batch 8
epoch 1: train loss 390.118, 34 s of audio a second
epoch 2: train loss 181.004, 45 s of audio a second
epoch 3: train loss 177.325, 46 s of audio a second
checkpoint: /tmp/checkpoint
"""
COQUI_LOG = """\
I Performing something else.
I STARTING Optimization
I Training epoch 0...
I Finished training epoch 0 - loss: 390.118000
--------------------------------------------------------------------------------
I Training epoch 1...
I Finished training epoch 1 - loss: 181.004000
I Training epoch 2...
I Finished training epoch 2 - loss: 177.325000
I FINISHED optimization in 0:00:30.1
"""


def arriving(log: str) -> list[Line]:
    """A line every second, the first after one."""
    return [Line(float(second), text) for second, text in enumerate(log.splitlines(), start=1)]


def timed(trainer: str, later_epochs: float, checkpoint: float = 0.0) -> Run:
    timing = Timing(1.0, 2.0, later_epochs, checkpoint, peak_bytes=10**9)
    return Run(trainer, SETTINGS, CORPUS, timing)


@pytest.mark.parametrize("hidden", [8, 512, 2048])
def test_weights_that_a_frame_is_multiplied_with(hidden):
    layers = [494 * hidden, hidden**2, hidden**2, 8 * hidden**2, hidden**2, 29 * hidden]
    assert multiplied_weights(Geometry(hidden, 29)) == sum(layers)
    assert multiplied_weights(Geometry(hidden, 29, layer_norm=True)) == sum(layers)
    assert useful_operations(Geometry(hidden, 29), 10) == 60 * sum(layers)


def test_our_log(tmp_path):
    (tmp_path / "checkpoint").mkdir()
    lineage = {"last": {"number": 3, "seconds": 0.75}}
    (tmp_path / "checkpoint" / "lineage.json").write_text(json.dumps(lineage), encoding="utf-8")
    timing = Bootstrap().read_log(arriving(OUR_LOG), 3, tmp_path, 7)
    assert timing == Timing(2.0, 1.0, later_epochs=2.0, checkpoint=0.25, peak_bytes=7)


@pytest.fixture
def coqui(tmp_path: Path) -> Coqui:
    python = tmp_path / "train" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    return Coqui(tmp_path)


def test_coquis_log(coqui, tmp_path):
    timing = coqui.read_log(arriving(COQUI_LOG), 3, tmp_path, 7)
    assert timing == Timing(3.0, 1.0, later_epochs=5.0, checkpoint=1.0, peak_bytes=7)


def test_a_log_without_every_epoch_is_refused(coqui, tmp_path):
    with pytest.raises(SystemExit, match="expected the end of 4 epochs, found 3"):
        coqui.read_log(arriving(COQUI_LOG), 4, tmp_path, 7)
    with pytest.raises(SystemExit, match="expected the end of 1 epochs, found 0"):
        coqui.read_log([], 1, tmp_path, 7)


class Scripted(Coqui):
    """Runs a Python program in place of the trainer."""

    def __init__(self, program: str) -> None:
        self.program = program

    def command(self, settings: Settings, corpus: NoiseCorpus, folder: Path) -> list[str]:
        return [sys.executable, "-c", self.program]


def test_lines_are_timed_as_they_arrive(tmp_path):
    program = (
        "import time\n"
        "print('I Training epoch 0...')\n"
        "print('I Finished training epoch 0 - loss: 1')\n"
        "time.sleep(0.2)\n"
        "print('I Training epoch 1...')\n"
        "time.sleep(0.4)\n"
        "print('I Finished training epoch 1 - loss: 1')\n"
    )
    timing = Scripted(program).run(Settings(8, 8, epochs=2), CORPUS, tmp_path)
    # Were they read only at the end, nothing would lie between them.
    assert timing.later_epochs > 0.4
    assert timing.checkpoint > 0.1


def test_the_benchmark_itself_stays_small():
    """A process counts at least the memory of the one that started it."""
    program = (
        "import sys; import tests.benchmarks.training_speed; print('tensorflow' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.stdout == "False\n", run.stderr


def test_a_run_that_fails_shows_the_end_of_its_log(tmp_path):
    program = "import sys; print('no room on the device'); sys.exit(3)"
    with pytest.raises(SystemExit, match=r"no room on the device\nerror: .* exit status 3"):
        Scripted(program).run(SETTINGS, CORPUS, tmp_path)


def test_a_reference_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(SystemExit, match=r"install_reference\.sh"):
        Coqui(tmp_path / "nowhere")


def test_both_get_the_same_settings(coqui, tmp_path):
    theirs = coqui.command(SETTINGS, CORPUS, tmp_path)
    ours = Bootstrap().command(SETTINGS, CORPUS, tmp_path)
    common = ours[ours.index("--train_files") :]
    assert common == theirs[theirs.index("--train_files") :][: len(common)]
    assert "--dev_files" not in common


def test_speed_counts_only_later_epochs():
    run = timed("ours", later_epochs=50.0, checkpoint=5.0)
    assert run.speed == 2 * 100 / 50
    assert run.speed_of_steps == 2 * 100 / 40
    operations = useful_operations(Geometry(512, 29), 2 * 5000)
    assert run.operations_a_second == pytest.approx(operations / 40)


def test_ratios_go_pair_by_pair():
    seconds = {"ours": (10.0, 20.0), "theirs": (30.0, 40.0)}
    runs = [timed(name, seconds[name][turn]) for turn in range(2) for name in seconds]
    assert ratios(runs) == {"ours": [3.0, 2.0]}
    table = to_table(SETTINGS, runs, PEAKS)
    assert "ours: 2.50 times as fast as theirs; pair by pair: 3.00, 2.00" in table
    assert ratios(runs[::2]) == {}


def test_shares_are_of_the_peak_of_what_is_multiplied():
    full = timed("full", 20.0)
    short = dataclasses.replace(full, trainer="short", multiplies_in="bfloat16")
    rows = to_table(SETTINGS, [full, short], PEAKS).splitlines()
    shares = {row.split(",")[0].strip(): row.split()[4] for row in rows if "median" in row}
    assert float(shares["full"].rstrip("%")) == pytest.approx(
        4 * float(shares["short"].rstrip("%")), abs=0.3
    )


def test_a_precision_is_asked_for_by_its_flag(tmp_path):
    trainers = {each: Bootstrap(each) for each in ("auto", "off", "bfloat16")}
    for precision, trainer in trainers.items():
        command = trainer.command(SETTINGS, CORPUS, tmp_path)
        assert command[command.index("--mixed_precision") + 1] == precision
    assert trainers["off"].name == "stt-bootstrap, float32"
    assert trainers["bfloat16"].multiplies_in == "bfloat16"
    assert "--mixed_precision" not in Bootstrap().command(SETTINGS, CORPUS, tmp_path)


def test_medians_in_the_table():
    runs = [timed("ours", seconds) for seconds in (10.0, 20.0, 200.0)]
    (row,) = (line for line in to_table(SETTINGS, runs, PEAKS).splitlines() if "median" in line)
    assert row.split()[2] == "10.0"


def test_the_corpus_fills_the_last_batch():
    assert [whole_batches(utterances, 8) for utterances in (1, 16, 17)] == [16, 16, 24]


def test_sizes_below_one_are_refused(capsys):
    for flag in ("--utterances", "--batch_size", "--runs"):
        with pytest.raises(SystemExit):
            _parse([flag, "0"])
        assert f"{flag}: expected 1 or more, got 0" in capsys.readouterr().err


def test_batches_are_those_of_a_large_corpus(tmp_path):
    corpus = write_noise_corpus(tmp_path, 16, batch_size=8)
    samples = read_samples([corpus.manifest], read_alphabet(corpus.alphabet))
    frames = [sample.frames for sample in samples]
    # Batches of their own lengths, in which nearly all frames are speech.
    assert max(frames[:8]) < min(frames[8:])
    longest = [max(frames[:8])] * 8 + [max(frames[8:])] * 8
    assert corpus.padding == pytest.approx(1 - sum(frames) / sum(longest))
    assert corpus.padding < 0.01
    drawn = write_noise_corpus(tmp_path, 16)
    assert drawn.padding == 0


def test_the_corpus_can_be_trained_on_and_is_the_same_every_time(tmp_path):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    corpus, again = (write_noise_corpus(tmp_path / name, 20) for name in ("first", "second"))
    samples = read_samples([corpus.manifest], read_alphabet(corpus.alphabet))

    assert len(samples) == corpus.utterances == 20
    assert sum(sample.frames for sample in samples) == corpus.frames
    assert sum(sample.seconds for sample in samples) == pytest.approx(corpus.seconds)
    assert all(sample.frames >= 2 * frames_needed(sample.labels) for sample in samples)
    assert all(2 <= sample.seconds <= 12.1 for sample in samples)
    for sample in samples:
        twin = again.manifest.parent / sample.utterance.path.name
        assert sample.utterance.path.read_bytes() == twin.read_bytes()


def test_sorting_by_bytes_and_by_frames_gives_the_same_batches(tmp_path):
    corpus = write_noise_corpus(tmp_path, 40)
    samples = read_samples([corpus.manifest], read_alphabet(corpus.alphabet))
    by_bytes = sorted(range(40), key=lambda row: samples[row].utterance.wav_filesize)
    ours = [row for batch in plan_batches(samples, 8) for row in batch.rows]
    assert ours == by_bytes


def test_noise_is_no_silence_and_does_not_clip(tmp_path):
    corpus = write_noise_corpus(tmp_path, 1)
    samples, rate = soundfile.read(corpus.manifest.parent / "1.wav")
    assert rate == 16000
    assert 0.4 < np.abs(samples).max() < 0.6


def test_random_text_has_the_length_asked_for_and_keeps_to_the_alphabet():
    draw = random.Random(1)
    for characters in range(1, 200):
        text = random_text(characters, draw)
        assert len(text) == characters
        assert text == text.strip()
        assert set(text) <= set(LABELS)
