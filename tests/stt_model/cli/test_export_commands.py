"""Exporting and transcribing from the command line: what is said, and what is refused when."""

import json
import shutil
from pathlib import Path

import pytest

from stt_model import jobs
from tests.command_line import call, tree

GOLDEN = Path(__file__).parents[2] / "golden"
COQUI = GOLDEN / "checkpoints" / "alphabet"
LATIN = GOLDEN / "audio" / "latin.csv"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """What Coqui STT's own flags make."""
    folder = tmp_path_factory.mktemp("exported")
    outcome = call(
        *("export", "--checkpoint_dir", COQUI, "--export_dir", folder / "en", "--export_zip"),
        *("--export_file_name", "model", "--export_author_id", "us", "--export_language", "en"),
        *("--export_model_name", "tiny", "--export_model_version", "1.2.3"),
        *("--export_license", "CC0-1.0", "--export_contact_info", "us@example.org"),
        *("--export_min_stt_version", "1.0.0", "--export_max_stt_version", "1.4.0"),
        *("--export_description", "A test.", "--export_beam_width", 99, "--n_hidden", 32),
        *("--test_files", LATIN, "--export_uri", folder / "copy"),
    )
    return folder, outcome


def test_export_says_what_it_made_and_how_that_compares(exported):
    folder, outcome = exported
    assert (outcome.code, outcome.err) == (0, "")
    comparison, place, copy = outcome.out.splitlines()
    assert comparison.startswith("model.tflite: on 5 utterances of 22 words: probabilities differ")
    assert place == f"export: {folder / 'en'}"
    assert (folder / "en.zip").is_file()
    assert copy == f"copied to {folder / 'copy'}"
    assert tree(folder / "copy") == tree(folder / "en")
    card = (folder / "en" / "us_tiny_1.2.3.md").read_text()
    for line in (
        *("author: us", "model_name: tiny", "model_version: 1.2.3", "language: en"),
        *("license: CC0-1.0", "contact_info: us@example.org", "released: true"),
        *("min_stt_version: 1.0.0", "max_stt_version: 1.4.0", "A test."),
    ):
        assert f"\n{line}\n" in card


@pytest.mark.parametrize("source", ["--checkpoint_dir", "--model"])
def test_transcribe_prints_a_line_a_file_in_order(source, exported):
    model = COQUI if source == "--checkpoint_dir" else exported[0] / "en" / "model.tflite"
    outcome = call("transcribe", GOLDEN / "audio", source, model)
    assert (outcome.code, outcome.err) == (0, "")
    names = [line.partition("\t")[0] for line in outcome.out.splitlines()]
    assert names == sorted(
        str(path) for path in (GOLDEN / "audio").iterdir() if path.suffix in (".wav", ".flac")
    )


def test_transcribe_prints_json():
    clip = GOLDEN / "audio" / "wav_16k.wav"
    beam = call("transcribe", clip, "--checkpoint_dir", COQUI, "--json", "--beam_width", 8)
    (row,) = json.loads(beam.out)
    assert row["wav_filename"] == str(clip)
    line = call("transcribe", clip, "--checkpoint_dir", COQUI, "--beam_width", 8).out
    assert line == f"{clip}\t{row['transcript']}\n"


def test_a_name_that_is_not_utf_8_is_shown(tmp_path):
    clip = tmp_path / "caf\udce9.wav"
    shutil.copy(GOLDEN / "audio" / "wav_16k.wav", clip)
    outcome = call("transcribe", tmp_path, "--checkpoint_dir", COQUI)
    assert outcome.out.startswith(f"{tmp_path}/caf\\udce9.wav\t")


@pytest.fixture
def without_tensorflow(monkeypatch):
    """Fail where a command starts TensorFlow, for which its user waits seconds."""
    monkeypatch.setattr(
        "stt_model.jobs.startup.start_tensorflow", lambda: pytest.fail("TensorFlow was started")
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("export --checkpoint_dir {coqui} --export_dir {full}", "{full}: expected an empty folder"),
        (
            "export --checkpoint_dir {coqui} --export_dir {full} --remove_export",
            "has an export.json",
        ),
        ("export --checkpoint_dir {coqui} --export_dir {full}/file", "found a file"),
        ("export --checkpoint_dir {coqui} --export_dir {full}/file/x", "found a file"),
        ("export --checkpoint_dir {full} --export_dir {new}", "{full}: no checkpoint"),
        ("export --checkpoint_dir {coqui} --export_dir {new} --n_hidden 7", "--n_hidden says 7"),
        (
            "export --checkpoint_dir {coqui} --export_dir {new} --test_files {full}/gone.csv",
            "{full}/gone.csv",
        ),
        (
            "export --checkpoint_dir {coqui} --export_dir {new} --export_tflite false",
            "nothing to export",
        ),
        (
            "export --checkpoint_dir {coqui} --export_dir {new} --scorer_path {full}/gone",
            "{full}/gone: no such scorer",
        ),
        (
            "export --checkpoint_dir {coqui} --export_dir {new} --scorer_path {full}/file",
            "{full}/file: expected a .scorer",
        ),
        ("transcribe {full}/gone.wav --checkpoint_dir {coqui}", "{full}/gone.wav: expected an au"),
        ("transcribe {full} --checkpoint_dir {coqui}", "{full}: expected audio (.wav"),
        ("transcribe {full}/file --checkpoint_dir {full}", "{full}: no checkpoint"),
        ("transcribe {full}/file --model {full}", "{full}: expected an exported .tflite, found no"),
    ],
)
def test_bad_input_is_one_line_before_tensorflow_starts(
    line, message, tmp_path, without_tensorflow
):
    full = tmp_path / "full"
    full.mkdir()
    (full / "file").write_text("not empty")
    before = tree(tmp_path)
    places = {"coqui": COQUI, "full": full, "new": tmp_path / "new"}
    outcome = call(*(part.format(**places) for part in line.split()))
    assert outcome.code == 1
    assert outcome.out == ""
    assert message.format(**places) in outcome.error
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("transcribe {full}/file --checkpoint_dir {coqui}", "{full}/file: expected readable audio"),
        ("transcribe {clip} --model {full}/file", "{full}/file: expected a .tflite model"),
        (
            "export --checkpoint_dir {coqui} --export_dir {new} --test_files {full}/blank.csv",
            "none w",
        ),
    ],
)
def test_bad_input_is_one_line(line, message, tmp_path):
    full = tmp_path / "full"
    full.mkdir()
    (full / "file").write_text("not empty")
    (full / "blank.csv").write_text("wav_filename,wav_filesize,transcript\n")
    before = tree(tmp_path)
    clip = GOLDEN / "audio" / "wav_16k.wav"
    places = {"coqui": COQUI, "full": full, "new": tmp_path / "new", "clip": clip}
    outcome = call(*(part.format(**places) for part in line.split()))
    assert outcome.code == 1
    assert message.format(**places) in outcome.error
    assert tree(tmp_path) == before


def test_an_exported_folder_is_transcribed_with(tmp_path, monkeypatch):
    """The folder that ``run`` and ``export`` make, with the card and the alphabet in it."""
    (tmp_path / "export").mkdir()
    for name in ("output_graph.tflite", "export.json", "alphabet.txt"):
        (tmp_path / "export" / name).write_text(name)
    (tmp_path / "a.wav").write_bytes(b"")
    used = []
    monkeypatch.setitem(
        vars(jobs), "transcribe", lambda model, *_, **__: used.append(model) or [""]
    )
    call("transcribe", tmp_path / "a.wav", "--model", tmp_path / "export")
    assert used == [tmp_path / "export" / "output_graph.tflite"]
