"""What an import costs: memory by its number of clips."""

import gc
import json
import shutil
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from stt_model.corpus.split_plan import SplitPlan
from stt_model.corpus.splitting import NEW, Speech, draw_splits
from stt_model.importing import importer
from stt_model.importing.importer import import_corpus
from stt_model.importing.state import State
from tests.stt_model.importing import samples

ROOT = Path(__file__).parents[3]


def write_clips(folder, count):
    """Write a table of so many clips, by thirty speakers; a thousand are names of one file."""
    samples.write_audio(folder / "clip.wav", 0.5)
    lines = ["file,sentence,speaker"]
    first = folder
    for number in range(count):
        name = f"clips/{number // 1000:03d}/{number:07d}.wav"
        # File systems limit the names of a file, ext4 to 65,000.
        if number % 1000:
            (folder / name).hardlink_to(first)
        else:
            first = folder / name
            first.parent.mkdir(parents=True)
            shutil.copy(folder / "clip.wav", first)
        lines.append(f"{name},sentence {number},speaker {number % 30}")
    samples.write_text(folder / "list.csv", "\n".join(lines) + "\n")
    (folder / "clip.wav").unlink()
    return folder / "list.csv"


def most_memory(work):
    """Return the most memory that something took in Python, in bytes."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_clips_that_are_imported_do_not_stay_in_memory(tmp_path, monkeypatch):
    commit, held = State.commit, []

    def commit_and_look(state):
        commit(state)
        gc.collect()
        held.append(tracemalloc.get_traced_memory()[0])

    monkeypatch.setattr(importer, "_AT_ONCE", 128)
    monkeypatch.setattr(State, "commit", commit_and_look)
    table = write_clips(tmp_path / "source", 128 * 20)
    most_memory(lambda: import_corpus(str(table), str(tmp_path / "out")))
    assert len(held) == 20
    # Modules that are loaded meanwhile make a few of the steps large.
    assert np.median(np.diff(held)) / 128 < 8


def test_drawing_splits_takes_a_hundred_bytes_a_clip():
    def draw(clips):
        some = np.random.default_rng(clips)
        speech = Speech(
            speakers=some.integers(1, clips // 50, clips).astype(np.uint64),
            texts=some.integers(1, 3 * clips, clips).astype(np.uint64),
            seconds=some.uniform(1, 8, clips),
            strata=some.integers(0, 3, clips).astype(np.uint64),
            previous=np.full(clips, NEW, np.int8),
        )
        return most_memory(lambda: draw_splits(speech, SplitPlan()))

    draw(1000)
    assert (draw(60_000) - draw(10_000)) / 50_000 < 100


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_importing_ten_times_as_many_clips_takes_hardly_more_memory(tmp_path):
    found = {}
    for clips in (10_000, 100_000):
        table = write_clips(tmp_path / str(clips), clips)
        run = subprocess.run(
            [sys.executable, "-c", _IMPORT, str(table), str(tmp_path / f"out{clips}")],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        found[clips] = json.loads(run.stdout.splitlines()[-1])
        print(f"{clips} clips:", found[clips])
    few, many = found[10_000], found[100_000]
    assert many["seconds"] < 13 * few["seconds"]
    assert (many["peak_mib"] - few["peak_mib"]) * 2**20 / 90_000 < 250


_IMPORT = """
import json, resource, sys
from stt_model.importing.importer import import_corpus
from stt_model.importing.state import State
import_corpus(*sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_SELF)
seconds = used.ru_utime + used.ru_stime
print(json.dumps({"seconds": seconds, "peak_mib": used.ru_maxrss / 1024}))
"""
