import numpy as np
import pytest

from stt_model.base.errors import DataError
from stt_model.corpus.audio import audio_info
from stt_model.corpus.dataset import read_samples
from stt_model.features.store import FeatureStore, open_cache
from stt_model.text.alphabet import CharacterAlphabet
from stt_model.training.trainer import train
from tests.command_line import call
from tests.corpora import write_tones
from tests.stt_model.training_runs import content, make_config, write_dataset, write_source


@pytest.fixture
def samples(tmp_path):
    manifest = write_tones(tmp_path / "train.csv", ["ab ab", "a b", "a b"])
    return read_samples([manifest], CharacterAlphabet(" ab"))


def forbid_computing(monkeypatch):
    def compute(store, row):
        raise AssertionError(f"row {row} is computed")

    monkeypatch.setattr(FeatureStore, "compute", compute)


def test_features_beyond_the_memory_given_are_computed_again(samples):
    kept, forgotten = FeatureStore(samples), FeatureStore(samples, limit=0)
    assert kept[0] is kept[0]
    assert forgotten[0] is not forgotten[0]
    np.testing.assert_array_equal(kept[0], forgotten[0])


def test_the_next_run_finds_the_features_of_the_last(samples, tmp_path, monkeypatch):
    plain = [FeatureStore(samples)[row] for row in range(3)]
    first = FeatureStore(samples, cache=open_cache(tmp_path / "cache", 1))
    for row in range(3):
        np.testing.assert_array_equal(first[row], plain[row])
    forbid_computing(monkeypatch)
    second = FeatureStore(samples, cache=open_cache(tmp_path / "cache", 1))
    for row in range(3):
        np.testing.assert_array_equal(second[row], plain[row])


def test_clips_of_the_same_content_share_an_entry(samples, tmp_path, monkeypatch):
    store = FeatureStore(samples, cache=open_cache(tmp_path / "cache", 1))
    second = store[1]
    forbid_computing(monkeypatch)
    np.testing.assert_array_equal(store[2], second)


def test_another_content_under_the_same_name_is_noticed(samples, tmp_path):
    paths = [samples.utterance(row).path for row in range(2)]
    before = FeatureStore(samples, cache=open_cache(tmp_path / "cache", 1))[0]
    paths[0].write_bytes(paths[1].read_bytes())
    after = FeatureStore(samples, cache=open_cache(tmp_path / "cache", 1))[0]
    assert len(after) < len(before)
    np.testing.assert_array_equal(after, FeatureStore(samples)[1])


def test_a_run_reads_a_clip_once(samples, tmp_path):
    store = FeatureStore(samples, cache=open_cache(tmp_path / "cache", 1))
    features = store[0]
    samples.utterance(0).path.unlink()
    np.testing.assert_array_equal(store[0], features)


def test_a_clip_that_is_gone_is_named_with_its_row(samples, tmp_path):
    samples.utterance(1).path.unlink()
    for cache in (None, open_cache(tmp_path / "cache", 1)):
        with pytest.raises(DataError, match=r"train\.csv, row 2: .*2\.wav"):
            FeatureStore(samples, cache=cache)[1]


def test_training_from_the_cache_ends_with_the_same_weights(tmp_path, monkeypatch):
    data, source = write_dataset(tmp_path / "data"), write_source(tmp_path / "source")
    cached = {"feature_cache": tmp_path / "cache"}
    train(make_config(data, source, tmp_path / "without"))
    train(make_config(data, source, tmp_path / "first", **cached))
    forbid_computing(monkeypatch)
    train(make_config(data, source, tmp_path / "second", **cached))
    weights = content(tmp_path / "without", "last")
    assert content(tmp_path / "first", "last") == weights
    assert content(tmp_path / "second", "last") == weights


def test_the_command_keeps_features_and_says_how_much_is_padding(tmp_path, caplog):
    caplog.set_level("INFO")
    data, source = write_dataset(tmp_path / "data"), write_source(tmp_path / "source")
    flags = ("--train_files", data / "train.csv", "--load_checkpoint_dir", source)
    flags += ("--save_checkpoint_dir", tmp_path / "out", "--epochs", 1, "--train_batch_size", 7)
    # What is changed anew in each epoch is not kept.
    flags += ("--augment", "none")
    assert call("train", *flags, "--feature_cache", tmp_path / "cache").code == 0
    clips = list((data / "train-clips").iterdir())
    kept = [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and not path.suffix]
    assert len(kept) == len(clips) == 7
    frames = [audio_info(path).frames for path in clips]
    share = 1 - sum(frames) / (7 * max(frames))
    assert f"batch 7, {100 * share:.0f} % padding" in caplog.text
