"""Long recordings to clips, with a network that hears tones: what is right, what is told apart."""

import csv
import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from stt_model.alignment import windows
from stt_model.alignment.aligner import Aligner
from stt_model.alignment.config import AlignmentConfig
from stt_model.alignment.sound import find_pauses, samples_on_disk
from stt_model.base import DataError
from stt_model.corpus import USUAL_AUDIO, read_manifest
from tests.stt_model.alignment.heard import ALPHABET, draw_words, infer, write_speech

# Between words tones have pauses of 0.12 s, between phrases of 0.5 s.
CONFIG = AlignmentConfig(shortest_clip=1.0, longest_clip=6.0, shortest_pause=0.3)


def align(source, target, config=CONFIG, **options):
    target.mkdir()
    return Aligner(ALPHABET, USUAL_AUDIO, infer, config).align(str(source), target, **options)


def phrases_of(words, count=3):
    return [" ".join(words[at : at + count]) for at in range(0, len(words), count)]


@pytest.fixture
def recording(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    phrases = phrases_of(draw_words(90))
    spans = write_speech(source / "talk.wav", phrases)
    (source / "talk.txt").write_text("\n".join(phrases), encoding="utf-8")
    return source, phrases, spans


def is_right(clip, phrases, spans, tolerance=0.2):
    """Tell whether a clip begins and ends beside phrases, with just their text."""
    inside = [
        number
        for number, (begin, end) in enumerate(spans)
        if begin > clip.start - tolerance and end < clip.end + tolerance
    ]
    text = " ".join(phrases[number] for number in inside)
    return (
        bool(inside)
        and clip.transcript == text
        and (
            spans[inside[0]][0] >= clip.start - tolerance
            and spans[inside[-1]][1] <= clip.end + tolerance
        )
    )


def test_every_clip_is_right_where_the_text_is(recording, tmp_path):
    source, phrases, spans = recording
    result = align(source, tmp_path / "clips")
    assert len(result.taken) > 10
    assert all(is_right(each.clip, phrases, spans) for each in result.clips)
    assert all(1 <= each.clip.end - each.clip.start <= 6 for each in result.clips)
    assert not result.unmatched
    words = " ".join(each.clip.transcript for each in result.clips)
    assert words == " ".join(phrases)


def test_the_manifest_is_one_that_others_take(recording, tmp_path):
    source, _, _ = recording
    result = align(source, tmp_path / "clips")
    rows = read_manifest(tmp_path / "clips" / "clips.csv")
    assert [row.transcript for row in rows] == [each.clip.transcript for each in result.taken]
    for row, each in zip(rows, result.taken, strict=True):
        info = soundfile.info(row.path)
        assert info.duration == pytest.approx(each.clip.end - each.clip.start, abs=0.01)
        assert row.wav_filesize == row.path.stat().st_size
        assert float(row.extra["confidence"]) >= CONFIG.min_confidence
        assert row.extra["recording"] == "talk.wav"


def test_text_and_audio_without_the_other_are_told_apart(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    phrases = phrases_of(draw_words(90))
    spans = write_speech(source / "talk.wav", phrases)
    others = phrases_of(draw_words(9, seed=7))
    written = phrases[:8] + others + phrases[8:20] + phrases[23:]
    (source / "talk.txt").write_text("\n".join(written), encoding="utf-8")
    result = align(source, tmp_path / "clips")
    assert all(is_right(each.clip, phrases, spans) for each in result.taken)
    assert len(result.taken) > 8
    missing = [each for _, each in result.unmatched if each.kind == "text"]
    assert set(" ".join(others).split()) <= set(" ".join(each.text for each in missing).split())
    assert any("not found in the audio" in each.reason for each in missing)
    (speech,) = [each for _, each in result.unmatched if each.kind == "audio"]
    assert speech.start == pytest.approx(spans[20][0], abs=1.0)
    assert speech.end == pytest.approx(spans[22][1], abs=1.0)
    with (tmp_path / "clips" / "check" / "unmatched.csv").open(encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == len(result.unmatched)
    assert all(row["reason"] for row in rows)


def test_another_text_altogether_gives_no_confident_clip(recording, tmp_path):
    source, _, _ = recording
    other = phrases_of(draw_words(90, seed=5))
    (source / "talk.txt").write_text("\n".join(other), encoding="utf-8")
    # Eight pitches are easier to hit by chance than the sounds of speech.
    config = replace(CONFIG, min_confidence=0.4)
    try:
        result = align(source, tmp_path / "clips", config)
    except DataError as error:
        assert "matches its text" in str(error)
    else:
        assert not result.taken


def test_windows_give_what_the_whole_gives(recording, tmp_path, monkeypatch):
    source, _phrases, _ = recording
    whole = align(source, tmp_path / "whole")
    monkeypatch.setattr(windows, "WINDOW", 70)
    monkeypatch.setattr(windows, "WARM_UP", 10)
    parts = align(source, tmp_path / "parts")
    assert [each.clip for each in parts.clips] == [each.clip for each in whole.clips]


def test_files_for_praat_and_elan_say_the_same(recording, tmp_path):
    textgrid = pytest.importorskip("praatio.textgrid")
    pympi = pytest.importorskip("pympi")
    source, phrases, _ = recording
    result = align(source, tmp_path / "clips")
    check = tmp_path / "clips" / "check"
    grid = textgrid.openTextgrid(str(check / "talk.TextGrid"), includeEmptyIntervals=False)
    found = [(each.start, each.end, each.label) for each in grid.getTier("utterance").entries]
    expected = [(each.clip.start, each.clip.end, each.clip.transcript) for each in result.taken]
    assert [text for *_, text in found] == [text for *_, text in expected]
    assert np.allclose([each[:2] for each in found], [each[:2] for each in expected], atol=2e-3)
    assert len(grid.getTier("word").entries) == len(" ".join(phrases).split())
    elan = pympi.Eaf(str(check / "talk.eaf"))
    annotations = sorted(elan.get_annotation_data_for_tier("utterance"))
    assert [each[2] for each in annotations] == [text for *_, text in expected]


def test_page_plays_the_clips_beside_it(recording, tmp_path):
    source, _, _ = recording
    result = align(source, tmp_path / "clips")
    page = (tmp_path / "clips" / "check" / "index.html").read_text(encoding="utf-8")
    assert f'src="../{result.taken[0].place}"' in page
    assert result.taken[0].clip.transcript in page


def test_a_table_names_recordings_and_texts(recording, tmp_path):
    source, _phrases, _ = recording
    (source / "talk.txt").rename(source / "words.txt")
    rows = "audio,text_file,speaker\ntalk.wav,words.txt,anna\ngone.wav,words.txt,ben\n"
    (source / "list.csv").write_text(rows, encoding="utf-8")
    result = align(source / "list.csv", tmp_path / "clips")
    rows = read_manifest(tmp_path / "clips" / "clips.csv")
    assert {row.extra["speaker"] for row in rows} == {"anna"}
    assert ("gone.wav", "gone.wav: expected a recording, found none") in [
        (name, each.reason) for name, each in result.unmatched
    ]


def test_a_source_without_pairs_is_refused(tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "notes.txt").write_text("words")
    with pytest.raises(DataError, match=r"a \.txt of the same name"):
        align(tmp_path / "source", tmp_path / "clips")


def test_recordings_of_another_rate_and_two_channels(recording, tmp_path):
    source, phrases, spans = recording
    samples, rate = soundfile.read(source / "talk.wav")
    doubled = np.repeat(samples, 2)
    stereo = np.column_stack([doubled, doubled])
    soundfile.write(source / "talk.flac", stereo, 2 * rate)
    (source / "talk.wav").unlink()
    result = align(source, tmp_path / "clips")
    assert all(is_right(each.clip, phrases, spans) for each in result.taken)
    assert len(result.taken) > 10
    assert soundfile.info(tmp_path / "clips" / result.taken[0].place).samplerate == 2 * rate


def test_a_recording_without_audio_is_set_aside_with_the_reason(recording, tmp_path):
    source, _, _ = recording
    (source / "broken.wav").write_bytes(b"no audio at all")
    (source / "broken.txt").write_text("abc")
    result = align(source, tmp_path / "clips")
    reasons = {name: each.reason for name, each in result.unmatched}
    assert "expected readable audio" in reasons["broken.wav"]


def test_pauses_are_found_in_noise(tmp_path):
    spans = write_speech(tmp_path / "a.wav", phrases_of(draw_words(30)), pause=0.4)
    with samples_on_disk(tmp_path / "a.wav", tmp_path, 16000) as samples:
        pauses = find_pauses(samples, 16000)
    between = [(end, begin) for (_, end), (begin, _) in itertools.pairwise(spans)]
    for end, begin in between:
        assert any(abs(a - end) < 0.05 and abs(b - begin) < 0.05 for a, b in pauses)


def test_json_of_settings_is_checked():
    with pytest.raises(DataError, match="--shortest_clip"):
        AlignmentConfig(shortest_clip=20.0)
    assert json.dumps(vars(AlignmentConfig()))


def test_samples_are_read_in_parts_and_none_kept(tmp_path):
    sound = np.random.default_rng(3).integers(-9000, 9000, 16000, np.int16)
    soundfile.write(tmp_path / "a.wav", sound, 16000)
    with samples_on_disk(tmp_path / "a.wav", tmp_path, 16000) as samples:
        assert len(samples) == 16000
        for part in (slice(0, 5), slice(7, 12_000), slice(15_990, 17_000), slice(9, 3)):
            np.testing.assert_array_equal(samples[part], sound[part])
        assert not isinstance(samples, np.memmap)
