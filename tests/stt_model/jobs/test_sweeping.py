"""A sweep of tones: shared work is done once, and nothing finished is done again."""

import pytest

from stt_model.base import BootstrapError, DataError
from stt_model.checkpoint.directory import open_checkpoint
from stt_model.corpus import audio
from stt_model.jobs import sweep_plan, sweeping
from stt_model.jobs.sweep_plan import prepare_sweep, read_depths, read_rates, read_rungs
from stt_model.jobs.sweeping import survivors, sweep
from tests.corpora import write_tone_dataset
from tests.stt_model.training_runs import write_source

SETTINGS = {
    "train_batch_size": 4,
    "augment": "none",
    "dropout_rate": 0.0,
    "epochs": 3,
    # By default each training measures which is faster, and two may find otherwise.
    "mixed_precision": "off",
}

# Equal sources would be equal members, and trained once.
SOURCES = {"first": 8, "second": 12}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    # A letter more than the source has: it cannot be fine-tuned.
    root = tmp_path_factory.mktemp("corpus") / "tones"
    return write_tone_dataset(root, letters="abcde", train=8, other=3)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    root = tmp_path_factory.mktemp("sources")
    return [str(write_source(root / name, n_hidden=n)) for name, n in SOURCES.items()]


@pytest.mark.parametrize(
    ("text", "depths"), [("1..5", [1, 2, 3, 4, 5]), ("0,2", [0, 2]), ("1 1 0", [1, 0])]
)
def test_depths_are_numbers_and_ranges(text, depths):
    assert read_depths(text) == depths


@pytest.mark.parametrize("text", ["", "6", "1..9", "..2", "x", "-1", "1..x"])
def test_other_depths_are_refused_in_one_line(text):
    with pytest.raises(DataError, match=r"--drop_source_layers: expected numbers from 0"):
        read_depths(text)


def test_rates_and_rungs():
    assert read_rates("auto,0.001 1e-3") == [None, 0.001]
    assert read_rates("") == [None]
    assert read_rungs("") == []
    assert read_rungs("5,15") == [5, 15]
    for text in ("fast", "0", "nan", "-1"):
        with pytest.raises(DataError, match="--learning_rate: expected"):
            read_rates(text)
    for text in ("5,5", "0,3", "x", "9,3"):
        with pytest.raises(DataError, match="--rungs: expected"):
            read_rungs(text)


def test_a_way_that_is_impossible_is_left_out_with_its_reason(corpus, sources, tmp_path):
    plan = prepare_sweep([str(corpus)], sources, tmp_path, drop_depths="0..2", **SETTINGS)
    assert [(each.source, each.drop_source_layers) for each in plan.members] == [
        ("first", 1),
        ("first", 2),
        ("second", 1),
        ("second", 2),
    ]
    assert len(plan.left_out) == 2
    assert "tones, first, depth 0" in plan.left_out[0]
    again = prepare_sweep([str(corpus)], sources, tmp_path, drop_depths="0..2", **SETTINGS)
    assert again == plan
    other = prepare_sweep([str(corpus)], sources, tmp_path, random_seed=3, **SETTINGS)
    assert not {each.key for each in other.members} & {each.key for each in plan.members}
    with pytest.raises(DataError, match="there is nothing to train: tones, first, depth 0"):
        prepare_sweep([str(corpus)], sources, tmp_path, drop_depths="0", **SETTINGS)


def test_a_sweep_that_was_broken_off_repeats_nothing(corpus, sources, tmp_path, monkeypatch):
    done, read = [], []
    run_member = sweeping.run_member
    read_audio = audio.read_audio

    def counted(folder, member, rung, place, cache):
        if len(done) == 5:
            raise BootstrapError("the machine went down")
        before = {path.name for path in place.glob("*.json")}
        result = run_member(folder, member, rung, place, cache)
        if {path.name for path in place.glob("*.json")} != before:
            done.append((member.source, member.drop_source_layers, rung))
        return result

    monkeypatch.setattr(sweeping, "run_member", counted)
    monkeypatch.setattr(
        "stt_model.features.store.read_audio",
        lambda *given, **more: read.append(given) or read_audio(*given, **more),
    )
    given = ([str(corpus)], sources, tmp_path / "out")
    asked = {"drop_depths": "1..2", "rungs": "1", "learning_rates": "0.01", **SETTINGS}
    with pytest.raises(BootstrapError, match="went down"):
        sweep(*given, **asked)
    assert [rung for *_, rung in done] == [1, 1, 1, 1, 0]
    # Features of train and dev once, of dev again for each test: those take no cache.
    assert len({path for path, *_ in read if "train" in str(path)}) == 8
    assert len([path for path, *_ in read if "train" in str(path)]) == 8
    first = list(done)
    done.clear()
    (swept,) = sweep(*given, **asked)
    assert len(done) == 1, "only the second of the two that go to the end was missing"
    assert set(done).isdisjoint(first)
    board = swept.leaderboard
    assert len(board.rows) == 4
    assert board.rows[0].finished
    assert sum(row.finished for row in board.rows) == 2
    assert {row.epochs for row in board.rows} == {1, 3}
    assert open_checkpoint(swept.model).geometry.n_hidden == SOURCES[swept.winner.source]
    assert (swept.export / "output_graph.tflite").is_file()
    page = (tmp_path / "out" / "leaderboard-tones.html").read_text()
    assert ">stopped<" in page
    assert "<script" not in page
    done.clear()
    sweep(*given, **asked)
    assert done == []


def test_a_training_resumed_after_a_rung_equals_one_that_never_stopped(corpus, sources, tmp_path):
    asked = {"drop_depths": "1", "learning_rates": "0.01", **SETTINGS}
    (stopped,) = sweep([str(corpus)], sources[:1], tmp_path / "a", rungs="1,2", **asked)
    (straight,) = sweep([str(corpus)], sources[:1], tmp_path / "b", rungs="", **asked)
    assert open_checkpoint(stopped.model).digest() == open_checkpoint(straight.model).digest()


def test_the_better_part_goes_on():
    class Rate:
        def __init__(self, value):
            self.value = value

    class Counts:
        def __init__(self, value):
            self.cer, self.wer = Rate(value), Rate(1 - value)

    class Result:
        def __init__(self, value):
            self.counts = Counts(value)

    members = [sweep_plan.Member(str(n), "c", "s", 1, 0.1, False, {}) for n in range(5)]
    results = {str(n): Result(n / 10) for n in range(5)}
    assert [m.key for m in survivors(members, results, 0.5, "cer")] == ["0", "1", "2"]
    assert [m.key for m in survivors(members, results, 0.01, "wer")] == ["4"]
