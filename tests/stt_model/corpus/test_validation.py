import base64
import csv
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from stt_model.base.errors import ValidationError
from stt_model.corpus.audio_settings import SAMPLE_RATE
from stt_model.corpus.checks import Limits
from stt_model.corpus.manifests import COLUMNS, read_manifest
from stt_model.corpus.validation import CHECKS, validate
from stt_model.corpus.validation_report import _glyphs, _tick
from stt_model.text.alphabet import BytesAlphabet, CharacterAlphabet

SECONDS = 1.0


def speech(seconds=SECONDS, seed=0, gain=0.1):
    return gain * np.random.default_rng(seed).uniform(-1, 1, round(seconds * SAMPLE_RATE))


class Corpus:
    """A folder with manifests that are sound until a test spoils them."""

    def __init__(self, folder):
        self.folder = folder
        self.rows = {"train": [], "dev": [], "test": []}
        for split in self.rows:
            for _ in range(2):
                self.add(split)

    def add(self, split, text=None, *, audio=None, rate=SAMPLE_RATE, name=None, size=None):
        number = sum(map(len, self.rows.values()))
        name = name or f"{split}-{number}.wav"
        if audio is None:
            audio = speech(seed=number)
        if len(audio):
            soundfile.write(self.folder / name, audio, rate)
        if size is None:
            size = (self.folder / name).stat().st_size if len(audio) else 1
        letter = chr(ord("a") + number % 26)
        self.rows[split].append([name, size, f"word {letter}" if text is None else text])

    def validate(self, **options):
        paths = {}
        for split, rows in self.rows.items():
            paths[split] = self.folder / f"{split}.csv"
            with paths[split].open("w", encoding="utf-8", newline="") as handle:
                csv.writer(handle).writerows([COLUMNS, *rows])
        return validate(paths, workers=2, **options)


@pytest.fixture
def corpus(tmp_path):
    return Corpus(tmp_path)


def found(result):
    return [(each.split, each.row, each.check, each.severity) for each in result.findings]


def test_a_sound_corpus_has_no_findings_and_is_kept_whole(corpus, tmp_path):
    result = corpus.validate(strict=True)
    assert found(result) == [] and result.problem() is None
    result.write(tmp_path / "out")
    for split, rows in corpus.rows.items():
        clean = read_manifest(tmp_path / "out" / f"{split}.csv")
        assert [[each.path.name, each.wav_filesize, each.transcript] for each in clean] == rows
        assert all(each.wav_filename == str(tmp_path / each.path.name) for each in clean)
    assert sorted(each.name for each in (tmp_path / "out").iterdir()) == [
        "dev.csv", "rejected.csv", "report.md", "test.csv", "train.csv"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "check", "said"),
    [
        ({"audio": []}, "audio_readable", "found nothing at"),
        ({"name": "x.wav", "audio": np.zeros(0)}, "audio_readable", "found nothing at"),
        ({"audio": [], "name": " "}, "audio_readable", "no file name"),
        ({"audio": np.array([np.nan])}, "audio_readable", ""),
        ({"text": ""}, "transcript_blank", "found ''"),
        ({"text": " \u00a0"}, "transcript_blank", "expected a transcript"),
        ({"text": "grÃ¶ÃŸe"}, "transcript_encoding", "perhaps of 'größe'"),
        ({"text": "РїСЂРёРІС–С‚ СѓСЃС–Рј"}, "transcript_encoding", "perhaps of 'привіт усім'"),
        ({"text": "one\ntwo"}, "transcript_control_characters", "U+000A in 'one\\ntwo'"),
        ({"text": "x" * 25}, "transcript_fits_audio", "at least 49 frames"),
        ({"text": "ab" * 25}, "transcript_fits_audio", "at least 50 frames"),
    ],
)
def test_errors_reject_the_row(corpus, tmp_path, row, check, said):
    if check == "transcript_fits_audio":
        row = {**row, "audio": speech(0.97)}
    if "audio" in row and len(row["audio"]) == 1:
        soundfile.write(tmp_path / "nan.wav", row["audio"], SAMPLE_RATE, subtype="FLOAT")
        row = {"name": "nan.wav", "audio": []}
    corpus.add("train", **row)
    result = corpus.validate()
    errors = [each for each in result.errors if each.check == check]
    assert [(each.split, each.row) for each in errors] == [("train", 3)]
    assert said in str(errors[0]) and str(errors[0]).startswith(
        f"{tmp_path / 'train.csv'}, row 3: "
    )
    assert "\n" not in str(errors[0])
    assert len(result.accepted["train"]) == 2 and len(result.rejected) == 1


