from pathlib import Path

import pytest
import yaml
from kfp import compiler, dsl, kubernetes

from stt_bootstrap.components import COMPONENTS, images
from stt_bootstrap.components.refusal.component import refusal
from stt_bootstrap.pipelines.compile import ImageError, compile_all, parse_images

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
        if path.name != "metadata.yaml"
    }
    compiled = {path.relative_to(fresh): path.read_bytes() for path in fresh.rglob("*.yaml")}
    assert sorted(committed) == sorted(compiled)
    stale = [str(path) for path, data in committed.items() if data != compiled[path]]
    assert not stale, "run: python -m stt_bootstrap.pipelines.compile"


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


def test_only_steps_with_tensorflow_have_its_image(fresh):
    heavy = {
        name
        for name in COMPONENTS
        if images_of(fresh / "components" / name / "component.yaml") != {images.LIGHT}
    }
    of_a_sweep = {"sweep_preparation", "sweep_member", "sweep_winner"}
    others = {"training", "evaluation", "model_export", "forced_alignment"}
    assert heavy == others | of_a_sweep


def test_image_by_digest_replaces_its_own_and_no_other(tmp_path):
    digest = f"registry.example.org:5000/speech/model-gpu@sha256:{'0a' * 32}"
    written = compile_all(tmp_path, tag="7", overrides=parse_images([f"model={digest}"]))
    found = set().union(*map(images_of, written))
    assert found == {images.reference("light", tag="7"), digest}


@pytest.mark.parametrize(
    "values",
    [
        ["speech=registry.example.org/speech/model:1"],
        ["light=a.org/x/light:1", "light=a.org/x/light:2"],
        ["light"],
        ["light=registry.example.org/speech/light"],
        ["light=registry.example.org:5000/speech/light"],
        ["light=registry.example.org/speech/light@sha256:0a"],
        ["light=registry.example.org/speech/light:1 --privileged"],
    ],
)
def test_images_that_cannot_be_meant_are_refused(values):
    with pytest.raises(ImageError, match=f"^--image {values[-1]}: expected "):
        parse_images(values)


def test_signals_reach_the_steps(fresh):
    text = (fresh / "pipelines" / "bootstrap.yaml").read_text()
    assert text.count("_KFP_RUNTIME=true exec python3 -m") == text.count("_KFP_RUNTIME=true") > 0


def test_the_cache_is_mounted_where_datasets_are_read(tmp_path, fresh):
    plain = (fresh / "pipelines" / "bootstrap.yaml").read_text(encoding="utf-8")
    package = compile_all(tmp_path, cache_claim="clips")[-1]
    pipeline, platform = yaml.safe_load_all(package.read_text(encoding="utf-8"))
    placed = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    mounted = {name for name, config in placed.items() if config.pop("pvcMount", None)}
    assert mounted == {"exec-source-analysis", "exec-training", "exec-training-2"}
    for name, executor in pipeline["deploymentSpec"]["executors"].items():
        variables = executor["container"].pop("env", [])
        expected = [{"name": "STT_BOOTSTRAP_CACHE", "value": "/cache"}]
        assert variables == (expected if name in mounted else [])
    assert [pipeline, platform] == list(yaml.safe_load_all(plain)), "and nothing else is changed"
    assert package.read_text(encoding="utf-8").startswith("# PIPELINE DEFINITION\n")


def test_the_cache_is_mounted_as_kfp_would(tmp_path):
    @dsl.pipeline(name="with-cache")
    def with_cache() -> None:
        kubernetes.mount_pvc(refusal(reason=""), pvc_name="clips", mount_path="/cache")

    compiler.Compiler().compile(with_cache, str(tmp_path / "with-cache.yaml"))
    _, platform = yaml.safe_load_all((tmp_path / "with-cache.yaml").read_text(encoding="utf-8"))
    (theirs,) = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values()
    package = compile_all(tmp_path, cache_claim="clips")[-1]
    _, platform = yaml.safe_load_all(package.read_text(encoding="utf-8"))
    ours = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-training"]
    assert ours["pvcMount"] == theirs["pvcMount"]
