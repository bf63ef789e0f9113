"""The pipeline that prepares a corpus, run on this machine."""

import warnings
from pathlib import Path

import pytest
import yaml
from kfp import local

from stt_bootstrap.demo.corpora import SOURCE_CHECKPOINT
from stt_bootstrap.pipelines.prepare import prepare
from stt_model.corpus.manifests import find_splits, read_manifest
from stt_model.corpus.validation import validate
from tests.recordings import SENTENCES, write_recording
from tests.stt_model.importing import samples

PREPARE = Path(__file__).parents[2] / "pipelines" / "prepare.yaml"


@pytest.fixture
def run_locally(tmp_path):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "You may be attemping to run a task")
        local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path / "runs"))
        yield


def test_from_recordings_to_a_packed_corpus(run_locally, tmp_path):
    samples.common_voice(tmp_path / "cv")
    (tmp_path / "cv" / "clips" / "common_voice_xx_u003.mp3").write_bytes(b"damaged")
    corpus, packed = tmp_path / "corpus", tmp_path / "packed"
    prepare(
        source_uri=str(tmp_path / "cv"),
        corpus_uri=str(corpus),
        packed_uri=str(packed),
        normalise="generic",
        numbers="keep",
        dev_share=0.2,
    )
    for place in (corpus, packed):
        splits = find_splits(str(place))
        assert not validate(splits).errors
        rows = {split: read_manifest(path) for split, path in splits.items()}
        assert sum(map(len, rows.values())) == 39
        assert len(rows["dev"]) > len(rows["test"]) > 0
        speakers = [{row.extra["speaker"] for row in each} for each in rows.values()]
        assert sum(map(len, speakers)) == len(set.union(*speakers))
    assert (corpus / "rejected.csv").read_text().count("audio_unreadable") == 1


def test_without_a_place_for_shards_nothing_is_packed(run_locally, tmp_path):
    samples.librispeech(tmp_path / "LibriSpeech")
    prepare(source_uri=str(tmp_path / "LibriSpeech"), corpus_uri=str(tmp_path / "corpus"))
    assert {path.name for path in tmp_path.iterdir()} == {"LibriSpeech", "corpus", "runs"}


@pytest.mark.slow
def test_long_recordings_are_aligned_first(run_locally, tmp_path):
    (tmp_path / "source").mkdir()
    write_recording(tmp_path / "source", SENTENCES, "en-us+m3")
    prepare(
        source_uri=str(tmp_path / "source"),
        corpus_uri=str(tmp_path / "corpus"),
        align_checkpoint_uri=str(SOURCE_CHECKPOINT),
        clips_uri=str(tmp_path / "clips"),
        normalise="en",
        longest_clip=5.0,
        dev_share=0.3,
        test_share=0.3,
    )
    splits = find_splits(str(tmp_path / "corpus"))
    assert not validate(splits).errors
    texts = [row.transcript for path in splits.values() for row in read_manifest(path)]
    assert sorted(texts) == sorted(SENTENCES)


def test_every_step_may_be_tried_again():
    """Also the longest, whose pod is the likeliest to be lost."""
    pipeline = next(yaml.safe_load_all(PREPARE.read_text(encoding="utf-8")))
    tasks = {
        name: task.get("retryPolicy", {}).get("maxRetryCount", 0)
        for component in pipeline["components"].values()
        for name, task in component.get("dag", {}).get("tasks", {}).items()
        if "executorLabel" in pipeline["components"][task["componentRef"]["name"]]
    }
    assert "forced-alignment" in tasks
    assert set(tasks.values()) == {2}
