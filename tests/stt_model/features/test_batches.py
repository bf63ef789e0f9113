from threading import Barrier

import numpy as np
import pytest

from stt_model.base.errors import DataError
from stt_model.corpus.dataset import read_samples
from stt_model.features.batches import batch_dataset, failures_of, padding_share, plan_batches
from stt_model.features.store import FeatureStore
from stt_model.text.alphabet import CharacterAlphabet
from tests.corpora import write_tones

ALPHABET = CharacterAlphabet(" ab")


@pytest.fixture
def manifest(tmp_path):
    return write_tones(tmp_path / "train.csv", ["ab ab", "a b", "ba ba ba", "bab", "b a"])


@pytest.fixture
def samples(manifest):
    return read_samples([manifest], ALPHABET)


def test_batches_hold_every_sample_once_and_the_like_together(samples):
    batches = list(plan_batches(samples, 2))
    assert [len(batch.rows) for batch in batches] == [2, 2, 1]
    lengths = [samples[row].frames for batch in batches for row in batch.rows]
    assert lengths == sorted(lengths)
    shuffled = list(plan_batches(samples, 2, shuffle_seed=3))
    assert shuffled != batches
    assert sorted(shuffled, key=lambda batch: batch.rows) == sorted(
        batches, key=lambda batch: batch.rows
    )
    assert shuffled == list(plan_batches(samples, 2, shuffle_seed=3))


def test_an_incomplete_batch_is_filled_up_for_replicas_with_what_does_not_count(samples):
    last = plan_batches(samples, 4, replicas=4)[-1]
    assert len(last.rows) == 4
    assert last.weights == (1.0, 0.0, 0.0, 0.0)


def test_a_part_of_a_plan_holds_the_batches_of_that_part(samples):
    plan = plan_batches(samples, 2, shuffle_seed=3)
    assert list(plan[1:]) == list(plan)[1:]
    assert list(plan[::-1]) == list(plan)[::-1]
    assert list(plan[3:]) == []


def test_padding_is_what_is_fed_beyond_the_clips(samples):
    frames = sorted(samples.frames.tolist())
    assert padding_share(samples, plan_batches(samples, 1)) == 0
    whole = 1 - sum(frames) / (5 * frames[-1])
    assert padding_share(samples, plan_batches(samples, 5)) == pytest.approx(whole)
    # Three more of the longest, which is alone in its batch.
    filled = 1 - sum(frames) / (4 * frames[3] + 4 * frames[4])
    assert padding_share(samples, plan_batches(samples, 4, replicas=4)) == pytest.approx(filled)


def test_dataset_pads_features_and_labels(samples):
    store = FeatureStore(samples)
    batches = plan_batches(samples, 3)
    elements = list(batch_dataset(store, batches).as_numpy_iterator())
    assert len(elements) == 2
    for batch, element in zip(batches, elements, strict=True):
        assert tuple(element["rows"]) == batch.rows
        for place, row in enumerate(batch.rows):
            frames, labels = element["frames"][place], element["label_lengths"][place]
            np.testing.assert_array_equal(element["features"][place, :frames], store[row])
            assert not element["features"][place, frames:].any()
            assert tuple(element["labels"][place, :labels]) == samples[row].labels


def test_no_batches_are_an_empty_dataset(samples):
    assert list(batch_dataset(FeatureStore(samples), plan_batches(samples, 3)[2:])) == []


def test_clips_of_several_batches_are_worked_on_at_once(samples, monkeypatch):
    """Each of the first two clips waits until the other has begun, though batches are of one."""
    compute, both = FeatureStore.compute, Barrier(2, timeout=20)
    first = set(plan_batches(samples, 1)[0].rows + plan_batches(samples, 1)[1].rows)

    def wait_and_compute(store, row):
        if row in first:
            both.wait()
        return compute(store, row)

    monkeypatch.setattr(FeatureStore, "compute", wait_and_compute)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert len(list(batch_dataset(FeatureStore(samples), plan_batches(samples, 1)))) == 5


def test_a_clip_that_cannot_be_decoded_is_named_with_its_row(samples, manifest):
    (manifest.parent / "train-clips" / "3.wav").write_bytes(b"RIFF")
    store = FeatureStore(samples)
    with pytest.raises(DataError, match=r"train\.csv, row 3: .*3\.wav"), failures_of(store):
        list(batch_dataset(store, plan_batches(samples, 2)))
