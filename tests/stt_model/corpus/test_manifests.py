import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt_model.base.errors import DataError
from stt_model.corpus.manifests import (
    COLUMNS,
    RaggedRow,
    Utterance,
    find_splits,
    iter_manifest,
    read_manifest,
    write_manifest,
)

HEADER = "wav_filename,wav_filesize,transcript"
cell = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=8)


def manifest(tmp_path, content):
    path = tmp_path / "train.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@given(
    st.lists(st.lists(cell, min_size=1, max_size=6).filter(lambda row: row != [""])),
    # The csv module quotes only the line end that it writes, so the others need all quoted.
    st.sampled_from([("\n", csv.QUOTE_ALL), ("\r", csv.QUOTE_ALL), ("\r\n", csv.QUOTE_MINIMAL)]),
    st.sampled_from(["utf-8", "utf-8-sig"]),
)
def test_reading_neither_loses_nor_invents_a_row(tmp_path_factory, rows, dialect, encoding):
    path = tmp_path_factory.mktemp("csv") / "train.csv"
    ending, quoting = dialect
    with path.open("w", encoding=encoding, newline="") as handle:
        writer = csv.writer(handle, lineterminator=ending, quoting=quoting)
        writer.writerows([[*COLUMNS, "speaker"], *rows])
    read = list(iter_manifest(path))
    assert [row.row for row in read] == list(range(1, len(rows) + 1))
    for found, written in zip(read, rows, strict=True):
        if len(written) != 4:
            assert isinstance(found, RaggedRow) and list(found.fields) == written
        else:
            assert [found.wav_filename, found.transcript] == [written[0], written[2]]
            assert found.extra == {"speaker": written[3]}


@given(st.binary())
def test_arbitrary_bytes_are_rows_or_one_clear_line(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("csv") / "train.csv"
    path.write_bytes(HEADER.encode() + b"\n" + data)
    try:
        rows = list(iter_manifest(path))
    except DataError as error:
        assert str(path) in str(error) and "\n" not in str(error)
    else:
        assert all(row.row == number for number, row in enumerate(rows, start=1))


def test_a_manifest_with_everything_that_spreadsheets_do(tmp_path):
    path = manifest(
        tmp_path,
        b"\xef\xbb\xbfspeaker,wav_filename,transcript,wav_filesize\r\n"
        b'ann,a.wav,"hello, ""you""",12\r\n'
        b"\r\n"
        b"bob,/data/b.wav,\xc3\xb1,34.0\r\n"
        b"cyd,sub/c.wav,plain,\r\n",
    )
    first, second, third = read_manifest(path)
    assert first.transcript == 'hello, "you"' and first.path == tmp_path / "a.wav"
    assert (second.transcript, str(second.path)) == ("ñ", "/data/b.wav")
    assert [each.wav_filesize for each in (first, second, third)] == [12, 34, 0]
    assert [each.row for each in (first, second, third)] == [1, 2, 3]
    assert third.extra == {"speaker": "cyd"} and third.path == tmp_path / "sub" / "c.wav"


@pytest.mark.parametrize("size", ["", "big", "nan", "inf", "-5", "1e400"])
def test_a_size_that_is_no_number_reads_as_zero(tmp_path, size):
    (utterance,) = read_manifest(manifest(tmp_path, f"{HEADER}\na.wav,{size},text\n"))
    assert utterance.wav_filesize == 0


def test_ragged_rows_are_reported_with_their_number(tmp_path):
    path = manifest(tmp_path, f"{HEADER}\na.wav,1,fine\nb.wav,1,one, two\nc.wav,1\n")
    rows = list(iter_manifest(path))
    assert [isinstance(row, RaggedRow) for row in rows] == [False, True, True]
    assert str(rows[1]) == (
        f"{path}, row 2: expected 3 fields, found 4; put a transcript that holds a comma in quotes"
    )
    assert "row 3: expected 3 fields, found 2" in str(rows[2])
    with pytest.raises(DataError, match="row 2"):
        read_manifest(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "expected the columns wav_filename,wav_filesize,transcript in the first line"),
        ("wav_filename,transcript\na.wav,text\n", "found 'wav_filename,transcript'"),
        (f"{HEADER},transcript\n", "and none twice"),
        (HEADER.encode() + b"\na.wav,1,\xff\n", "expected UTF-8, found byte 0xff"),
        (
            f'{HEADER}\na.wav,1,ok\nb.wav,1,"open\nc.wav,1,x\n',
            "expected CSV with balanced quotes, found an error after row 1: ",
        ),
        (f'{HEADER}\na.wav,1,"to"day\n', "check the quotes there"),
    ],
)
def test_a_file_that_is_no_manifest_is_named(tmp_path, content, said):
    path = manifest(tmp_path, content)
    with pytest.raises(DataError) as caught:
        read_manifest(path)
    assert str(caught.value).startswith(str(path)) and said in str(caught.value)


def test_a_missing_manifest_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.csv: expected a readable file, found No such file"):
        read_manifest(tmp_path / "none.csv")


def test_a_written_manifest_reads_back_with_absolute_paths(tmp_path):
    path = manifest(tmp_path, f'{HEADER},note\na.wav,5,"x, ""y""",n\nb.wav,6,z,\n')
    utterances = read_manifest(path)
    copy = tmp_path / "elsewhere" / "copy.csv"
    write_manifest(copy, utterances)
    read = read_manifest(copy)
    assert [each.wav_filename for each in read] == [str(tmp_path / n) for n in ("a.wav", "b.wav")]
    for old, new in zip(utterances, read, strict=True):
        assert (old.path, old.wav_filesize, old.transcript, old.extra) == (
            new.path,
            new.wav_filesize,
            new.transcript,
            new.extra,
        )


def test_splits_are_found_in_a_folder_or_by_uri(tmp_path):
    for name in ("train.csv", "dev.csv"):
        (tmp_path / name).touch()
    expected = {"train": tmp_path / "train.csv", "dev": tmp_path / "dev.csv"}
    assert find_splits(tmp_path) == find_splits(tmp_path.as_uri()) == expected
    (tmp_path / "test.csv").touch()
    assert list(find_splits(str(tmp_path))) == ["train", "dev", "test"]


def test_missing_splits_are_named(tmp_path):
    (tmp_path / "train.csv").touch()
    with pytest.raises(DataError, match=r"expected dev\.csv, found train\.csv"):
        find_splits(tmp_path)
    with pytest.raises(DataError, match="expected a folder"):
        find_splits(tmp_path / "absent")


@given(st.lists(st.tuples(cell, cell, cell)))
def test_a_written_manifest_is_read_back_unchanged(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("csv") / "train.csv"
    written = [
        Utterance(name, path.parent / name, 7, text, row, path, {"note": note})
        for row, (name, text, note) in enumerate(rows, start=1)
    ]
    write_manifest(path, written)
    kept = [(each.path, each.wav_filesize, each.transcript, each.extra) for each in written]
    assert kept == [
        (each.path, each.wav_filesize, each.transcript, each.extra or {"note": ""})
        for each in read_manifest(path)
    ]
