"""Exports: what lies in the folder, that it computes what the checkpoint computes, and refusals."""

import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
import yaml

from stt_model.base.errors import BootstrapError, ExportError
from stt_model.checkpoint.directory import open_checkpoint, read_weights
from stt_model.corpus.audio import read_audio
from stt_model.corpus.manifests import read_manifest, write_manifest
from stt_model.export import comparison as export_check
from stt_model.export import exporter as module
from stt_model.export.config import ExportConfig
from stt_model.export.exporter import export
from stt_model.export.model_card import ModelIdentity
from stt_model.export.tflite_conversion import convert
from stt_model.export.tflite_model import TfliteModel
from stt_model.jobs.transcription import transcribe
from tests.command_line import tree

GOLDEN = Path(__file__).parents[2] / "golden"
DEMO = GOLDEN.parents[1] / "demo" / "source_checkpoint"
LATIN = GOLDEN / "audio" / "latin.csv"
CYRILLIC = GOLDEN / "audio" / "cyrillic.csv"
CLIPS = sorted((GOLDEN / "audio").glob("*.wav"))


def config_of(kind, folder, **changes):
    manifest = CYRILLIC if kind == "bytes" else LATIN
    return ExportConfig(GOLDEN / "checkpoints" / kind, folder, test_files=[manifest], **changes)


@pytest.mark.parametrize("kind", ["alphabet", "bytes", "layer_norm"])
def test_every_kind_of_model_computes_the_same_when_exported(kind, tmp_path):
    config = config_of(kind, tmp_path / "out", export_quantize=False, export_savedmodel=True)
    result = export(config)
    assert set(result.comparisons) == {"output_graph.tflite", "saved_model"}
    for comparison in result.comparisons.values():
        assert comparison.utterances == 5
        assert comparison.largest_difference < 1e-5
        assert comparison.wer_change == 0


def test_everything_lies_in_the_folder_and_the_same_in_the_zip(tmp_path):
    identity = ModelIdentity(author_id="us", model_name="mk: a model", description="For *tests*.")
    config = config_of(
        "alphabet",
        tmp_path / "out",
        zip_path=tmp_path / "out.zip",
        identity=identity,
        export_file_name="am",
        released=False,
        gate="WER 99% is above the 20% allowed",
    )
    result = export(config)
    files = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert set(files) == {"am.tflite", "alphabet.txt", "us_mk: a model_0.0.1.md", "export.json"}
    with zipfile.ZipFile(tmp_path / "out.zip") as package:
        assert {name: package.read(name) for name in package.namelist()} == files
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "out.zip"]

    _, head, body = files["us_mk: a model_0.0.1.md"].decode().split("---\n")
    fields = yaml.safe_load(head)
    # Coqui STT's fields in its order, and ours.
    assert list(fields) == [
        *("author", "model_name", "model_version", "contact_info", "license", "language"),
        *("runtime", "min_stt_version", "max_stt_version", "acoustic_model_url", "scorer_url"),
        "released",
    ]
    assert (fields["model_name"], fields["runtime"]) == ("mk: a model", "tflite")
    assert fields["released"] is False
    assert body.startswith("\nFor *tests*.\n")
    assert "WER 99% is above" in body

    description = json.loads(files["export.json"])
    assert (description["released"], description["quantized"]) == (False, True)
    assert description["checkpoint"]["name"] == "best_dev-360"
    assert set(description["files"]) == set(files) - {"export.json"}
    assert "**Not released** (WER 99% is above the 20% allowed)." in result.to_markdown()
    assert result.metrics()["am.tflite MB"] == len(files["am.tflite"]) / 1e6


