"""Every check on what a run reads passes once and fails once, on a real S3 server."""

import logging
import os
import shutil

import pytest

from stt_bootstrap.pipelines.preflight import checks
from stt_bootstrap.pipelines.preflight.cluster import Cluster
from stt_bootstrap.pipelines.preflight.findings import Status, as_json, as_table
from stt_bootstrap.pipelines.preflight.plan import Plan
from tests.pipelines.kubernetes_server import secret
from tests.pipelines.preflight.checked import CLAIM, PLACE, RUNNER, STORE, only
from tests.stt_model.s3_server import ACCESS_KEY, SECRET_KEY, S3Server

HEADER = "wav_filename,wav_filesize,transcript\n"
URIS = {"dataset_uri": "s3://speech/corpus", "checkpoint_uri": "s3://speech/checkpoint"}


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    with S3Server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def bucket(s3, api):
    """Return the folder of a bucket with a dataset and a checkpoint, to which the cluster leads."""
    folder = s3.folder / "speech"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "corpus/clips").mkdir(parents=True)
    for split in ("train", "dev", "test"):
        (folder / f"corpus/{split}.csv").write_text(f"{HEADER}clips/a.wav,4,habari\n")
    (folder / "corpus/clips/a.wav").write_bytes(b"RIFF")
    (folder / "checkpoint").mkdir()
    (folder / "checkpoint/best_dev-7.index").write_bytes(b"index")
    (folder / "checkpoint/best_dev-7.data-00000-of-00001").write_bytes(b"weights")
    (folder / "model.scorer").write_bytes(b"TRIE")
    (folder / "source.tar.gz").write_bytes(b"archive")
    api.objects[PLACE]["data"]["AWS_ENDPOINT_URL_S3"] = s3.endpoint
    api.objects[STORE] = secret(
        {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
    )
    return folder


def test_a_store_that_is_as_it_should_be(bucket, s3, api, package):
    further = {"scorer_uri": "s3://speech/model.scorer", "run_state_uri": "s3://speech/runs"}
    plan = Plan(package=package, **further, **URIS)
    findings = checks.preflight(plan, Cluster.connect("speech"))
    assert {f.status for f in findings if f.check != "queue"} == {Status.OK}
    found = {f.check: f.found for f in findings}
    who = "the runs' keys, of the secret stt-bootstrap-store"
    assert found["store"] == f"{s3.endpoint} lists speech for {who}"
    assert found["dataset"].startswith("train.csv, dev.csv, test.csv and 1 more")
    assert SECRET_KEY not in as_json(findings) + as_table(findings)


def test_a_role_cannot_be_taken_from_here_but_this_machine_may_look(bucket, api, look, monkeypatch):
    del api.objects[STORE]
    role = {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/speech"}
    api.objects[RUNNER]["metadata"]["annotations"] = role
    closed = only(look("store", **URIS), Status.WARNING)
    assert "no keys in the secret stt-bootstrap-store, and none on this machine" in closed.found
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    finding = only(look("store", **URIS), Status.OK)
    assert finding.found.endswith(
        "lists speech for this machine's keys of the environment, not the runs' own role"
    )
    assert SECRET_KEY not in finding.found


def test_no_key_is_logged(bucket, api, look, caplog):
    api.objects[STORE] = secret(
        {"AWS_ACCESS_KEY_ID": "hidden-1", "AWS_SECRET_ACCESS_KEY": "hidden-2"}
    )
    with caplog.at_level(logging.DEBUG):
        only(look("store", **URIS), Status.FAILED)
    for value in api.objects[STORE]["data"].values():
        assert value not in caplog.text
    assert "hidden-2" not in caplog.text


def test_no_size_is_checked_of_a_missing_checkpoint(bucket, look):
    plan = {**URIS, "checkpoint_uri": "s3://speech/none"}
    assert only(look("checkpoint", **plan), Status.FAILED).remedy.startswith("upload")
    assert {finding.status for finding in look("sizes", **plan)} == {Status.OK}


def test_an_archive_is_a_checkpoint(bucket, look):
    finding = only(look("checkpoint", checkpoint_uri="s3://speech/source.tar.gz"), Status.OK)
    assert "archive" in finding.found


def test_wrong_keys(bucket, api, look):
    api.objects[STORE] = secret(
        {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": "hidden-2"}
    )
    finding = only(look("store", **URIS), Status.FAILED)
    assert "AWS_SECRET_ACCESS_KEY" in finding.found
    assert "hidden" not in str(finding)
    assert only(look("dataset", **URIS), Status.SKIPPED).found == "the store cannot be read"


def test_no_bucket(bucket, look):
    assert "NoSuchBucket" in only(look("store", dataset_uri="s3://nowhere/a"), Status.FAILED).found


def test_a_store_that_only_the_cluster_reaches(bucket, api, look, s3):
    inside = "http://stt-bootstrap-s3.speech.svc:9000"
    api.objects[PLACE]["data"]["AWS_ENDPOINT_URL_S3"] = inside
    assert (
        "port-forward service/stt-bootstrap-s3"
        in only(look("store", **URIS), Status.WARNING).remedy
    )
    only(look("dataset", store_endpoint=s3.endpoint, **URIS), Status.OK)


def test_a_store_that_nobody_reaches(bucket, api, look):
    api.objects[PLACE]["data"]["AWS_ENDPOINT_URL_S3"] = "http://127.0.0.1:9"
    assert "cannot be reached" in only(look("store", **URIS), Status.FAILED).found


def test_a_dataset_without_its_dev_split(bucket, look):
    (bucket / "corpus/dev.csv").unlink()
    assert "lacks dev.csv" in only(look("dataset", **URIS), Status.FAILED).found


def test_a_dataset_that_is_not_there(bucket, look):
    finding = only(look("dataset", dataset_uri="s3://speech/corpse"), Status.FAILED)
    assert "s3://speech/corpse" in finding.found


def test_a_manifest_of_another_form(bucket, look):
    (bucket / "corpus/train.csv").write_text("path\tsentence\n")
    assert "wav_filename" in only(look("dataset", **URIS), Status.FAILED).found


def test_a_clip_that_is_not_there(bucket, look):
    (bucket / "corpus/clips/a.wav").unlink()
    assert "clips/a.wav" in only(look("dataset", **URIS), Status.FAILED).found


def test_a_folder_that_is_no_checkpoint(bucket, look):
    (bucket / "checkpoint/best_dev-7.index").unlink()
    assert ".index" in only(look("checkpoint", **URIS), Status.FAILED).found


def test_a_scorer_that_is_not_there(bucket, look):
    uri = "s3://speech/none.scorer"
    assert uri in only(look("further sources", scorer_uri=uri), Status.FAILED).found


def test_paths_are_left_to_the_pods(look, tmp_path):
    only(look("dataset", dataset_uri=str(tmp_path)), Status.WARNING)
    only(look("checkpoint", checkpoint_uri=str(tmp_path)), Status.WARNING)


def test_checkpoints_from_the_web(api, look):
    address = f"{api.url}/version/?signature=hidden"
    finding = only(look("checkpoint", checkpoint_uri=address), Status.FAILED)
    assert "401" in finding.found
    assert "hidden" not in str(finding)
    only(look("checkpoint", checkpoint_uri="http://127.0.0.1:9/a.tar"), Status.WARNING)


def test_a_bucket_to_write_to_that_is_not_there(bucket, look):
    only(look("store", export_uri="s3://speech/models", **URIS), Status.OK)
    for name in ("run_state_uri", "export_uri"):
        finding = only(look("store", **{name: "s3://nowhere-at-all/x"}, **URIS), Status.FAILED)
        assert "nowhere-at-all" in finding.found


def test_memory_and_cache_that_are_too_small(bucket, api, look):
    os.truncate(bucket / "checkpoint/best_dev-7.data-00000-of-00001", 2**24)
    os.truncate(bucket / "corpus/clips/a.wav", 2**24)
    api.objects[CLAIM]["status"]["capacity"]["storage"] = "8Mi"
    memory, cache = look("sizes", training_memory="448Mi", **URIS)
    assert memory.status is Status.FAILED
    assert "needs at least 0.45 GiB, training_memory has 0.44" in memory.found
    assert cache.status is Status.WARNING
    assert "needs 0.02 GiB" in cache.found
