"""Tables in the forms that spreadsheets and scripts write, and column maps."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stt_model.base.errors import DataError
from stt_model.importing.columns import map_columns, parse_columns
from stt_model.importing.tables import find_encoding, open_table

ROWS = [("a.wav", "größe, drei", "anna"), ("b.wav", "zwölf äpfel und fünf öfen", "berta")]


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def values(table):
    return [tuple(row.values.values()) for row in table.rows()]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1", "cp1252"])
@pytest.mark.parametrize("delimiter", [";", "\t", ",", "|"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_delimiter_and_encoding_are_detected(encoding, delimiter, line_end, tmp_path):
    rows = [("file", "sentence", "who"), *ROWS]
    quote = '"{}"' if delimiter == "," else "{}"
    text = line_end.join(delimiter.join(map(quote.format, row)) for row in rows) + line_end
    table = open_table(write(tmp_path / "list.csv", text, encoding))
    assert table.columns == rows[0]
    assert values(table) == ROWS


def test_bytes_that_are_no_western_text_are_not_guessed_at(tmp_path):
    text = "файл;текст\na.wav;привет мир и все остальные\nb.wav;это русский текст\n"
    path = write(tmp_path / "list.csv", text, "cp1251")
    with pytest.raises(DataError, match="--encoding"):
        open_table(path)
    assert values(open_table(path, encoding="cp1251"))[0] == ("a.wav", "привет мир и все остальные")


def test_an_encoding_that_is_none_is_refused(tmp_path):
    path = write(tmp_path / "list.csv", "a;b\n")
    with pytest.raises(DataError, match="name of an encoding"):
        find_encoding(path, "latin-15000")


def test_bytes_behind_the_first_part_of_a_file_are_looked_at_too(tmp_path):
    path = tmp_path / "list.csv"
    path.write_bytes(b"audio,text\n" + b"a.wav,nothing special\n" * 40_000 + b"b.wav,gr\xf6\xdfe\n")
    assert values(open_table(path))[-1] == ("b.wav", "größe")


def test_a_workbook_is_a_table(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in [("file", "sentence", "age"), ("a.wav", "größe, drei", 7), ("b.wav", "zwei", None)]:
        book.active.append(row)
    book.save(tmp_path / "list.xlsx")
    table = open_table(tmp_path / "list.xlsx")
    assert values(table) == [("a.wav", "größe, drei", "7"), ("b.wav", "zwei", "")]


def workbook(path, **sheets):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return open_table(path)


HEADER = ("file", "sentence", "who")


def test_of_a_workbook_the_sheets_with_clips_are_read(tmp_path):
    notes = [("made by", "anna"), ("in", "2026")]
    sheets = {"Notes": notes, "May": [HEADER, ROWS[0]], "June": [(), HEADER, ROWS[1]]}
    table = workbook(tmp_path / "list.xlsx", **sheets, Other=[HEADER[:2], ROWS[0][:2]])
    assert values(table) == ROWS
    assert table.sheets == ("May", "June") and table.left_out == ("Notes", "Other")


def test_a_workbook_with_nothing_on_it_is_an_empty_table(tmp_path):
    table = workbook(tmp_path / "list.xlsx", Empty=[])
    assert table.columns == () and values(table) == []


def test_empty_rows_above_the_header_are_passed_over(tmp_path):
    table = open_table(write(tmp_path / "list.csv", "\n,,\nfile,sentence,who\na.wav,one,anna\n"))
    assert table.columns == HEADER and values(table) == [("a.wav", "one", "anna")]


def test_a_few_bytes_of_another_encoding_are_told_by_their_line(tmp_path):
    text = "file;text\n" + "a.wav;größe und höhe\n" * 5
    path = tmp_path / "list.csv"
    path.write_bytes(text.encode() + "b.wav;zwölf\n".encode("cp1252"))
    with pytest.raises(DataError, match=r"list.csv: expected UTF-8, found other bytes in line 7"):
        open_table(path)


def test_an_encoding_that_nobody_uses_is_not_advised(tmp_path):
    # Too short to tell: the detector names an encoding of Hong Kong.
    path = write(tmp_path / "rec.srt", "1\n00:00:00,000 --> 00:01\nдобрый день всем\n", "cp1251")
    with pytest.raises(DataError, match=r"--encoding NAME, such as cp1252 or cp1251"):
        find_encoding(path)


def test_a_file_that_is_no_workbook_is_refused_in_one_line(tmp_path):
    pytest.importorskip("openpyxl")
    with pytest.raises(DataError, match="expected an Excel workbook"):
        open_table(write(tmp_path / "list.xlsx", "no workbook"))


def test_a_table_without_a_header_names_recordings_in_its_first_row(tmp_path):
    table = open_table(write(tmp_path / "list.csv", "a.wav,ein satz\nb.wav,noch ein satz\n"))
    rows = [row.values for row in table.rows()]
    assert map_columns("list", table.columns, {}, rows)["transcript"] == "column 2"
    assert len(rows) == 2


def test_a_row_with_too_many_fields_is_told_and_one_with_too_few_is_filled(tmp_path):
    path = write(tmp_path / "l.csv", "file,text,who\na.wav,one, two,anna\nb.wav,three\n")
    rows = list(open_table(path).rows())
    assert rows[0].problem == "expected 3 fields, found 4"
    assert not rows[1].problem and rows[1].values["who"] == ""


def test_quotes_in_a_tsv_are_those_of_the_text(tmp_path):
    path = write(tmp_path / "l.tsv", 'file\ttext\na.wav\t"so" sagt er\nb.wav\t"offen\n')
    assert values(open_table(path)) == [("a.wav", '"so" sagt er'), ("b.wav", '"offen')]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.text(st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="\x85"))
        .map(str.strip)
        .filter(bool),
        min_size=1,
        max_size=8,
    )
)
def test_any_text_comes_out_of_a_quoted_csv_as_it_was(tmp_path_factory, texts):
    import csv

    path = tmp_path_factory.mktemp("any") / "list.csv"
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, quoting=csv.QUOTE_ALL)
        writer.writerows([("audio", "text"), *((f"{n}.wav", t) for n, t in enumerate(texts))])
    assert [row.values["text"].strip() for row in open_table(path).rows()] == texts


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (["wav_filename", "wav_filesize", "transcript"], ("wav_filename", "transcript")),
        (["Audio File", "Speaker ID", "Sentence"], ("Audio File", "Sentence")),
        (["id", "path", "text", "sex"], ("path", "text")),
    ],
)
def test_columns_are_known_by_their_names(columns, expected):
    found = map_columns("list", columns, {})
    assert (found["audio"], found["transcript"]) == expected


def test_columns_are_known_by_what_they_hold():
    rows = [
        {"a": "x/1.mp3", "b": "ein ganzer satz", "c": "7"},
        {"a": "x/2.mp3", "b": "noch einer", "c": "8"},
    ]
    found = map_columns("list", ["a", "b", "c"], {}, rows)
    assert found == {"audio": "a", "transcript": "b"}


def test_columns_that_cannot_be_guessed_are_asked_for():
    with pytest.raises(DataError, match=r"list.*for audio.*found foo, bar.*--columns"):
        map_columns("list", ["foo", "bar"], {})
    with pytest.raises(DataError, match="the column 'nope' for audio"):
        map_columns("list", ["foo", "text"], {"audio": "nope"})
    with pytest.raises(DataError, match="ROLE=COLUMN"):
        parse_columns("audio:foo")
    assert parse_columns("audio=foo, transcript=my text") == {
        "audio": "foo",
        "transcript": "my text",
    }
