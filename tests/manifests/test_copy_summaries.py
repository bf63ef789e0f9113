"""The script of the TensorBoard overlay, on a real S3 server."""

import runpy

import pytest

from stt_model.storage.object_store import ObjectStore
from stt_model.training.run_store import RunStore
from tests.manifests.render import SOURCES
from tests.stt_model.s3_server import S3Server

EVENTS = "summaries/train/events.out.tfevents.1"


@pytest.fixture
def store(tmp_path):
    (tmp_path / "s3/speech").mkdir(parents=True)
    server = S3Server(tmp_path / "s3")
    server.remembers_folders_for = "1m"
    with server:
        yield ObjectStore.from_environment(server.environment)


def test_event_files_of_every_run_are_brought_and_grow(store, tmp_path):
    script = runpy.run_path(str(SOURCES / "overlays/tensorboard/copy_summaries.py"))
    copy_summaries = script["copy_summaries"]
    kept = {}
    for name in ("first", "second"):
        folder = tmp_path / name
        (folder / EVENTS).parent.mkdir(parents=True)
        (folder / EVENTS).write_bytes(b"events")
        (folder / "best_dev-1.index").write_bytes(b"large")
        kept[name] = RunStore(store, f"s3://speech/runs/{name}", folder)
        kept[name].save()
    target = tmp_path / "summaries"
    copy_summaries(store, "s3://speech/runs", target)
    with (target / "first" / EVENTS).open("rb") as open_in_tensorboard:
        assert open_in_tensorboard.read() == b"events"
        with (tmp_path / "first" / EVENTS).open("ab") as events:
            events.write(b", more")
        kept["first"].save()
        copy_summaries(store, "s3://speech/runs/", target)
        assert open_in_tensorboard.read() == b", more"
    files = {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()}
    assert files == {f"first/{EVENTS}", f"second/{EVENTS}"}


def test_the_latest_save_of_a_pod_is_copied(store, tmp_path):
    script = runpy.run_path(str(SOURCES / "overlays/tensorboard/copy_summaries.py"))
    for number in range(2):
        folder = tmp_path / f"pod-{number}"
        kept = RunStore(store, "s3://speech/runs/first", folder)
        kept.restore()
        (folder / EVENTS).parent.mkdir(parents=True, exist_ok=True)
        with (folder / EVENTS).open("ab") as events:
            events.write(f"pod {number};".encode())
        kept.save()
    script["copy_summaries"](store, "s3://speech/runs", tmp_path / "summaries")
    assert (tmp_path / "summaries/first" / EVENTS).read_bytes() == b"pod 0;pod 1;"
