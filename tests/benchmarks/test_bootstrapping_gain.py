import itertools
import json
from dataclasses import asdict

from tests.benchmarks.bootstrapping_gain import BATCH_SIZE, SIZES, STEPS, WAYS, Run, Way, report


def test_every_run_makes_the_same_number_of_steps():
    for clips in SIZES:
        steps_an_epoch = -(-clips // BATCH_SIZE)
        assert Run("Swahili", clips, 1, Way(0)).epochs * steps_an_epoch == STEPS


def test_ways_differ_and_only_the_output_layer_is_started_warm():
    assert len(set(map(str, WAYS))) == len(WAYS)
    assert {way.drop_source_layers for way in WAYS if way.warm_start} == {1}


def test_the_report_has_the_median_and_the_range_over_seeds(tmp_path):
    results = tmp_path / "results.jsonl"
    with results.open("w", encoding="utf-8") as file:
        for seed, cer in ((1, 0.5), (2, 0.2), (3, 0.3)):
            run = Run("Swahili", 240, seed, Way(2, freeze=True))
            print(json.dumps({"key": run.key, **asdict(run), "cer": cer}), file=file)
    row = next(line for line in report(results).splitlines() if "2 dropped, frozen" in line)
    assert row == "| 2 dropped, frozen at first |  | 30.0% (20.0% to 50.0%) |  |"


def test_every_run_is_told_apart_from_all_others():
    languages, seeds = ("Swahili", "Macedonian"), (1, 2)
    runs = [Run(*each) for each in itertools.product(languages, SIZES, seeds, WAYS)]
    assert len({run.key for run in runs}) == len(runs)
