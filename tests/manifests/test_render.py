"""What is kept is what kustomize makes, and what Kubernetes accepts."""

import kubernetes_validate
import pytest
import yaml

from tests.manifests.render import DIGESTS, KUSTOMIZATIONS, SOURCES, build, digests, load

_NEWEST = int(kubernetes_validate.latest_version().split(".")[1])
NEWEST_MINOR_VERSIONS = [f"1.{_NEWEST - age}" for age in (2, 1, 0)]


def test_every_kustomization_is_kept():
    found = {
        path.parent.relative_to(SOURCES).as_posix()
        for path in SOURCES.rglob("kustomization*")
        # A component is made into something with the overlay that names it.
        if yaml.safe_load(path.read_text())["kind"] == "Kustomization"
    }
    assert found == set(KUSTOMIZATIONS)


def test_stored_renderings_are_of_these_sources():
    assert digests() == DIGESTS.read_text(), "run `make manifests`"


@pytest.mark.kustomize
@pytest.mark.parametrize("kustomization", KUSTOMIZATIONS)
def test_stored_renderings_are_those_of_kustomize(kustomization):
    assert list(yaml.safe_load_all(build(kustomization))) == load(kustomization)


@pytest.mark.parametrize("version", NEWEST_MINOR_VERSIONS)
def test_resources_follow_the_schema(version):
    # The overlays repeat most of the base, and a check takes a tenth of a second.
    different = {
        yaml.safe_dump(resource)
        for name in KUSTOMIZATIONS
        for resource in load(name)
        # Trainer's kind is checked in test_training_runtime.py.
        if resource["kind"] != "ClusterTrainingRuntime"
    }
    for resource in sorted(different):
        kubernetes_validate.validate(yaml.safe_load(resource), version, strict=True)


def test_a_misspelt_field_is_found():
    resource = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"nmae": "runner"}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(resource, NEWEST_MINOR_VERSIONS[-1], strict=True)
