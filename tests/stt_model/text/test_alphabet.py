import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt_model.base.errors import AlphabetError
from stt_model.base.markdown import escape_markdown
from stt_model.text.alphabet import (
    BytesAlphabet,
    CharacterAlphabet,
    build_alphabet,
    normalise,
)
from stt_model.text.alphabet_file import (
    format_alphabet,
    parse_alphabet,
    read_alphabet,
    write_alphabet,
)
from stt_model.text.characters import describe_character
from stt_model.text.comparison import compare_alphabet

a_label = st.characters(exclude_characters="\r\n\0", exclude_categories=("Cs",))
alphabets = st.lists(a_label, min_size=1, unique=True).map(CharacterAlphabet)
transcripts = st.lists(st.text(st.characters(exclude_categories=("Cc", "Cs"))))


@given(alphabets)
def test_an_alphabet_file_reads_back_as_the_same_labels(alphabet):
    assert parse_alphabet(format_alphabet(alphabet)) == alphabet


@given(st.data(), alphabets)
def test_text_of_labels_decodes_to_itself(data, alphabet):
    text = data.draw(st.text(st.sampled_from(alphabet.labels)))
    assert alphabet.decode(alphabet.encode(text)) == text


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",))))
def test_bytes_mode_writes_any_text(text):
    alphabet = BytesAlphabet()
    labels = alphabet.encode(text)
    assert labels == [byte - 1 for byte in text.encode()]
    assert alphabet.decode(labels) == text


@given(st.binary())
def test_arbitrary_bytes_are_an_alphabet_or_one_clear_line(data):
    try:
        alphabet = parse_alphabet(data, "a.txt")
    except AlphabetError as error:
        assert str(error).startswith("a.txt") and "\n" not in str(error)
    else:
        assert parse_alphabet(format_alphabet(alphabet)) == alphabet


def test_parse_follows_coquis_form():
    data = b"# a comment\r\n \r\na\rb\n\n\\#\n\\\n#c\n'\n\xd0\xb0"
    assert parse_alphabet(data).labels == (" ", "a", "b", "#", "\\", "'", "\u0430")
    assert parse_alphabet(b"\xef\xbb\xbfa\nb\n").labels == ("a", "b")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"a\nch\n", "a.txt, line 2: expected one code point, found 2: 'ch'"),
        (b"a\n\n# x\na\n", "a.txt, line 4: 'a' U+0061 LATIN SMALL LETTER A is on line 1 already"),
        (b"a\n\xff\n", "a.txt, line 2: expected UTF-8"),
        (b"# only a comment\n", "a.txt: expected one label per line, found none"),
        (b"", "a.txt: expected one label per line, found none"),
        (b"a\n\0\n", "a.txt, line 2: U+0000 cannot be a label"),
    ],
)
def test_a_bad_alphabet_file_is_named_with_its_line(tmp_path, data, said):
    path = tmp_path / "a.txt"
    path.write_bytes(data)
    with pytest.raises(AlphabetError) as caught:
        read_alphabet(path)
    assert str(caught.value).removeprefix(f"{tmp_path}/").startswith(said)


def test_a_missing_alphabet_file_is_named(tmp_path):
    with pytest.raises(AlphabetError, match=r"none\.txt: cannot be read: No such file"):
        read_alphabet(tmp_path / "none.txt")


def test_write_alphabet_replaces_the_file_whole(tmp_path):
    path = tmp_path / "alphabet.txt"
    path.write_text("old")
    write_alphabet(CharacterAlphabet("#b "), path)
    assert path.read_text().splitlines()[1:] == ["\\#", "b", " "]
    assert [each.name for each in tmp_path.iterdir()] == ["alphabet.txt"]


def test_the_file_of_a_bytes_alphabet_says_so_and_is_no_alphabet():
    data = format_alphabet(BytesAlphabet())
    assert data.startswith(b"# Bytes output mode")
    with pytest.raises(AlphabetError, match="found none"):
        parse_alphabet(data)


@pytest.mark.parametrize("labels", [[], ["ab"], [""], ["a", "a"], ["\n"], ["\0"], ["\ud800"]])
def test_labels_that_a_file_cannot_hold_are_refused(labels):
    with pytest.raises(AlphabetError):
        CharacterAlphabet(labels)


def test_sizes_leave_the_last_class_to_the_blank():
    alphabet = CharacterAlphabet("abc")
    assert (alphabet.size, alphabet.blank, alphabet.classes) == (3, 3, 4)
    assert (BytesAlphabet().size, BytesAlphabet().blank, BytesAlphabet().classes) == (255, 255, 256)


def test_equality_and_digest_go_by_kind_labels_and_order():
    assert CharacterAlphabet("ab") == CharacterAlphabet(["a", "b"])
    assert len({CharacterAlphabet("ab"), CharacterAlphabet("ab"), BytesAlphabet()}) == 2
    same_labels = CharacterAlphabet(BytesAlphabet.labels[:9])
    different = [CharacterAlphabet("ab"), CharacterAlphabet("ba"), BytesAlphabet(), same_labels]
    assert len({each.digest for each in different}) == len(set(different)) == 4


def test_encode_names_what_it_cannot_write():
    with pytest.raises(AlphabetError) as caught:
        CharacterAlphabet("ab").encode("añb\tñ")
    assert str(caught.value) == (
        "the alphabet of 2 labels cannot write U+0009, "
        "'ñ' U+00F1 LATIN SMALL LETTER N WITH TILDE in 'añb\\tñ'"
    )
    with pytest.raises(AlphabetError, match=r"U\+0000"):
        BytesAlphabet().encode("a\0")
    assert BytesAlphabet().missing("a\0\ud800") == {"\0", "\ud800"}


