"""What a corpus costs before the first step: time and memory, by its number of rows."""

import gc
import json
import resource
import subprocess
import sys
import time
import tracemalloc
from functools import lru_cache
from pathlib import Path

import pytest

from stt_model.corpus import validation
from stt_model.corpus.dataset import read_samples
from stt_model.corpus.manifests import write_manifest
from stt_model.corpus.validation import validate
from stt_model.features import store as feature_store
from stt_model.features.batches import batch_dataset, plan_batches
from stt_model.features.store import FeatureStore
from stt_model.training.learner import Learner
from stt_model.training.trainer import train
from tests.corpora import write_tones
from tests.stt_model.training_runs import ALPHABET, make_config, write_source

TEXTS = ["abcd abc", "dab cab", "abba", "dada caba", "bcd", "acbd dbca abcd"]
STEPS = 20
ROOT = Path(__file__).parents[3]


def write_rows(folder, rows):
    """Write a manifest of so many rows over a few clips."""
    folder.mkdir(exist_ok=True)
    head, *lines = write_tones(folder / "few.csv", TEXTS).read_text().splitlines(keepends=True)
    manifest = folder / "train.csv"
    manifest.write_text(head + "".join(lines[row % len(lines)] for row in range(rows)))
    return manifest


def held_after_reading(manifest):
    """Return the bytes of memory that a manifest's samples take, and their number."""
    tracemalloc.start()
    try:
        samples = read_samples([manifest], ALPHABET)
        # What a collection would free is not held.
        gc.collect()
        return tracemalloc.get_traced_memory()[0], len(samples)
    finally:
        tracemalloc.stop()


def test_a_row_takes_no_more_memory_than_its_lengths(tmp_path):
    # The first time, modules and buffers come along.
    held_after_reading(write_rows(tmp_path, 10))
    few, many = (held_after_reading(write_rows(tmp_path, rows)) for rows in (500, 6000))
    assert (few[1], many[1]) == (500, 6000)
    assert (many[0] - few[0]) / 5500 < 56


def held_after_validation(manifest):
    """Return the most memory that validating a manifest took, and what its outcome holds."""
    tracemalloc.start()
    try:
        result = validate({"train": manifest}, workers=1)
        write_manifest(manifest.with_name("clean.csv"), result.accepted["train"])
        held, most = tracemalloc.get_traced_memory()
        # Every row is a copy of one of a few, and so has a finding.
        assert len(result.findings) >= len(result.accepted["train"]) - len(TEXTS)
        return held, most
    finally:
        tracemalloc.stop()


def test_a_row_that_is_validated_takes_little_memory_whatever_is_found(tmp_path, monkeypatch):
    # Decoding is not what is measured here, and takes long while memory is looked at.
    monkeypatch.setattr(validation, "measure_clip", lru_cache(validation.measure_clip))
    monkeypatch.setattr(validation, "_CHUNK", 64)
    held_after_validation(write_rows(tmp_path, 10))
    few, many = (held_after_validation(write_rows(tmp_path, rows)) for rows in (1100, 2600))
    # Of each row, 8 bytes are meant to be kept.
    assert (many[0] - few[0]) / 1500 < 40
    assert (many[1] - few[1]) / 1500 < 40


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_million_rows_are_validated_in_the_time_and_the_memory_that_a_tenth_foretells(tmp_path):
    found = {}
    for rows in (100_000, 1_000_000):
        write_rows(tmp_path / str(rows), rows)
        run = subprocess.run(
            [sys.executable, "-c", _VALIDATE, str(tmp_path / str(rows) / "train.csv")],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        found[rows] = json.loads(run.stdout.splitlines()[-1])
        print(f"{rows} rows:", found[rows])
    few, many = found[100_000], found[1_000_000]
    assert many["seconds"] < 12 * few["seconds"]
    assert (many["peak_mib"] - few["peak_mib"]) * 2**20 / 900_000 < 60


_VALIDATE = """
import json, resource, sys, time
from pathlib import Path
from stt_model.corpus.manifests import write_manifest
from stt_model.corpus.validation import validate
result = validate({"train": Path(sys.argv[1])})
result.write(Path(sys.argv[1]).with_name("clean"))
used = resource.getrusage(resource.RUSAGE_SELF)
seconds = used.ru_utime + used.ru_stime
print(json.dumps({"seconds": seconds, "peak_mib": used.ru_maxrss / 1024}))
"""


def test_the_first_batch_is_there_before_the_corpus_is_read(tmp_path, monkeypatch):
    decoded = []

    def count_and_decode(path, **options):
        decoded.append(path)
        # A little slower than what uses them.
        time.sleep(0.001)
        return read_audio(path, **options)

    read_audio = feature_store.read_audio
    monkeypatch.setattr(feature_store, "read_audio", count_and_decode)
    samples = read_samples([write_rows(tmp_path, 2000)], ALPHABET)
    assert not decoded
    elements = iter(batch_dataset(FeatureStore(samples), plan_batches(samples, 4)))
    assert next(elements)["rows"].shape == (4,)
    assert 4 <= len(decoded) < 500


def begin_training(folder):
    """Train for a few steps; print when the first was done, and the peak of memory, as JSON."""
    started, done = time.monotonic(), []
    step = Learner.train_step

    def watched(learner, batch):
        result = step(learner, batch)
        done.append(time.monotonic() - started)
        if len(done) == STEPS:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            print(json.dumps({"first_step_seconds": done[0], "peak_mib": peak / 1024}))
            raise SystemExit
        return result

    Learner.train_step = watched
    train(make_config(folder, folder / "source", folder / "out", dev_files=[], train_batch_size=16))


@pytest.mark.slow
def test_200000_rows_are_trained_on_within_a_minute_in_the_memory_of_20000(tmp_path):
    found = {}
    for rows in (20_000, 200_000):
        folder = tmp_path / str(rows)
        write_rows(folder, rows)
        write_source(folder / "source")
        run = subprocess.run(
            [sys.executable, "-m", "tests.stt_model.corpus.test_large_corpora", str(folder)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            timeout=240,
        )
        found[rows] = json.loads(run.stdout.splitlines()[-1])
        print(f"{rows} rows:", found[rows])
    assert found[200_000]["first_step_seconds"] < 60
    bytes_a_row = (found[200_000]["peak_mib"] - found[20_000]["peak_mib"]) * 2**20 / 180_000
    assert bytes_a_row < 200


if __name__ == "__main__":
    begin_training(Path(sys.argv[1]))
