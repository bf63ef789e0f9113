import json
import wave

import pytest

from tests.benchmarks import defaults
from tests.benchmarks.defaults import Corpus, Run, beside_best, bring, plan, report


def test_the_first_ways_of_all_corpora_come_before_everything_else():
    corpora = [Corpus("a", "fine-tune", 800), Corpus("b", "transfer", 60)]
    runs = plan(corpora, [200, 50], [1, 2], ["batch 16", "frozen at first", "the rule"])
    assert runs[:6] == [
        Run("a", "fine-tune", 50, 1, "the rule"),
        Run("b", "transfer", 50, 1, "the rule"),
        Run("a", "fine-tune", 200, 1, "the rule"),
        Run("a", "fine-tune", 50, 2, "the rule"),
        Run("b", "transfer", 50, 2, "the rule"),
        Run("a", "fine-tune", 200, 2, "the rule"),
    ]
    assert {(run.corpus, run.clips) for run in runs} == {("a", 50), ("a", 200), ("b", 50)}
    assert {run.corpus for run in runs if run.way == "frozen at first"} == {"b"}
    assert len({run.key for run in runs}) == len(runs)


@pytest.mark.parametrize(("text", "mode"), [("ona", "fine-tune"), ("öna", "transfer")])
def test_a_corpus_that_is_there_is_cut_and_its_letters_decide(tmp_path, text, mode):
    root = tmp_path / "speech" / "prompts"
    root.mkdir(parents=True)
    with wave.open(str(root / "a.wav"), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(bytes(3200))
    for split, clips in (("train", 7), ("dev", 70), ("test", 1)):
        rows = [f"a.wav,3244,{text} {number}" for number in "abcdefg" * (clips // 7 or 1)][:clips]
        (root / f"{split}.csv").write_text(
            "\n".join(["wav_filename,wav_filesize,transcript", *rows])
        )
    target = tmp_path / "results"
    target.mkdir()
    assert bring(target, root, [3, 200]) == Corpus("prompts", mode, 7)
    parts = {path.name: path.read_text().splitlines() for path in (target / "prompts").iterdir()}
    assert len(parts["train-3.csv"]) == 4
    assert parts["train-3.csv"] == parts["train-200.csv"][:4], "smaller parts are in larger ones"
    assert len(parts["dev-part.csv"]) == 1 + defaults.DEV_CLIPS
    assert str(root / "a.wav") in parts["test-part.csv"][1]


def test_the_report_compares_medians_with_the_best_and_with_scratch(tmp_path):
    results = tmp_path / "results.jsonl"
    cers = {
        "the rule": {1: 0.2, 2: 0.11, 3: 0.1},
        "rate x 3": {1: 0.1},
        "from scratch": {1: 0.44},
    }
    lines = [
        {"corpus": "a", "mode": "transfer", "clips": 50, "way": way, "seed": seed, "cer": cer}
        for way, seeds in cers.items()
        for seed, cer in seeds.items()
    ]
    lines += [{**line, "corpus": "b", "cer": 0.5 - line["cer"]} for line in lines]
    lines.append({**lines[0], "corpus": "c"})
    results.write_text("\n".join(map(json.dumps, lines)))
    text = report(results)
    assert "| a, transfer, 50 | 11.0% (3) | 10.0% (1) | 44.0% (1) | +10% |" in text
    assert "| b, transfer, 50 | 39.0% (3) | 40.0% (1) | 6.0% (1) | +550% |" in text
    assert "| c, transfer, 50 | 20.0% (1) |  |  |  |" in text, "compared with nothing"
    assert "| rate x 3 | -3% | 0 | 0 | 2 |" in text
    assert "within 10% of the best in 1 of 2 cases" in text
    assert "worse than training from scratch in 1 of 2" in text


def test_a_rule_without_errors_is_the_best_there_can_be():
    assert beside_best({"the rule": 0.0, "rate x 3": 0.1}) == 0
    assert beside_best({"the rule": 0.1, "rate x 3": 0.0}) == float("inf")
