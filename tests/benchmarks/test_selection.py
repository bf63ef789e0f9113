import json
from dataclasses import asdict

import pytest

from stt_model.jobs.trials import Counts, Trial
from tests.benchmarks.selection import (
    DROPPED,
    SENTENCES_REPEATED,
    SPOKEN,
    Sizes,
    measure,
    plan,
    report,
)

SIZES = Sizes(transcribed=24, pool=40, dev=30, test=4)


def test_a_pool_is_mostly_one_voice_that_repeats_itself():
    planned = plan(SPOKEN["Swahili"], 1, SIZES)
    assert [len(planned[split]) for split in ("train", "dev", "test")] == [64, 30, 4]
    pool = planned["train"][24:]
    repeated = [clip for clip in pool if clip.voice == planned["train"][0].voice]
    assert len(repeated) >= 24
    assert len({clip.text for clip in repeated}) <= SENTENCES_REPEATED + len(repeated) - 24
    assert planned == plan(SPOKEN["Swahili"], 1, SIZES)
    assert planned["train"] != plan(SPOKEN["Swahili"], 2, SIZES)["train"]


def test_the_report_has_the_median_over_seeds(tmp_path):
    for seed, errors in ((1, 5), (2, 1), (3, 2)):
        counts = Counts([1], [2], [errors], [10])
        trial = Trial("digest", 10, 0.1, 3, 2, 1.0, counts)
        place = tmp_path / f"Swahili-{seed}"
        (place / "random").mkdir(parents=True)
        (place / "random" / "trial.json").write_text(json.dumps(asdict(trial)))
        found = {"kept": False, "clips": 7, "summary": "First model kept.", **asdict(counts)}
        (place / "pseudo.json").write_text(json.dumps(found))
    text = "\n".join(report(tmp_path, ["Swahili"], [1, 2, 3]))
    assert "at random | 20.0% (50.0%, 10.0%, 20.0%) |" in text
    assert "without transcripts | 20.0% (50.0%, 10.0%, 20.0%) |" in text
    assert "Swahili, seed 2, pseudo-labels: 7 clips taken." in text


@pytest.mark.slow
def test_all_ways_are_measured_once(tmp_path, capsys):
    assert set(SPOKEN) == set(DROPPED)
    for _ in range(2):
        measure(tmp_path / "Swahili-1", "Swahili", 1, SIZES, epochs=1)
    text = "\n".join(report(tmp_path, ["Swahili"], [1]))
    assert text.count("%") == 8
    assert "seed 1, pseudo-labels" in text
