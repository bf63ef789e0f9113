import numpy as np
import pytest

from stt_model.alphabet import CharacterAlphabet
from stt_model.batches import (
    FeatureStore,
    batch_dataset,
    drop_too_short,
    frames_needed,
    plan_batches,
    read_samples,
)
from stt_model.errors import DataError
from tests.corpora import write_tones

ALPHABET = CharacterAlphabet(" ab")


@pytest.fixture
def manifest(tmp_path):
    return write_tones(tmp_path / "train.csv", ["ab ab", "a b", "ba ba ba", "bab", "b a"])


def test_samples_carry_labels_and_length(manifest):
    samples = read_samples([manifest], ALPHABET)
    assert [sample.labels for sample in samples[:2]] == [(1, 2, 0, 1, 2), (1, 0, 2)]
    assert samples[0].seconds == pytest.approx(5 * 0.12)
    assert samples[0].frames == 1 + (5 * 1920 - 512) // 320


@pytest.mark.parametrize(
    ("labels", "frames"), [([], 0), ([1], 1), ([1, 1], 3), ([1, 2, 2, 2], 6), ([2, 1, 2], 3)]
)
def test_repeated_labels_need_a_blank_between_them(labels, frames):
    assert frames_needed(labels) == frames


def test_batches_hold_every_sample_once_and_the_like_together(manifest):
    samples = read_samples([manifest], ALPHABET)
    batches = plan_batches(samples, 2)
    assert [len(batch.rows) for batch in batches] == [2, 2, 1]
    lengths = [samples[row].frames for batch in batches for row in batch.rows]
    assert lengths == sorted(lengths)
    shuffled = plan_batches(samples, 2, shuffle_seed=3)
    assert shuffled != batches
    assert sorted(shuffled, key=lambda batch: batch.rows) == sorted(
        batches, key=lambda batch: batch.rows
    )
    assert shuffled == plan_batches(samples, 2, shuffle_seed=3)


def test_an_incomplete_batch_is_filled_up_for_replicas_with_what_does_not_count(manifest):
    samples = read_samples([manifest], ALPHABET)
    last = plan_batches(samples, 4, replicas=4)[-1]
    assert len(last.rows) == 4
    assert last.weights == (1.0, 0.0, 0.0, 0.0)


def test_dataset_pads_features_and_labels(manifest):
    samples = read_samples([manifest], ALPHABET)
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


def test_features_beyond_the_memory_given_are_computed_again(manifest):
    samples = read_samples([manifest], ALPHABET)
    kept, forgotten = FeatureStore(samples), FeatureStore(samples, limit=0)
    assert kept[0] is kept[0]
    assert forgotten[0] is not forgotten[0]
    np.testing.assert_array_equal(kept[0], forgotten[0])


def refusal(manifest, alphabet=ALPHABET):
    with pytest.raises(DataError) as error:
        read_samples([manifest], alphabet)
    message = str(error.value)
    assert "\n" not in message
    return message


def test_characters_outside_the_alphabet_are_named_with_their_row(tmp_path):
    manifest = write_tones(tmp_path / "train.csv", ["ab", "abc", "dab"])
    message = refusal(manifest)
    assert "train.csv, row 2:" in message
    assert "'c'" in message
    assert "and 1 more such row" in message
    assert "--drop_source_layers" in message


def test_a_transcript_too_long_for_its_audio_is_left_out_with_both_numbers(tmp_path, caplog):
    manifest = write_tones(tmp_path / "train.csv", ["a", "ab"])
    manifest.write_text(manifest.read_text().replace('"a"', '"aaaaaaaa"'))
    samples = read_samples([manifest], ALPHABET)
    assert [sample.long_enough for sample in samples] == [False, True]
    assert drop_too_short(samples) == samples[1:]
    (message,) = caplog.messages
    assert "train.csv, row 1: left out" in message
    assert "at least 15 frames of audio for its 8 labels, found 5" in message
    with pytest.raises(DataError, match="more labels than its audio has frames"):
        drop_too_short(samples[:1])


def test_a_transcript_that_only_fits_in_nfc_is_taken_in_nfc(tmp_path):
    manifest = write_tones(tmp_path / "train.csv", ["a", "b"])
    manifest.write_text(manifest.read_text().replace('"a"', '"a\u0308b"'), encoding="utf-8")
    composed, decomposed = CharacterAlphabet("äb"), CharacterAlphabet("ab\u0308")
    assert read_samples([manifest], composed)[0].utterance.transcript == "äb"
    assert read_samples([manifest], decomposed)[0].utterance.transcript == "a\u0308b"


def test_a_blank_transcript_is_refused(tmp_path):
    manifest = write_tones(tmp_path / "train.csv", ["a", " "])
    assert "row 2: expected a transcript" in refusal(manifest)


def test_no_rows_are_refused(tmp_path):
    manifest = write_tones(tmp_path / "train.csv", [])
    assert "expected at least one utterance" in refusal(manifest)
