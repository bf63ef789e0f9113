"""Texts of wrong encodings are told from texts of every language that has rules."""

from pathlib import Path

import pytest
import yaml

import stt_model.text
from stt_model.importing.transcripts import spoilt

RULES = Path(stt_model.text.__file__).parent / "rules"

UKRAINIAN = "привіт усім, дуже дякую"
CZECH = "příliš žluťoučký kůň úpěl"


@pytest.mark.parametrize(
    ("text", "read_as"),
    [
        (UKRAINIAN, "cp1251"),
        (UKRAINIAN, "koi8-r"),
        (UKRAINIAN, "latin-1"),
        (UKRAINIAN, "cp437"),
        ("größe", "cp1252"),
        (CZECH, "mac-roman"),
    ],
)
def test_utf_8_that_was_read_as_something_else_is_told(text, read_as):
    check, reason = spoilt(text.encode().decode(read_as))
    assert check == "transcript_encoding" and repr(text) in reason


@pytest.mark.parametrize(
    ("text", "encoding"),
    [(UKRAINIAN, "cp1251"), (UKRAINIAN, "koi8-u"), ("καλημέρα σε όλους", "cp1253")],
)
def test_another_script_that_was_read_as_latin_1_is_told(text, encoding):
    check, reason = spoilt(text.encode(encoding).decode("latin-1"))
    assert check == "transcript_encoding" and "accented" in reason


def test_question_marks_in_place_of_all_letters_are_told():
    assert spoilt("????? ????, 12")[0] == "transcript_encoding"


@pytest.mark.parametrize(
    "text",
    [
        *(UKRAINIAN, CZECH, "вії", "її", "éé", "ÿ", "what??", "?"),
        *("smørrebrød på bordet", "Þórður ætlaði að fá öl", "đặt tên cho đứa bé", "ка?а", "ka?a"),
        *("Ђорђе је отишао", "şöyle çığlık", "żółć gęślą jaźń", "Ärger über Öl", "12 ?"),
    ],
)
def test_texts_as_people_write_them_pass(text):
    assert spoilt(text) is None


def test_the_examples_of_all_languages_pass():
    for path in RULES.glob("*.yaml"):
        for example in yaml.safe_load(path.read_text(encoding="utf-8")).get("examples", ()):
            for text in (example["text"], example.get("becomes", "words")):
                assert spoilt(text) is None, (path.name, text)
