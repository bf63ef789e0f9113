"""Each format from a sample in its real layout: transcripts and lengths come out as they were."""

import json
import shutil

import numpy as np
import pytest
import soundfile

from stt_model.base import BootstrapError
from stt_model.corpus.audio import audio_info
from stt_model.corpus.manifests import read_manifest
from stt_model.importing.coqui_names import COQUI_IMPORTERS
from stt_model.importing.importer import import_corpus
from stt_model.importing.registry import SPECIFIC, find_format, known_formats
from stt_model.importing.settings import ImportSettings
from stt_model.importing.tree import Tree
from tests.stt_model.importing import samples

SAMPLES = {
    "common_voice": samples.common_voice,
    "librispeech": samples.librispeech,
    "mls": samples.mls,
    "ljspeech": samples.ljspeech,
    "voxforge": samples.voxforge,
    "text_beside_audio": samples.texts_beside,
    "kaldi": samples.kaldi,
    "nemo": samples.nemo,
    "label_studio": samples.label_studio,
    "audiofolder": samples.audiofolder,
    "subtitles": samples.subtitles,
    "stm": samples.stm,
    "transcript_list": samples.transcript_list,
}
NAMES = {"mls": "librispeech"}


def imported(source, target, **options):
    """Import, and return the rows of all splits."""
    result = import_corpus(str(source), str(target), ImportSettings(**options))
    manifests = [target / f"{split}.csv" for split in ("train", "dev", "test")]
    return result, [row for path in manifests if path.exists() for row in read_manifest(path)]


def round_trip(source, target, expected, tolerance=0.002, **options):
    """Import and compare with the seconds of each text; return the rows."""
    result, rows = imported(source, target, **options)
    assert sorted(row.transcript for row in rows) == sorted(expected)
    for row in rows:
        assert audio_info(row.place).duration == pytest.approx(
            expected[row.transcript], abs=tolerance
        )
        assert row.wav_filesize == row.path.stat().st_size
    return result, rows


@pytest.mark.parametrize("name", SAMPLES)
def test_a_format_is_told_by_its_content_and_comes_out_as_it_was(name, tmp_path):
    source = tmp_path / "source"
    expected = SAMPLES[name](source)
    assert NAMES.get(name, name) == find_format(Tree(source)).NAME
    # An mp3 has whole frames of 36 ms only.
    round_trip(source, tmp_path / "out", expected, 0.1 if name == "common_voice" else 0.002)


def test_common_voice_keeps_what_is_known_of_speakers_and_says_what_it_leaves_out(tmp_path):
    samples.common_voice(tmp_path / "cv" / "xx")
    result, rows = imported(tmp_path / "cv", tmp_path / "out")
    assert len({row.extra["speaker"] for row in rows}) == 20
    assert {row.extra["gender"] for row in rows} == {"male", "female"}
    assert {row.extra["age"] for row in rows} == {"twenties"}
    assert any("invalidated.tsv" in note for note in result.notes)
    places = {}
    for split in ("train", "dev", "test"):
        for row in read_manifest(tmp_path / "out" / f"{split}.csv"):
            places.setdefault(row.extra["speaker"], set()).add(split)
    assert all(len(each) == 1 for each in places.values())


def test_common_voices_released_splits_are_taken_where_that_is_said(tmp_path):
    samples.common_voice(tmp_path / "cv")
    result, _ = imported(tmp_path / "cv", tmp_path / "out", splits="released")
    assert {number: each[0] for number, each in result.totals.items()} == {0: 4, 1: 2, 2: 2}


def test_librispeechs_splits_and_speakers_are_kept(tmp_path):
    samples.librispeech(tmp_path / "LibriSpeech")
    result, _ = imported(tmp_path / "LibriSpeech", tmp_path / "out")
    assert result.split_by == "what was released"
    train = read_manifest(tmp_path / "out" / "train.csv")
    assert {row.extra["speaker"] for row in train} == {"19"}
    assert {row.extra["gender"] for row in train} == {"female"}


def test_voxforges_people_without_a_name_are_one_a_session(tmp_path):
    samples.voxforge(tmp_path / "source")
    _, rows = imported(tmp_path / "source", tmp_path / "out")
    assert {row.extra["speaker"] for row in rows} == {"anna", "anonymous-20080101-def"}


def test_kaldis_commands_are_set_aside_unless_they_read_one_file(tmp_path):
    expected = samples.kaldi(tmp_path)
    scp = tmp_path / "data" / "wav.scp"
    audio = tmp_path / "audio" / "rec1.wav"
    scp.write_text(f"rec1 cat {audio} |\n")
    round_trip(tmp_path / "data", tmp_path / "out", expected)
    scp.write_text(f"rec1 sox {audio} -t wav - trim 3 5 | flac -d - |\n")
    with pytest.raises(Exception, match="run it beforehand"):
        imported(tmp_path / "data", tmp_path / "other")


