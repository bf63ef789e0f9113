"""A parameter stands in one place; components and pipeline say the same of it."""

import pytest
import yaml

from stt_bootstrap.components import COMPONENTS
from stt_bootstrap.pipelines.package import package_parameters
from stt_model.jobs.settings import all_parameters
from tests.components.test_components import ROOT

EVERYWHERE = all_parameters()
OF_THE_CARD = {name for name in EVERYWHERE if name.startswith("export_")}


def inputs_of(component):
    path = ROOT / "components" / component / "component.yaml"
    pipeline, *_ = yaml.safe_load_all(path.read_text(encoding="utf-8"))
    return pipeline["root"].get("inputDefinitions", {}).get("parameters", {})


def declared(component):
    for name, spec in inputs_of(component).items():
        if name in EVERYWHERE:
            yield name, spec, EVERYWHERE[name]


@pytest.mark.parametrize("component", COMPONENTS)
def test_components_describe_parameters_as_they_are_declared(component):
    for name, spec, parameter in declared(component):
        assert " ".join(spec["description"].split()) == parameter.help, name


@pytest.mark.parametrize("component", COMPONENTS)
def test_components_have_the_declared_defaults(component):
    for name, spec, parameter in declared(component):
        # The card's are empty here, and then keep their defaults.
        expected = "" if name in OF_THE_CARD and parameter.type is str else parameter
        if expected is parameter:
            expected = parameter.written_default
        assert spec["defaultValue"] == expected, name


def test_the_pipeline_says_the_same():
    found = package_parameters()
    shared = set(found) & set(EVERYWHERE)
    assert len(shared) > 25
    for name in shared:
        assert " ".join(found[name].description.split()) == EVERYWHERE[name].help, name
        if name not in OF_THE_CARD:
            assert found[name].default == EVERYWHERE[name].written_default, name


def test_parameters_of_the_same_name_are_the_same_in_every_job():
    """A seed is a seed; only what a command says in its own words may differ."""
    from stt_model.base.parameters import parameters_of
    from stt_model.jobs import settings

    for config in settings._CONFIGURATIONS:
        for name, parameter in parameters_of(config).items():
            other = EVERYWHERE[name]
            assert (parameter.type, parameter.default) == (other.type, other.default), name
