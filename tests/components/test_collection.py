"""The conventions of Kubeflow's collection of components, so that others can take single ones."""

from datetime import datetime, timezone
from pathlib import Path

import pytest
import yaml
from packaging.version import Version

from stt_bootstrap.components import COMPONENTS
from stt_bootstrap.pipelines.component_readme import readme

FOLDER = Path(__file__).parents[2] / "components"
FIELDS = ["name", "stability", "dependencies", "lastVerified"]


@pytest.fixture(params=COMPONENTS)
def component(request):
    return FOLDER / request.param


def test_files_that_a_component_consists_of(component):
    names = {"__init__.py", "component.py", "metadata.yaml", "README.md", "OWNERS"}
    assert names <= {path.name for path in component.iterdir()}


def test_metadata(component):
    metadata = yaml.safe_load((component / "metadata.yaml").read_text())
    assert [name for name in metadata if name not in ("tags", "ci", "links")] == FIELDS
    assert metadata["name"] == component.name
    assert metadata["stability"] in ("experimental", "alpha", "beta", "stable")
    assert set(metadata["dependencies"]) <= {"kubeflow", "external_services"}
    assert "Pipelines" in [each["name"] for each in metadata["dependencies"]["kubeflow"]]
    for kind in metadata["dependencies"].values():
        for each in kind:
            assert len(Version(each["version"].lstrip("<>=")).release) == 3
    assert all(isinstance(tag, str) for tag in metadata["tags"])
    # A date alone would be read as no datetime. That it is not a year old is up to the collection.
    assert isinstance(metadata["lastVerified"], datetime)
    assert metadata["lastVerified"].tzinfo == timezone.utc


def test_owners_are_a_list_to_fill_in_and_no_invented_name(component):
    owners = yaml.safe_load((component / "OWNERS").read_text())
    assert owners == {"approvers": [], "reviewers": []}
    assert "approvers must be members" in " ".join((component / "OWNERS").read_text().split())


def test_readme_is_what_would_be_written_now(component):
    written = (component / "README.md").read_text(encoding="utf-8")
    assert written == readme(component.name), "run: python -m stt_bootstrap.pipelines.compile"


def test_the_same_kubeflow_pipelines_for_all():
    versions = {
        each["version"]
        for name in COMPONENTS
        for each in yaml.safe_load((FOLDER / name / "metadata.yaml").read_text())["dependencies"][
            "kubeflow"
        ]
        if each["name"] == "Pipelines"
    }
    assert len(versions) == 1