def test_channels_of_a_recording_are_taken_apart(tmp_path):
    left, right = samples.tone(4.0, 300), samples.tone(4.0, 1000)
    soundfile.write(tmp_path / "call.wav", np.stack([left, right], axis=1), samples.RATE)
    rows = [
        {
            "audio_filepath": "call.wav",
            "offset": n * 0.5,
            "duration": 0.5,
            "text": f"{n} {c}",
            "channel": c,
        }
        for n in range(6)
        for c in (0, 1)
    ]
    samples.write_text(tmp_path / "calls.json", "\n".join(map(json.dumps, rows)))
    _, found = imported(tmp_path, tmp_path.parent / f"{tmp_path.name}-out")
    for row in found:
        sound, rate = soundfile.read(row.path)
        pitch = np.argmax(np.abs(np.fft.rfft(sound))) * rate / len(sound)
        assert pitch == pytest.approx(1000 if row.transcript.endswith("1") else 300, abs=5)


def test_lhotse_cuts(tmp_path):
    expected = {}
    cuts = []
    for name, text, seconds in samples.utterances(10):
        path = samples.write_audio(tmp_path / "audio" / f"{name}.wav", seconds)
        cuts.append(_cut(name, path, seconds, 0.0, seconds, text))
        expected[text] = seconds
    path = samples.write_audio(tmp_path / "audio" / "long.wav", 6.0)
    cuts.append(_cut("long", path, 6.0, 2.5, 1.5, "ein teil"))
    expected["ein teil"] = 1.5
    samples.write_text(tmp_path / "cuts.jsonl", "\n".join(map(json.dumps, cuts)))
    _, rows = round_trip(tmp_path, tmp_path.parent / f"{tmp_path.name}-out", expected)
    assert {row.extra["speaker"] for row in rows} == {"anna"}
    assert {row.extra["mood"] for row in rows} == {"calm"}


def _cut(name, path, length, start, seconds, text):
    recording = {
        "id": name,
        "sources": [{"type": "file", "channels": [0], "source": str(path)}],
        "sampling_rate": samples.RATE,
        "num_samples": round(length * samples.RATE),
        "duration": length,
        "channel_ids": [0],
    }
    supervision = {
        "id": f"sup-{name}",
        "recording_id": name,
        "start": 0.0,
        "duration": seconds,
        "channel": 0,
        "text": text,
        "speaker": "anna",
        "custom": {"mood": "calm"},
    }
    return {
        "id": f"cut-{name}",
        "start": start,
        "duration": seconds,
        "channel": 0,
        "supervisions": [supervision],
        "recording": recording,
        "type": "MonoCut",
    }


def test_lhotses_own_files_are_read(tmp_path):
    lhotse = pytest.importorskip("lhotse")
    source = tmp_path / "source"
    recordings, supervisions, expected = [], [], {}
    for name, text, seconds in samples.utterances(8):
        path = samples.write_audio(source / f"{name}.wav", seconds)
        recordings.append(lhotse.Recording.from_file(path, recording_id=name))
        supervisions.append(
            lhotse.SupervisionSegment(name, name, 0.1, seconds - 0.2, text=text, speaker="anna")
        )
        expected[text] = seconds - 0.2
    cuts = lhotse.CutSet.from_manifests(
        lhotse.RecordingSet.from_recordings(recordings),
        lhotse.SupervisionSet.from_segments(supervisions),
    )
    cuts.to_file(source / "cuts.jsonl.gz")
    round_trip(source, tmp_path / "out", expected)


def test_parquet_with_audio_inside(tmp_path):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    expected = {}
    for split in ("train", "validation", "test"):
        rows = []
        for name, text, seconds in samples.utterances(4):
            path = samples.write_audio(tmp_path / "made" / f"{name}.flac", seconds)
            audio = {"bytes": path.read_bytes(), "path": path.name}
            rows.append({"audio": audio, "sentence": f"{split} {text}", "speaker_id": 7})
            expected[f"{split} {text}"] = seconds
        (tmp_path / "data").mkdir(exist_ok=True)
        table = arrow.Table.from_pylist(rows)
        parquet.write_table(table, tmp_path / "data" / f"{split}-00000-of-00001.parquet")
    shutil.rmtree(tmp_path / "made")
    result, rows = round_trip(tmp_path / "data", tmp_path / "out", expected)
    assert result.split_by == "what was released"
    assert {row.extra["speaker"] for row in rows} == {"7"}


