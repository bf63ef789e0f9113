from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from stt_model.augmentation.specification import AUGMENTATIONS, Augmenter, parse_augmentations
from stt_model.base.errors import DataError
from stt_model.corpus.audio import read_audio
from stt_model.corpus.audio_settings import frame_count
from stt_model.corpus.dataset import read_samples
from stt_model.features.augmented import augment_epoch
from stt_model.features.batches import plan_batches
from stt_model.features.extraction import (
    extract_features,
    extract_spectrogram,
    features_of_spectrogram,
)
from stt_model.features.store import FeatureStore
from stt_model.text.alphabet import CharacterAlphabet
from tests.corpora import write_tones

TEXTS = ["ab ab", "a b", "b a b a", "aa", "abab", "ba"]


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    manifest = write_tones(tmp_path_factory.mktemp("corpus") / "train.csv", TEXTS)
    return read_samples([manifest], CharacterAlphabet(" ab"))


def augmented(samples, *specifications, epoch=1, epochs=4, store=None):
    augmenter = Augmenter(parse_augmentations(" ".join(specifications)), seed=1)
    batches = plan_batches(samples, 2)
    store = store or FeatureStore(samples)
    return augment_epoch(store, augmenter, batches, epoch=epoch, epochs=epochs)


def all_specifications(samples):
    source = samples.utterance(0).path
    sources = {"overlay": f",source={source}"}
    return [f"{name}[p=0.5{sources.get(name, '')}]" for name in AUGMENTATIONS]


def test_features_come_out_the_same_by_way_of_the_spectrogram(samples):
    clip = read_audio(samples.utterance(0).path)
    spectrogram = extract_spectrogram(clip)
    assert spectrogram.shape == (frame_count(len(clip)), 257)
    np.testing.assert_array_equal(features_of_spectrogram(spectrogram), extract_features(clip))


def test_every_domain_acts_on_what_comes_out(samples):
    row = TEXTS.index("aa")
    plain = FeatureStore(samples)[row]
    louder = augmented(samples, "volume")[row]
    # The first coefficient is the loudness; the others are the shape of the spectrum.
    assert (louder[:, 0] > plain[:, 0]).all()
    np.testing.assert_allclose(louder[3, 1:], plain[3, 1:], atol=0.05)
    silent = augmented(samples, "time_mask[n=1,size=60]")[row]
    assert np.sum((silent != plain).any(axis=1)) == 3
    shifted = augmented(samples, "add[stddev=1]")[row]
    assert np.std(shifted - plain) == pytest.approx(1, abs=0.15)


def test_schedules_follow_epochs_and_batches(samples):
    expected = {1: [0, 1 / 12, 2 / 12], 4: [9 / 12, 10 / 12, 11 / 12]}
    for epoch, clocks in expected.items():
        found = augmented(samples, "add", epoch=epoch).clocks
        for batch, clock in zip(plan_batches(samples, 2), clocks, strict=True):
            np.testing.assert_allclose(found[list(batch.rows)], clock, rtol=1e-6)


def test_kept_features_are_used_unless_the_clip_itself_is_changed(samples, monkeypatch):
    store = FeatureStore(samples)
    plain = [store[row].copy() for row in range(len(TEXTS))]
    monkeypatch.setattr(FeatureStore, "read", None)
    changed = augmented(samples, "add", "time_mask[domain=features]", store=store)
    for row, features in enumerate(plain):
        assert not np.array_equal(changed[row], features)
        np.testing.assert_array_equal(store[row], features)


def test_threads_and_order_change_nothing_and_epochs_do(samples):
    specifications = all_specifications(samples)
    first = augmented(samples, *specifications, epoch=2)
    in_order = [first[row] for row in range(len(TEXTS))]
    again = augmented(samples, *specifications, epoch=2)
    rows = list(reversed(range(len(TEXTS)))) * 4
    with ThreadPoolExecutor(8) as pool:
        for row, features in zip(rows, pool.map(again.__getitem__, rows), strict=True):
            np.testing.assert_array_equal(features, in_order[row])
    later = augmented(samples, *specifications, epoch=3)
    assert all(not np.array_equal(later[row], in_order[row]) for row in range(len(TEXTS)))


def test_every_utterance_still_fits_its_transcript(samples):
    fast = augmented(samples, "tempo[factor=2]")
    for row in range(len(TEXTS)):
        expected = max(samples.frames[row] // 2 - 1, samples.frames_needed[row])
        assert len(fast[row]) >= expected


def test_a_clip_that_is_gone_is_named_with_its_row(tmp_path):
    manifest = write_tones(tmp_path / "train.csv", TEXTS)
    samples = read_samples([manifest], CharacterAlphabet(" ab"))
    samples.utterance(1).path.unlink()
    with pytest.raises(DataError, match=r"train\.csv, row 2: .*2\.wav"):
        augmented(samples, "volume")[1]
