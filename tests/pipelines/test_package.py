import pytest

from stt_bootstrap.pipelines.package import (
    Parameter,
    ParameterError,
    check_parameters,
    package_parameters,
)
from stt_bootstrap.pipelines.parameter_table import parameter_table

NEEDED = {"dataset_uri": "data", "checkpoint_uri": "checkpoint"}


def test_only_dataset_and_checkpoint_have_no_default():
    parameters = package_parameters()
    assert list(parameters)[:2] == ["checkpoint_uri", "dataset_uri"]
    assert [name for name, each in parameters.items() if each.default is None] == list(parameters)[
        :2
    ]


def test_types_and_defaults_are_pythons():
    parameters = package_parameters()
    description = "Utterances per batch of the dev split."
    assert parameters["dev_batch_size"] == Parameter("dev_batch_size", int, 16, description)
    assert type(parameters["dev_batch_size"].default) is int
    assert parameters["warm_start"].default is True
    assert parameters["plateau_reduction"].default == pytest.approx(0.1)
    # One that the job can choose is a text, for a number cannot say so.
    assert (parameters["epochs"].type, parameters["epochs"].default) == (str, "auto")


def test_every_parameter_is_described():
    assert all(parameter.description for parameter in package_parameters().values())


def test_a_whole_number_may_stand_for_a_float():
    checked = check_parameters({**NEEDED, "clip_norm": 1, "dev_batch_size": 3})
    assert checked == {**NEEDED, "clip_norm": 1.0, "dev_batch_size": 3}
    assert type(checked["clip_norm"]) is float


def test_a_number_may_stand_where_auto_may():
    checked = check_parameters({**NEEDED, "learning_rate": 1e-3, "epochs": 3})
    assert checked == {**NEEDED, "learning_rate": "0.001", "epochs": "3"}


def test_none_means_the_default():
    assert check_parameters({**NEEDED, "epochs": None}) == NEEDED


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("es_epochs", True, "int"),
        ("es_epochs", 1.0, "int"),
        ("es_epochs", "1", "int"),
        ("clip_norm", "0.1", "float"),
        ("epochs", True, "str"),
        ("warm_start", 1, "bool"),
        ("mode", 1, "str"),
        ("mode", ["auto"], "str"),
    ],
)
def test_other_types_are_refused(name, value, wanted):
    with pytest.raises(ParameterError) as error:
        check_parameters({**NEEDED, name: value})
    assert f"parameter '{name}' must be {wanted}, found {value!r}" in str(error.value)


def test_credentials_are_no_parameters():
    values = {"dataset_uri": "/data", "checkpoint_uri": "https://me:hush@host/x.zip?token=hush"}
    with pytest.raises(ParameterError, match="'checkpoint_uri' contains credentials") as caught:
        check_parameters(values)
    assert "https://host/x.zip " in str(caught.value) and "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("epochs", 0, "'epochs': expected a whole number, 1 or more, or auto, found '0'"),
        ("mode", "transfr", "'mode': expected auto, fine-tune or transfer, found 'transfr'"),
        ("learning_rate", -1, "'learning_rate': expected a number above 0, or auto, found '-1'"),
        ("training_memory", "32 GB", "'training_memory': expected a quantity such as 4 or 16Gi"),
        ("gpu_count", "all", "'gpu_count': expected a quantity"),
    ],
)
def test_values_out_of_range_are_refused(name, value, expected):
    with pytest.raises(ParameterError) as error:
        check_parameters({**NEEDED, name: value})
    assert expected in str(error.value)


@pytest.mark.parametrize("quantity", ["4", "0.5", "500m", "16Gi", "20G"])
def test_quantities_as_kubernetes_writes_them(quantity):
    assert check_parameters({**NEEDED, "training_memory": quantity})["training_memory"] == quantity


def test_all_problems_are_told_at_once():
    with pytest.raises(ParameterError) as error:
        check_parameters({"datset_uri": "data", "es_epochs": "1"})
    message = str(error.value)
    assert "unknown parameter 'datset_uri'" in message
    assert "parameter 'dataset_uri' needs a value" in message
    assert "parameter 'checkpoint_uri' needs a value" in message
    assert "parameter 'es_epochs' must be int" in message
    assert "\n" not in message


def test_the_table_has_a_row_for_each_parameter():
    lines = parameter_table().splitlines()
    assert len(lines) == len(package_parameters()) + 2
    assert "| `dev_batch_size` | int | `16` | Utterances per batch of the dev split. |" in lines
    assert lines[2].startswith("| `checkpoint_uri` | str | required | ")
