import numpy as np
import pytest

from stt_model.base.errors import DataError
from stt_model.corpus.dataset import drop_too_short, frames_needed, read_samples
from stt_model.text.alphabet import CharacterAlphabet
from tests.corpora import write_tones

ALPHABET = CharacterAlphabet(" ab")


@pytest.fixture
def manifest(tmp_path):
    return write_tones(tmp_path / "train.csv", ["ab ab", "a b", "ba ba ba", "bab", "b a"])


def test_samples_carry_labels_and_length(manifest):
    samples = read_samples([manifest], ALPHABET)
    assert [sample.labels for sample in samples][:2] == [(1, 2, 0, 1, 2), (1, 0, 2)]
    assert samples[0].seconds == pytest.approx(5 * 0.12)
    assert samples[0].frames == 1 + (5 * 1920 - 512) // 320
    assert samples.frames.tolist() == [sample.frames for sample in samples]
    assert samples.seconds.tolist() == [sample.seconds for sample in samples]
    assert samples.frames_needed.tolist() == [5, 3, 8, 3, 3]


def test_rows_of_several_manifests_follow_each_other(manifest, tmp_path):
    other = write_tones(tmp_path / "other.csv", ["aa"])
    samples = read_samples([manifest, other], ALPHABET)
    assert [samples.utterance(row).source.name for row in (4, 5)] == ["train.csv", "other.csv"]
    assert samples.utterance(5).row == 1
    assert samples[5].labels == (1, 1)


def test_selected_samples_keep_all_that_is_theirs(manifest):
    samples = read_samples([manifest], ALPHABET)
    assert list(samples.select(np.array([3, 0]))) == [samples[3], samples[0]]
    assert list(samples.select(samples.frames > samples.frames[0])) == [samples[2]]


@pytest.mark.parametrize(
    ("labels", "frames"), [([], 0), ([1], 1), ([1, 1], 3), ([1, 2, 2, 2], 6), ([2, 1, 2], 3)]
)
def test_repeated_labels_need_a_blank_between_them(labels, frames):
    assert frames_needed(labels) == frames


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


def test_a_clip_that_is_not_there_is_named_with_its_row(manifest):
    (manifest.parent / "train-clips" / "4.wav").unlink()
    message = refusal(manifest)
    assert "train.csv, row 4:" in message
    assert "4.wav: expected readable audio, found nothing" in message


def test_a_transcript_too_long_for_its_audio_is_left_out_with_both_numbers(tmp_path, caplog):
    manifest = write_tones(tmp_path / "train.csv", ["a", "ab"])
    manifest.write_text(manifest.read_text().replace('"a"', '"aaaaaaaa"'))
    samples = read_samples([manifest], ALPHABET)
    assert list(drop_too_short(samples)) == [samples[1]]
    (message,) = caplog.messages
    assert "train.csv, row 1: left out" in message
    assert "at least 15 frames of audio for its 8 labels, found 5" in message
    with pytest.raises(DataError, match="more labels than its audio has frames"):
        drop_too_short(samples.select(np.array([0])))


def test_of_many_too_short_clips_some_are_named_and_the_others_counted(tmp_path, caplog):
    manifest = write_tones(tmp_path / "train.csv", ["b"] * 23 + ["ab"])
    manifest.write_text(manifest.read_text().replace('"b"', '"bbbbbbbb"'))
    assert len(drop_too_short(read_samples([manifest], ALPHABET))) == 1
    assert "row 20: left out" in caplog.messages[-2]
    assert caplog.messages[-1] == "and 3 more that are too short"


def test_a_transcript_that_only_fits_in_nfc_is_taken_in_nfc(tmp_path):
    manifest = write_tones(tmp_path / "train.csv", ["a", "b"])
    manifest.write_text(manifest.read_text().replace('"a"', '"a\u0308b"'), encoding="utf-8")
    composed, decomposed = CharacterAlphabet("äb"), CharacterAlphabet("ab\u0308")
    assert read_samples([manifest], composed).utterance(0).transcript == "äb"
    assert read_samples([manifest], decomposed).utterance(0).transcript == "a\u0308b"


def test_a_blank_transcript_is_refused(tmp_path):
    manifest = write_tones(tmp_path / "train.csv", ["a", " "])
    assert "row 2: expected a transcript" in refusal(manifest)


def test_no_rows_are_refused(tmp_path):
    manifest = write_tones(tmp_path / "train.csv", [])
    assert "expected at least one utterance" in refusal(manifest)
