import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stt_model.base.errors import BootstrapError
from stt_model.jobs import run_settings
from stt_model.jobs.run_settings import default_settings

NAMES = (
    "augment",
    "dev_batch_size",
    "drop_source_layers",
    "early_stop",
    "es_epochs",
    "es_min_delta",
    "export_language",
    "export_quantize",
    "learning_rate",
    "mixed_precision",
    "train_batch_size",
    "warm_start",
)


def read_run_settings(values, uri=""):
    return run_settings.read_run_settings(values, uri, names=NAMES)


def test_without_any_they_are_the_defaults():
    assert list(read_run_settings({})) == list(NAMES)
    assert read_run_settings({}) == {
        **default_settings(NAMES),
        "dev_batch_size": 16,
        "export_language": "",
        "learning_rate": "auto",
        "warm_start": True,
    }


def test_texts_are_read_as_flags_are_and_numbers_as_kubeflow_sends_them():
    found = read_run_settings(
        {"es_min_delta": "2e-1", "dev_batch_size": 8.0, "early_stop": "on", "train_batch_size": 9.0}
    )
    chosen = {
        "es_min_delta": 0.2,
        "dev_batch_size": 8,
        "early_stop": True,
        "train_batch_size": "9",
    }
    assert found == default_settings(NAMES) | chosen
    assert type(found["dev_batch_size"]) is int


def test_settings_given_win_over_the_file(tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text("es_min_delta: 0.001\nes_epochs: 3\n")
    found = read_run_settings({"es_epochs": 4}, str(file))
    assert (found["es_min_delta"], found["es_epochs"]) == (0.001, 4)


@pytest.mark.parametrize(
    ("given_settings", "said"),
    [
        ({"lerning_rate": 1}, "lerning_rate: no such setting (did you mean learning_rate?)"),
        ({"dataset_uri": "x"}, "dataset_uri: no such setting"),
        ({"drop_source_layers": 6}, "drop_source_layers: expected 1 to 5, found 6"),
        ({"dev_batch_size": 1.5}, "dev_batch_size: expected a whole number, found 1.5"),
        ({"early_stop": 1}, "early_stop: expected true or false, found 1"),
        ({"mixed_precision": "float8"}, "mixed_precision: expected"),
        ({"export_language": 7}, "export_language: expected a text, found 7"),
        ({"augment": "loudness[p=1]"}, "augment:"),
    ],
)
def test_unusable_settings_are_named(given_settings, said):
    with pytest.raises(BootstrapError) as refused:
        read_run_settings(given_settings)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_all_problems_are_told_at_once():
    with pytest.raises(BootstrapError, match=r"warm_stat: .*; es_min_delta: "):
        read_run_settings({"warm_stat": True, "es_min_delta": -1})


@pytest.mark.parametrize("content", ["[1, 2]", "{", "7"])
def test_a_file_that_is_no_object_is_named(tmp_path, content):
    file = tmp_path / "settings.json"
    file.write_text(content)
    with pytest.raises(BootstrapError, match=r"settings\.json: expected"):
        read_run_settings({}, str(file))


VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers())
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(st.sampled_from([*NAMES, "other"]), VALUES))
def test_any_object_gives_settings_or_one_line(values):
    try:
        found = read_run_settings(json.loads(json.dumps(values)))
    except BootstrapError as error:
        assert "\n" not in str(error) or "\n" in str(values)
    else:
        for name, default in default_settings(NAMES).items():
            assert type(found[name]) is type(default)


@pytest.mark.parametrize("name", ["dataset_uri", "checkpoint_uri"])
def test_a_field_of_the_form_that_was_emptied_is_named(name):
    fields = {"dataset_uri": "/corpus", "checkpoint_uri": "/model", name: " "}
    with pytest.raises(BootstrapError, match=f"{name}: expected a URI .* found nothing"):
        run_settings.begin_run(fields.pop("dataset_uri"), **fields, settings={}, names=[])
