"""What of a source makes no sense is set aside or refused in one line, never a traceback."""

import csv
import gzip
import importlib
import os

import pytest

from stt_model.base.errors import DataError
from stt_model.importing import import_corpus
from stt_model.importing.clip import Notes, Options
from stt_model.importing.formats import (
    audiofolder,
    elan,
    kaldi,
    lhotse_cuts,
    nemo,
    parquet,
    textgrid,
)
from stt_model.importing.tables import open_table
from stt_model.importing.tree import Tree
from tests.fuzz import import_targets as samples
from tests.stt_model.importing import samples as samples_of_formats

NESTED = "[" * 100_000


def read(module, folder):
    tree = Tree(folder)
    return list(module.read(tree, Options({}), Notes())) if module.recognise(tree) else None


def write(folder, **files):
    for name, content in files.items():
        data = content if isinstance(content, bytes) else content.encode()
        (folder / name.replace("__", ".")).write_bytes(data)
    return folder


def test_numbers_without_an_end(tmp_path):
    line = samples.NEMO.replace('"channel": 0', '"channel": 1e999')
    (found,) = read(nemo, write(tmp_path, manifest__json=line))
    assert found.check == "fields"


def test_json_that_is_nested_without_an_end(tmp_path):
    write(tmp_path, manifest__json=samples.NEMO + NESTED)
    assert [type(found).__name__ for found in read(nemo, tmp_path)] == ["Clip", "SetAside"]
    assert read(lhotse_cuts, write(tmp_path, cuts__jsonl=NESTED)) is None
    line = '{"file_name": "a.wav", "transcription": "one"}\n'
    write(tmp_path, metadata__jsonl=line + NESTED)
    assert [type(found).__name__ for found in read(audiofolder, tmp_path)] == ["Clip", "SetAside"]


def test_a_packed_file_whose_head_is_damaged(tmp_path):
    packed = bytearray(gzip.compress(b"{}" * 99))
    packed[10:14] = b"\xff" * 4
    assert read(lhotse_cuts, write(tmp_path, cuts__jsonl__gz=bytes(packed))) is None


def test_a_command_that_breaks_off(tmp_path):
    files = {"text": "r1 words\n", "wav.scp": "r1 sph2pipe a.sph -c |\n"}
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    (found,) = read(kaldi, tmp_path)
    assert found.channel is None and found.audio.endswith("a.sph")


def test_a_text_in_another_encoding_inside_parquet(tmp_path):
    pytest.importorskip("pyarrow")
    (data,) = samples.parquet_files(tmp_path)
    (tmp_path / "a.parquet").unlink()
    write(tmp_path, train__parquet=data.replace(b"a b", b"\x80 b"))
    with pytest.raises(DataError, match=r"train\.parquet: expected whole Parquet"):
        read(parquet, tmp_path)


def test_numbers_in_place_of_audio_inside_parquet(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    table = arrow.table({"audio": [1, 2], "text": ["one", "two"]})
    importlib.import_module("pyarrow.parquet").write_table(table, tmp_path / "a.parquet")
    assert {found.check for found in read(parquet, tmp_path)} == {"fields"}


def test_a_line_of_kaldi_without_a_file(tmp_path):
    for name, content in {"text": "r1 words\n", "wav.scp": "r1\n"}.items():
        (tmp_path / name).write_text(content)
    (found,) = read(kaldi, tmp_path)
    assert found.check == "audio_missing" and "after r1 in wav.scp" in found.reason


@pytest.mark.parametrize(("module", "name"), [(elan, "a.eaf"), (textgrid, "a.TextGrid")])
def test_slips_of_a_library_over_another_file_are_explained(module, name, tmp_path):
    pytest.importorskip("pympi")
    (tmp_path / name).write_text("<html/>")
    with pytest.raises(DataError, match=r"another kind of file or a damaged one"):
        read(module, tmp_path)


def test_a_recording_whose_name_is_too_long(tmp_path):
    pytest.importorskip("pympi")
    write(tmp_path, a__eaf=samples.ELAN.replace("/x/a.wav", "/x/" + "a" * 999 + ".wav"))
    (found,) = read(elan, tmp_path)
    assert found.check == "audio_missing"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('TIME_SLOT_ID="ts1"', 'TIME_SLOT_ID="ts3"'),
        (' TIME_VALUE="900"', ""),
    ],
)
def test_an_annotation_whose_time_is_not_there(tmp_path, old, new):
    pytest.importorskip("pympi")
    write(tmp_path, a__eaf=samples.ELAN.replace(old, new))
    with pytest.raises(
        DataError, match=r"a\.eaf: expected annotations with times in the tier Anna"
    ):
        read(elan, tmp_path)


def test_a_link_that_is_no_address(tmp_path):
    pytest.importorskip("pympi")
    write(tmp_path, a__eaf=samples.ELAN.replace("file:///x/a.wav", "http://[::1"))
    assert len(read(elan, tmp_path)) == 1


def test_messages_of_a_library_do_not_control_the_terminal(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text('"a"b\tc\n"d"\t"e"\n')
    with pytest.raises(DataError) as refused:
        open_table(path, quoted=True)
    assert str(refused.value).isprintable()


def test_a_file_called_by_other_bytes_than_utf_8_is_set_aside(tmp_path):
    source = tmp_path / "source"
    samples_of_formats.texts_beside(source)
    odd = os.fsdecode(b"caf\xe9")
    for path in list((source / "anna").glob("u000.*")):
        path.rename(path.with_name(f"{odd}{path.suffix}"))
    result = import_corpus(str(source), str(tmp_path / "out"))
    assert result.new == 11
    (row,) = csv.DictReader((tmp_path / "out" / "rejected.csv").read_text("utf-8").splitlines())
    assert "caf\\udce9" in "".join(row.values())


def test_half_a_pair_of_surrogates_in_json_is_set_aside(tmp_path):
    source = tmp_path / "source"
    samples_of_formats.nemo(source)
    text = (source / "manifest.json").read_text()
    (source / "manifest.json").write_text(text.replace("satz nummer 3", "satz \\ud800 3"))
    result = import_corpus(str(source), str(tmp_path / "out"))
    assert result.new == 12 and [kind for kind, *_ in result.reasons]
