from pathlib import Path

import pytest
import yaml

from components import COMPONENTS, images
from pipelines.compile import compile_all

ROOT = Path(__file__).parents[2]


def images_of(package):
    pipeline, *_ = yaml.safe_load_all(package.read_text())
    executors = pipeline["deploymentSpec"]["executors"]
    return {executor["container"]["image"] for executor in executors.values()}


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compiled")
    compile_all(folder)
    return folder


def test_committed_packages_are_a_fresh_compile_no_more_and_no_less(fresh):
    committed = {
        path.relative_to(ROOT): path.read_bytes()
        for folder in ("components", "pipelines")
        for path in (ROOT / folder).rglob("*.yaml")
    }
    compiled = {path.relative_to(fresh): path.read_bytes() for path in fresh.rglob("*.yaml")}
    assert sorted(committed) == sorted(compiled)
    stale = [str(path) for path, data in committed.items() if data != compiled[path]]
    assert not stale, "run: python -m pipelines.compile"


def test_every_component_folder_is_compiled():
    folders = {path.parent.name for path in (ROOT / "components").glob("*/component.py")}
    assert folders == set(COMPONENTS)


def test_images_of_another_registry(tmp_path):
    written = compile_all(tmp_path, registry="registry.example.org/speech", tag="7")
    found = set().union(*map(images_of, written))
    assert found == {
        "registry.example.org/speech/light:7",
        "registry.example.org/speech/model:7",
    }


def test_steps_without_tensorflow_have_the_light_image(fresh):
    light = {
        name
        for name in COMPONENTS
        if images_of(fresh / "components" / name / "component.yaml") == {images.LIGHT}
    }
    assert light == {
        "source_digests",
        "dataset_validation",
        "checkpoint_fetch",
        "alphabet_analysis",
        "refusal",
    }
