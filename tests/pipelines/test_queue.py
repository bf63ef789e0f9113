import pytest
import yaml

from stt_bootstrap.pipelines.compile import compile_all
from stt_bootstrap.pipelines.queue import LABEL, QueueError, join_queue, package_queue


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return compile_all(tmp_path_factory.mktemp("plain"))[-1].read_text(encoding="utf-8")


def test_every_pod_of_every_package_waits_in_the_queue(tmp_path, plain):
    packages = compile_all(tmp_path, queue="speech")[-4:]
    assert {path.stem for path in packages} == {"bootstrap", "form", "prepare", "sweep"}
    for path in packages:
        text = path.read_text(encoding="utf-8")
        assert package_queue(text) == "speech"
        pipeline, platform = yaml.safe_load_all(text)
        placed = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
        labels = {name: each["podMetadata"]["labels"].pop(LABEL) for name, each in placed.items()}
        assert set(labels.values()) == {"speech"}
        assert set(labels) == set(pipeline["deploymentSpec"]["executors"])
    assert [pipeline, platform] == list(yaml.safe_load_all(plain)), "and nothing else is changed"


def test_without_a_queue_there_is_no_label(plain):
    assert LABEL not in plain
    assert package_queue(plain) == ""


@pytest.mark.parametrize("name", ["Speech", "a b", "-a", "a" * 64])
def test_names_that_no_queue_has_are_refused(plain, name):
    with pytest.raises(QueueError, match="expected the name of a LocalQueue"):
        join_queue(plain, name)
