import itertools
import json
from dataclasses import asdict

from tests.benchmarks.bootstrapping_gain import (
    BATCH_SIZE,
    LANGUAGES,
    SIZES,
    STEPS,
    WAYS,
    Run,
    Way,
    report,
)


def test_every_run_makes_the_same_number_of_steps():
    for clips in SIZES:
        steps_an_epoch = -(-clips // BATCH_SIZE)
        assert Run("Swahili", clips, 1, Way(0)).epochs * steps_an_epoch == STEPS


def test_ways_differ_and_only_the_output_layer_is_started_warm():
    assert len(set(map(str, WAYS))) == len(WAYS)
    assert {way.drop_source_layers for way in WAYS if way.warm_start} == {1}


def write_results(path, cers):
    with path.open("w", encoding="utf-8") as file:
        for run, cer in cers:
            print(json.dumps({"key": run.key, **asdict(run), "cer": cer}), file=file)


def test_the_report_has_the_median_and_the_range_over_seeds(tmp_path):
    way = Way(2, freeze=True)
    cers = [(Run("Swahili", 240, seed, way), cer) for seed, cer in enumerate((0.5, 0.2, 0.3))]
    write_results(tmp_path / "results.jsonl", cers)
    rows = [line for line in report(tmp_path / "results.jsonl").splitlines() if str(way) in line]
    assert rows[1] == "| 2 dropped, frozen at first |  | 30.0% (20.0% to 50.0%) |  |"


def test_the_gain_is_the_mean_over_languages_and_sizes(tmp_path):
    runs = [Run(*each, 1, way) for each in itertools.product(LANGUAGES, SIZES) for way in WAYS]
    cers = [(run, 0.5 if run.way == WAYS[0] else run.clips / 6400) for run in runs]
    write_results(tmp_path / "results.jsonl", cers)
    scratch, first, *_ = report(tmp_path / "results.jsonl").splitlines()[2:]
    assert scratch.endswith("| 0.0 |")
    # 50 points, less the mean of 80, 240 and 640 in 6400.
    assert first.endswith("| 45.0 |")


def test_every_run_is_told_apart_from_all_others():
    languages, seeds = ("Swahili", "Macedonian"), (1, 2)
    runs = [Run(*each) for each in itertools.product(languages, SIZES, seeds, WAYS)]
    assert len({run.key for run in runs}) == len(runs)