@pytest.mark.parametrize(
    ("row", "check", "said"),
    [
        ({"audio": speech(0.2), "text": "a"}, "duration_short", "at least 0.3 s, found 0.20 s"),
        ({"audio": speech(31)}, "duration_long", "at most 30 s, found 31.0 s"),
        ({"audio": np.zeros(16000)}, "audio_silent", "found -inf dBFS"),
        ({"audio": speech(gain=1e-4)}, "audio_silent", "speech above -60 dBFS, found -8"),
        ({"audio": np.clip(speech(gain=3), -1, 1)}, "audio_clipped", "at most 1.0% of samples"),
        ({"audio": speech(0.5), "rate": 8000}, "audio_sample_rate", "found 8000 Hz"),
        ({"size": ""}, "wav_filesize", "expected 32044 bytes, found no number"),
        ({"size": 7}, "wav_filesize", "found 7"),
        (
            {"text": "cafe\u0301"},
            "transcript_normal_form",
            "found 'e' U+0065 LATIN SMALL LETTER E, '\u25cc\u0301'",
        ),
        ({"text": "room 101"}, "transcript_digits", "found 0 1 in 'room 101'"),
    ],
)
def test_warnings_keep_the_row(corpus, row, check, said):
    corpus.add("dev", **row)
    result = corpus.validate()
    assert found(result) == [("dev", 3, check, "warning")]
    assert said in str(result.findings[0])
    assert len(result.accepted["dev"]) == 3 and not result.rejected


def test_an_hour_in_one_file_is_rejected_without_decoding_it(corpus, tmp_path):
    with soundfile.SoundFile(tmp_path / "long.flac", "w", 8000, 1) as sound:
        for _ in range(11):
            sound.write(np.zeros(60 * 8000))
    corpus.add("train", audio=[], name="long.flac")
    (error,) = corpus.validate().errors
    assert "660 s in one file; cut it into utterances" in error.found


def test_a_given_alphabet_rejects_what_it_lacks_and_counts_its_labels(corpus):
    corpus.add("train", "\u00f1u 3", audio=speech(seed=99))
    corpus.add("train", "\u00e9" * 15, audio=speech(0.6, seed=98))
    letters = CharacterAlphabet(" wordabcef\u00e9")
    result = corpus.validate(alphabet=letters)
    assert [(each.row, each.check) for each in result.errors] == [(3, "transcript_in_alphabet")]
    assert "U+00F1" in result.errors[0].found and "only the 11 labels" in result.errors[0].expected
    in_bytes = corpus.validate(alphabet=BytesAlphabet())
    assert [(each.row, each.check) for each in in_bytes.errors] == [(4, "transcript_fits_audio")]


def test_the_copy_nearer_to_training_is_rejected_when_splits_share_audio(corpus):
    shared = speech(seed=77)
    for split in ("test", "dev", "train"):
        corpus.add(split, f"{split}", audio=shared, name=f"{split}.flac")
    result = corpus.validate()
    assert found(result) == [
        ("train", 3, "audio_across_splits", "error"),
        ("dev", 3, "audio_across_splits", "error"),
    ]
    assert result.findings[0].found == "it is row 3 of test.csv too"
    assert [len(result.accepted[split]) for split in ("train", "dev", "test")] == [2, 2, 3]


def test_a_rejected_held_out_row_does_not_cost_its_copy_in_training(corpus):
    shared = speech(seed=77)
    corpus.add("test", "", audio=shared)
    corpus.add("train", audio=shared)
    assert found(corpus.validate()) == [("test", 3, "transcript_blank", "error")]


def test_repeated_audio_and_shared_text_are_warnings(corpus):
    shared = speech(seed=77)
    corpus.add("train", "one", audio=shared)
    corpus.add("train", "two", audio=shared)
    corpus.add("dev", "two")
    result = corpus.validate()
    assert found(result) == [
        ("train", 4, "audio_repeated", "warning"),
        ("train", 4, "text_across_splits", "warning"),
    ]
    assert "row 3 of train.csv already, with the text 'one'" in result.findings[0].found
    assert result.findings[1].found == "it is row 3 of dev.csv too"