def test_saved_model_takes_a_batch_of_samples(tmp_path):
    config = config_of("layer_norm", tmp_path / "out", export_tflite=False, export_savedmodel=True)
    export(config)
    clips = [read_audio(each.path) for each in read_manifest(LATIN)]
    batch = np.full((len(clips), max(map(len, clips))), 0.7, np.float32)
    for row, clip in zip(batch, clips, strict=True):
        row[: len(clip)] = clip
    loaded = tf.saved_model.load(str(tmp_path / "out" / "saved_model"))
    counts = tf.constant([len(clip) for clip in clips])
    found = loaded.signatures["serving_default"](samples=batch, sample_counts=counts)
    parity = np.load(GOLDEN / "parity.npz")
    for row, utterance in enumerate(read_manifest(LATIN)):
        expected = tf.nn.softmax(parity[f"layer_norm/{utterance.path.stem}/logits"]).numpy()
        assert found["frames"][row] == len(expected)
        if "16k" in utterance.path.name:
            np.testing.assert_allclose(
                found["probabilities"][row, : len(expected)], expected, atol=1e-4
            )


def test_without_utterances_the_weights_are_compared_on_noise(tmp_path):
    config = replace(config_of("alphabet", tmp_path / "out"), test_files=(), export_quantize=False)
    (comparison,) = export(config).comparisons.values()
    assert comparison.words == 0
    assert 0 < comparison.largest_difference < 1e-5
    assert "no speech given" in str(comparison)


@pytest.fixture
def convert_another(monkeypatch):
    """Have the conversion go wrong: it takes the weights of another checkpoint."""

    def use(directory):
        other = open_checkpoint(directory)
        weights = read_weights(other)
        monkeypatch.setattr(
            module,
            "convert",
            lambda _, __, metadata, **how: convert(weights, other.geometry, metadata, **how),
        )

    return use


def test_float_export_of_another_model_is_refused_and_nothing_is_left(tmp_path, convert_another):
    convert_another(DEMO)
    config = config_of("alphabet", tmp_path / "out", export_quantize=False)
    with pytest.raises(ExportError, match="the checkpoint's probabilities within 1e-04"):
        export(replace(config, zip_path=tmp_path / "out.zip"))
    assert list(tmp_path.iterdir()) == []


def test_quantised_export_that_understands_less_is_refused(tmp_path, convert_another):
    convert_another(GOLDEN / "checkpoints" / "alphabet")
    # What the source hears is the reference, so that it makes next to no errors itself.
    spoken = read_manifest(LATIN)
    heard = transcribe(DEMO, [each.place for each in spoken], beam_width=1)
    manifest = tmp_path / "heard.csv"
    rows = [replace(each, transcript=text) for each, text in zip(spoken, heard, strict=True)]
    write_manifest(manifest, rows)
    config = ExportConfig(DEMO, tmp_path / "out", test_files=[manifest])
    with pytest.raises(ExportError, match=r"at most 2\.0% above .* 19 errors against \d in"):
        export(config)
    assert list(tmp_path.iterdir()) == [manifest]
    export(replace(config, max_wer_change=1.0))


