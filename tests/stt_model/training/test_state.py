"""The state of a run, as its file has it: whatever else lies there is refused in one line."""

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt_model.base.errors import TrainingError
from stt_model.training.loss_scale import LossScale
from stt_model.training.schedule import DevRecord
from stt_model.training.state import Epoch, RunState, Totals, read_state

STATE = RunState(
    identity={"epochs": 2},
    source={"name": "best_dev-1", "digest": "0", "lineage": None},
    found=["best_dev-1"],
    step=7,
    learning_rate=0.1,
    epoch=2,
    totals=Totals(1, 2, 3.0, 4.0, 5.0),
    record=DevRecord(3.5, 1, 0),
    random_state={"dropout": [1, 2]},
    loss_scale=LossScale(),
    history=[Epoch(0, None, 4.0, 0.1, 1.0, 1.0, True), Epoch(1, 4.0, 3.5, 0.1, 1.0, 1.0, True)],
).to_json()


def read(tmp_path, content):
    path = tmp_path / "a.training.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_state(path)


def test_a_written_state_is_read_back_unchanged(tmp_path):
    assert read(tmp_path, STATE).to_json() == STATE


@pytest.mark.parametrize(
    "changes",
    [
        {"epoch": "2"},
        {"epoch": 0},
        {"epoch": 5},
        {"step": -1},
        {"step": 1.5},
        {"iterations": True},
        {"learning_rate": 0},
        {"learning_rate": None},
        {"learning_rate": float("inf")},
        {"totals": []},
        {"totals": {"batches": -1}},
        {"totals": {"other": 1}},
        {"record": {"best_loss": 1.0, "best_epoch": 7}},
        {"random_state": {"dropout": ["1"]}},
        {"random_state": [1]},
        {"loss_scale": 3},
        {"loss_scale": {"factor": 0.0}},
        {"history": {}},
        {"history": [1]},
        {"found": "best"},
        {"source": {}},
        {"source": {"name": "a", "lineage": 3}},
        {"identity": 1},
        {"format": 2},
        {"other": 1},
    ],
)
def test_a_value_that_no_run_writes_is_one_line(tmp_path, changes):
    with pytest.raises(TrainingError, match="expected the state of a run in format 1") as refused:
        read(tmp_path, {**STATE, **changes})
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "text", ['{"format": 1, "\x7f\\n": 1}', "[" * 100_000, "[]", "1", "", '{"format": 1}']
)
def test_other_json_is_one_line(tmp_path, text):
    with pytest.raises(TrainingError, match="expected the state of a run"):
        read(tmp_path, text)


def places_of(value, path=()):
    if path:
        yield path
    if isinstance(value, dict):
        for key, child in value.items():
            yield from places_of(child, (*path, key))
    elif isinstance(value, list):
        for key, child in enumerate(value):
            yield from places_of(child, (*path, key))


@given(
    st.sampled_from(list(places_of(STATE))),
    st.sampled_from([None, True, -1, 10**30, 1.5, "x", [], {}, [[]], {"a": None}]),
)
def test_any_one_value_replaced_is_read_or_refused(tmp_path_factory, place, value):
    changed = copy.deepcopy(STATE)
    target = changed
    for key in place[:-1]:
        target = target[key]
    target[place[-1]] = value
    try:
        read(tmp_path_factory.getbasetemp(), changed)
    except TrainingError as error:
        assert "\n" not in str(error)