def test_a_pace_far_from_the_median_is_odd(corpus):
    for _ in range(20):
        corpus.add("train")
    corpus.add("train", "text that belongs to some other audio")
    result = corpus.validate()
    assert found(result) == [("train", 23, "odd_pace", "warning")]
    assert not corpus.validate(limits=Limits(pace_utterances=100)).findings


def test_ragged_rows_are_rejected_whole(corpus, tmp_path):
    corpus.rows["train"] += [["a.wav", 1, "one", " two", "three"], ["b.wav", 2]]
    result = corpus.validate()
    assert found(result) == [("train", 3, "fields", "error"), ("train", 4, "fields", "error")]
    result.write(tmp_path / "out")
    with (tmp_path / "out" / "rejected.csv").open(encoding="utf-8", newline="") as handle:
        long, short = csv.DictReader(handle)
    assert [long[column] for column in COLUMNS] == ["a.wav", "1", "one"]
    assert long["surplus"] == " two,three" and short["transcript"] == ""
    assert (long["split"], long["row"], long["check"]) == ("train", "3", "fields")
    assert long["reason"] == "expected 3 fields, found 5: 'a.wav,1,one, two,three'"


def test_a_rejected_row_names_all_its_reasons_and_keeps_its_columns(corpus, tmp_path):
    corpus.add("train", "", audio=[])
    for split, rows in corpus.rows.items():
        corpus.rows[split] = [[*row, f"speaker {n}"] for n, row in enumerate(rows)]
        path = tmp_path / f"{split}.csv"
        with path.open("w", encoding="utf-8", newline="") as handle:
            csv.writer(handle).writerows([[*COLUMNS, "split"], *corpus.rows[split]])
    result = validate({split: tmp_path / f"{split}.csv" for split in corpus.rows})
    result.write(tmp_path / "out")
    with (tmp_path / "out" / "rejected.csv").open(encoding="utf-8", newline="") as handle:
        header, row = csv.reader(handle)
    assert header == [*COLUMNS, "split", "surplus", "split", "file", "row", "check", "reason"]
    assert row[3] == "speaker 2" and row[5] == "train"
    assert row[-2] == "audio_readable; transcript_blank"
    assert read_manifest(tmp_path / "out" / "dev.csv")[0].extra == {"split": "speaker 0"}


def test_clean_manifests_hold_nfc_and_true_sizes(corpus, tmp_path):
    corpus.add("train", "cafe\u0301", size="unknown")
    corpus.validate().write(tmp_path / "out")
    cleaned = read_manifest(tmp_path / "out" / "train.csv")[-1]
    assert cleaned.transcript == "caf\u00e9"
    assert cleaned.wav_filesize == cleaned.path.stat().st_size


def test_strict_writes_the_report_and_no_manifest(corpus, tmp_path):
    corpus.validate().write(tmp_path / "out")
    corpus.add("train", "")
    with pytest.raises(ValidationError) as caught:
        corpus.validate(strict=True).write(tmp_path / "out")
    assert str(caught.value) == (
        f"expected no errors (strict), found 1: {tmp_path}/train.csv, row 3: transcript_blank: "
        "expected a transcript, found ''"
    )
    names = sorted(each.name for each in (tmp_path / "out").iterdir())
    assert names == ["rejected.csv", "report.md"]
    assert "Refused" in (tmp_path / "out" / "report.md").read_text()


def test_strict_does_not_mind_warnings(corpus, tmp_path):
    corpus.add("train", size=1)
    corpus.validate(strict=True).write(tmp_path / "out")


@pytest.mark.parametrize("rows", [[], [["absent.wav", 1, "text"]]])
def test_a_split_without_a_sound_row_stops_everything(corpus, tmp_path, rows):
    corpus.rows["dev"] = rows
    with pytest.raises(ValidationError, match=r"dev\.csv: expected rows to use for dev"):
        corpus.validate().write(tmp_path / "out")
    assert not (tmp_path / "out" / "train.csv").exists()