def test_model_with_other_metadata_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(TfliteModel, "read_metadata", lambda self: {})
    with pytest.raises(ExportError, match="metadata read back differently"):
        export(config_of("alphabet", tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []


def test_filled_folder_is_left_as_it_is(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    before = tree(tmp_path)
    config = config_of("alphabet", tmp_path / "out")
    with pytest.raises(ExportError, match="expected an empty folder to export to, found files"):
        export(config)
    with pytest.raises(ExportError, match=r"replaces only what has an export\.json"):
        export(replace(config, remove_export=True))
    assert tree(tmp_path) == before


def test_earlier_export_is_replaced_when_asked_and_only_by_a_whole_one(tmp_path):
    config = config_of("alphabet", tmp_path / "out", zip_path=tmp_path / "out.zip")
    export(replace(config, export_file_name="first"))
    before = tree(tmp_path)
    broken = replace(config, remove_export=True, load_checkpoint_dir=tmp_path / "gone")
    with pytest.raises(BootstrapError, match="no such checkpoint directory"):
        export(broken)
    with pytest.raises(ExportError, match="let --remove_export replace an earlier export"):
        export(config)
    assert tree(tmp_path) == before
    export(replace(config, remove_export=True, export_file_name="second"))
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert "second.tflite" in names
    assert "first.tflite" not in names
    with zipfile.ZipFile(tmp_path / "out.zip") as package:
        assert set(package.namelist()) == names


def test_a_zip_that_is_there_is_not_replaced_unasked(tmp_path):
    (tmp_path / "out.zip").write_bytes(b"mine")
    config = config_of("alphabet", tmp_path / "out", zip_path=tmp_path / "out.zip")
    with pytest.raises(ExportError, match=r"out\.zip: exists already"):
        export(config)
    assert tree(tmp_path) == {"out.zip": b"mine"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"export_tflite": False}, "nothing to export"),
        ({"export_beam_width": 0}, "--export_beam_width: expected a whole number, 1 or more"),
        ({"export_file_name": "../up"}, "--export_file_name: expected a name without slashes"),
        ({"identity": ModelIdentity(author_id="")}, "--export_author_id: expected a name"),
        ({"identity": ModelIdentity(model_name="a/b")}, "--export_model_name: expected a name"),
        ({"scorer_path": Path("gone.scorer")}, r"gone\.scorer: no such scorer"),
        ({"scorer_path": LATIN}, r"latin\.csv: expected a \.scorer"),
    ],
)
def test_impossible_exports_are_refused_in_one_line(changes, message, tmp_path):
    with pytest.raises(BootstrapError, match=message) as error:
        export(replace(config_of("alphabet", tmp_path / "out"), **changes))
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_folders_place_is_refused(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(ExportError, match="expected a folder to export to, found a file"):
        export(config_of("alphabet", tmp_path / "out"))


def test_utterances_without_words_are_nothing_to_compare_on(tmp_path):
    shutil.copy(CLIPS[0], tmp_path)
    manifest = tmp_path / "blank.csv"
    manifest.write_text(f"wav_filename,wav_filesize,transcript\n{CLIPS[0].name},1, \n")
    with pytest.raises(ExportError, match="found none with words"):
        export_check.read_clips([manifest])


def test_of_many_utterances_some_of_all_parts_are_compared(tmp_path):
    rows = "".join(f"{CLIPS[0]},1,number {n}\n" for n in range(201))
    manifest = tmp_path / "many.csv"
    manifest.write_text("wav_filename,wav_filesize,transcript\n" + rows)
    numbers = [int(clip.transcript.split()[1]) for clip in export_check.read_clips([manifest])]
    assert len(numbers) == export_check.MOST_CLIPS
    assert (numbers[0], numbers[-1]) == (0, 200)
    assert max(np.diff(numbers)) <= 5


def compared(before, after):
    """Check a quantised export that hears ``after`` where its source hears ``before``."""
    heard = iter([text for pair in zip(before, after, strict=True) for text in pair])
    same = SimpleNamespace(probabilities=lambda samples: np.ones((2, 3), np.float32))
    clips = [export_check.Clip(np.zeros(1, np.float32), "one two three four five")] * len(before)
    checker = export_check.Checker(same, clips, decoder=None, max_wer_change=0.02)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export_check.Checker, "_read", lambda *_: next(heard))
        return checker.check("model", same, quantised=True)


def test_a_few_errors_more_that_may_be_chance_are_no_reason_to_refuse_an_export():
    good, bad, worse = "one two three four five", "one two three four", "one two"
    before = [good] * 26 + [bad] * 4
    result = compared(before, [good] * 22 + [bad] * 4 + [worse, good, good, bad])
    assert (result.source_errors, result.errors, result.words) == (4, 8, 150)
    with pytest.raises(ExportError, match=r"16 errors against 4 in 150 words.*--export_quantize"):
        compared(before, [good] * 14 + [bad] * 16)