@pytest.mark.parametrize("alphabet", [CharacterAlphabet("ab"), BytesAlphabet()])
def test_decode_refuses_the_blank_and_negative_numbers(alphabet):
    for label in (alphabet.blank, -1):
        with pytest.raises(AlphabetError, match=f"label {label} is not in the alphabet"):
            alphabet.decode([0, label])


def test_bytes_that_are_no_utf8_become_the_replacement_character():
    assert BytesAlphabet().decode([0xC3 - 1, ord("a") - 1]) == "\ufffda"


@given(transcripts)
def test_a_built_alphabet_writes_every_transcript_and_nothing_else(texts):
    characters = {character for text in texts for character in normalise(text)}
    if not characters:
        with pytest.raises(AlphabetError, match="hold no character"):
            build_alphabet(texts)
        return
    for order in ("codepoint", "frequency"):
        alphabet = build_alphabet(texts, order)
        assert set(alphabet.labels) == characters
        assert compare_alphabet(alphabet, map(normalise, texts)).fits


def test_build_orders_by_code_point_or_frequency():
    assert build_alphabet(["cba", "cc b"]).labels == (" ", "a", "b", "c")
    assert build_alphabet(["cba", "cc b"], "frequency").labels == ("c", "b", " ", "a")


def test_build_composes_and_keeps_marks_that_have_no_composed_form():
    assert build_alphabet(["e\u0301"]).labels == ("é",)
    assert build_alphabet(["q\u0301"]).labels == ("q", "\u0301")


@pytest.mark.parametrize("character", ["\n", "\r", "\t", "\0", "\x85", "\ud800"])
def test_build_refuses_to_drop_a_control_character(character):
    with pytest.raises(AlphabetError) as caught:
        build_alphabet(["fine", f"so{character}bad"])
    assert str(caught.value).startswith("transcript 2 ('so")
    assert f"U+{ord(character):04X}" in str(caught.value)


def test_comparison_counts_what_is_missing_and_shows_the_first_place():
    comparison = compare_alphabet(CharacterAlphabet(" abz"), ["ab", "ñab ñ", "b ö ñ"])
    assert not comparison.fits
    n_tilde = comparison.missing["ñ"]
    assert (n_tilde.count, n_tilde.line, n_tilde.example) == (3, 2, "ñab ñ")
    assert comparison.missing["ö"].count == 1
    assert comparison.unused == ("z",)
    assert comparison.describe_missing() == (
        "'ñ' U+00F1 LATIN SMALL LETTER N WITH TILDE (3 times), "
        "'ö' U+00F6 LATIN SMALL LETTER O WITH DIAERESIS (1 times), first in transcript 2: 'ñab ñ'"
    )


def test_comparison_explains_what_is_missing():
    text = ["\u0430b", "b\u2019b", "I", "e\u0301", "q\u0301", "10", "A", "b\u00a0b", "\t"]
    comparison = compare_alphabet(CharacterAlphabet(" abcdefghijklmnopqrstuvwxyzé'"), text)
    assert comparison.lookalikes == (("\u00a0", " "), ("\u0430", "a"), ("\u2019", "'"))
    assert comparison.uppercase == (("A", "a"), ("I", "i"))
    assert comparison.digits == ("0", "1")
    assert comparison.control == ("\t",)
    assert comparison.marks == ("\u0301",) and comparison.decomposed == ()
    decomposed = compare_alphabet(CharacterAlphabet("eé"), ["e\u0301"])
    assert decomposed.decomposed == ("\u0301",) and not decomposed.fits


def test_a_comparison_that_fits_is_short():
    comparison = compare_alphabet(CharacterAlphabet("ab"), ["ab", "ba"])
    assert comparison.fits
    assert (
        comparison.to_markdown()
        == "The alphabet has 2 labels; 2 transcripts were compared: every character has a label.\n"
    )


def test_bytes_mode_fits_any_language_and_lists_no_unused_labels():
    comparison = compare_alphabet(BytesAlphabet(), ["Ñandú ελ 中"])
    assert comparison.fits and comparison.unused == ()


def test_markdown_shows_one_table_row_for_each_missing_character():
    comparison = compare_alphabet(CharacterAlphabet("ab"), ["a|b", "\u0430 7\n"])
    text = comparison.to_markdown()
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(comparison.missing)
    assert all(row.replace("\\|", "").count("|") == 4 for row in rows)
    assert "if the label is meant): '\u0430' U+0430 CYRILLIC SMALL LETTER A for a\n" in text


def test_unprintable_characters_are_described_by_number():
    assert describe_character("\u200c") == "U+200C ZERO WIDTH NON-JOINER"
    assert describe_character("\t") == "U+0009"
    assert describe_character("\u0301") == "'\u25cc\u0301' U+0301 COMBINING ACUTE ACCENT"


@given(st.text())
def test_escaped_markdown_stays_in_its_cell(text):
    escaped = escape_markdown(text)
    assert "\n" not in escaped and "\r" not in escaped
    assert "|" not in escaped.replace("\\\\", "").replace("\\|", "")


def test_markdown_lists_many_missing_characters_briefly():
    han = "".join(map(chr, range(0x4E00, 0x4E00 + 1000)))
    text = compare_alphabet(CharacterAlphabet("ab"), [han]).to_markdown()
    assert "\nand 960 more: " in text and len(text.splitlines()) < 60
    assert all(character in text for character in han)