def test_a_manifest_that_breaks_off_stops_everything(corpus, tmp_path):
    corpus.validate()
    path = tmp_path / "train.csv"
    path.write_bytes(path.read_bytes() + b'b.wav,1,"never closed\n')
    result = validate({"train": path})
    assert str(result.findings[0]).startswith(
        f"{path}: manifest: expected CSV with balanced quotes, found an error after row 2: "
    )
    assert len(result.accepted["train"]) == 2
    with pytest.raises(ValidationError, match="balanced quotes"):
        result.write(tmp_path / "out")


def test_metrics_are_finite_and_by_split(corpus):
    corpus.add("train", "")
    corpus.add("train", audio=np.zeros(16000))
    metrics = corpus.validate().metrics()
    assert metrics["train_utterances"] == 3 and metrics["train_rejected"] == 1
    assert metrics["train_warnings"] == 1 and metrics["dev_warnings"] == 0
    assert metrics["train_hours"] == pytest.approx(3 / 3600)
    assert len(metrics) == 12 and all(map(math.isfinite, metrics.values()))


def test_the_report_shows_counts_findings_and_pictures(corpus):
    corpus.add("train", "a|b `c` <script>", size=1)
    corpus.add("train", "\u10d0\u10d1\u4f60\u00a0$", audio=[])
    corpus.add("dev", "\u4f60 \u0301q $")
    result = corpus.validate()
    text = result.to_markdown()
    assert "| train | 3 | 1 | 1 |" in text
    found = {finding.check for finding in result.findings}
    assert {check.name for check in CHECKS if check.meaning in text} == found
    clean = len(CHECKS) - len(found)
    others = text.partition(f"{clean} other checks found nothing: ")[2].partition("\n")[0]
    assert len(others.split(", ")) == clean
    assert "| train.csv, row 4 | readable audio | nothing at" in text
    pictures = re.findall(r"!\[[^]]+\]\(data:image/png;base64,([^)]+)\)", text)
    assert len(pictures) == 2
    for picture in pictures:
        assert base64.b64decode(picture, validate=True).startswith(b"\x89PNG")


def test_report_of_a_corpus_without_any_sound_row_has_no_pictures(corpus):
    corpus.rows = {split: [] for split in corpus.rows}
    text = corpus.validate().to_markdown()
    assert "Refused" in text and "base64" not in text


def test_characters_that_the_font_lacks_are_shown_by_number():
    assert ord("\u00f1") in _glyphs() and ord("\u4f60") not in _glyphs()
    assert [_tick(c) for c in ("\u00f1", "\u4f60", " ", "\u200c", "$")] == [
        "\u00f1", "U+4F60", "\u2423", "U+200C", r"\$"
    ]  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(max_size=120), min_size=2, max_size=2), st.binary(max_size=120))
def test_arbitrary_bytes_become_findings_or_rows(tmp_path_factory, manifests, audio):
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "a.wav").write_bytes(audio)
    soundfile.write(folder / "b.wav", speech(), SAMPLE_RATE)
    (folder / "b.wav").write_bytes((folder / "b.wav").read_bytes()[:24] + audio)
    header = ",".join(COLUMNS).encode()
    (folder / "train.csv").write_bytes(header + b"\na.wav,1,x\nb.wav,2,y\n" + manifests[0])
    (folder / "dev.csv").write_bytes(manifests[1])
    splits = {split: folder / f"{split}.csv" for split in ("train", "dev")}
    result = validate(splits, alphabet=CharacterAlphabet("xyz"), workers=1)
    assert all("\n" not in str(each) and "\r" not in str(each) for each in result.findings)
    with pytest.raises(ValidationError):
        result.write(folder / "out")
    assert (folder / "out" / "report.md").read_text(encoding="utf-8")


def test_every_row_is_accepted_or_rejected_once(corpus, tmp_path):
    corpus.add("train", "", size="")
    corpus.add("test", "1\t2")
    corpus.rows["dev"].append(["ragged"])
    result = corpus.validate()
    for split, rows in corpus.rows.items():
        accepted = [each.row for each in result.accepted[split]]
        rejected = [each.row.row for each in result.rejected if each.split == split]
        assert sorted(accepted + rejected) == list(range(1, len(rows) + 1))
    assert replace(result, strict=True).problem().startswith("expected no errors (strict), found 3")