def test_elan_as_pympi_writes_it(tmp_path):
    pympi = pytest.importorskip("pympi")
    samples.write_audio(tmp_path / "source" / "interview.wav", 60.0)
    file = pympi.Eaf()
    file.add_linked_file("file:///somewhere/else/interview.wav", "./interview.wav", "audio/x-wav")
    for speaker in ("Anna", "Berta"):
        file.add_tier(speaker, part=speaker.lower())
    file.add_tier("translation", parent="Anna")
    file.remove_tier("default")
    expected = {}
    for number in range(10):
        speaker = ("Anna", "Berta")[number % 2]
        file.add_annotation(speaker, number * 5000, number * 5000 + 1500 + number, f"satz {number}")
        expected[f"satz {number}"] = 1.5 + number / 1000
    file.to_file(str(tmp_path / "source" / "interview.eaf"))
    _, rows = round_trip(tmp_path / "source", tmp_path / "out", expected)
    assert {row.extra["speaker"] for row in rows} == {"anna", "berta"}


def test_textgrids_as_praatio_writes_them(tmp_path):
    textgrid = pytest.importorskip("praatio.textgrid")
    samples.write_audio(tmp_path / "source" / "talk.wav", 40.0)
    entries = [(3.0 * n, 3.0 * n + 1.2 + n / 50, f"satz {n}") for n in range(10)]
    grid = textgrid.Textgrid()
    grid.addTier(textgrid.IntervalTier("transcript", entries, 0, 40))
    words = [(start, start + 0.5, "satz") for start, _, _ in entries]
    grid.addTier(textgrid.IntervalTier("words", words, 0, 40))
    path = tmp_path / "source" / "talk.TextGrid"
    grid.save(str(path), format="long_textgrid", includeBlankSpaces=True)
    expected = {text: end - start for start, end, text in entries}
    round_trip(tmp_path / "source", tmp_path / "out", expected)


@pytest.mark.parametrize(("suffix", "codec"), [(".m4a", "aac"), (".g722", "g722")])
def test_recordings_that_only_ffmpeg_reads_are_converted(tmp_path, suffix, codec):
    av = pytest.importorskip("av")
    for name, text, seconds in samples.utterances(10):
        (tmp_path / "source").mkdir(exist_ok=True)
        with av.open(str(tmp_path / "source" / f"{name}{suffix}"), "w") as container:
            stream = container.add_stream(codec, rate=samples.RATE, layout="mono")
            sound = (samples.tone(seconds) * 32767).astype(np.int16)
            for start in range(0, len(sound) - 1023, 1024):
                block = sound[None, start : start + 1024]
                frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
                frame.rate = samples.RATE
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        samples.write_text(tmp_path / "source" / f"{name}.txt", text)
    expected = {text: seconds for _, text, seconds in samples.utterances(10)}
    _, rows = round_trip(tmp_path / "source", tmp_path / "out", expected, 0.15)
    assert all(row.path.suffix == ".wav" for row in rows)


def test_a_recording_of_an_unknown_format_is_named_with_a_way_to_convert_it(tmp_path):
    (tmp_path / "call.ra4").write_bytes(b"no audio" * 100)
    samples.write_text(tmp_path / "calls.csv", "file,text\ncall.ra4,hello\n")
    with pytest.raises(BootstrapError, match=r"call\.ra4: expected a recording .*ffmpeg -i FILE"):
        imported(tmp_path / "calls.csv", tmp_path / "out")


def test_lingua_libre_is_taken_by_name_only(tmp_path):
    for number in range(12):
        samples.write_audio(tmp_path / "source" / f"Speaker{number % 4}" / f"mot_{number}.ogg", 0.8)
    _, rows = imported(tmp_path / "source", tmp_path / "out", format="lingua_libre")
    assert {row.transcript for row in rows} == {f"mot {n}" for n in range(12)}


def test_vctks_texts_lie_in_a_folder_of_their_own(tmp_path):
    for number in range(12):
        speaker, name = f"p{number % 6}", f"p{number % 6}_{number:03d}"
        samples.write_audio(tmp_path / "s" / "wav48" / speaker / f"{name}.wav", 1.0)
        samples.write_text(tmp_path / "s" / "txt" / speaker / f"{name}.txt", f"text {number}")
    _, rows = imported(tmp_path / "s", tmp_path / "out")
    assert len(rows) == 12 and len({row.extra["speaker"] for row in rows}) == 6


def test_the_sentence_of_ldc93s1_is_read_without_its_numbers(tmp_path):
    for number in range(12):
        samples.write_audio(tmp_path / "s" / f"LDC{number}.wav", 2.9)
        text = f"0 46797 She had your dark suit in greasy wash water {number}."
        samples.write_text(tmp_path / "s" / f"LDC{number}.txt", text)
    _, rows = imported(tmp_path / "s", tmp_path / "out", format="text_beside_audio")
    assert all(row.transcript.startswith("She had") for row in rows)


def test_every_importer_of_coqui_names_a_format_that_there_is():
    assert set(COQUI_IMPORTERS.values()) <= set(known_formats())
    assert len(known_formats()) == len(SPECIFIC) + 3
