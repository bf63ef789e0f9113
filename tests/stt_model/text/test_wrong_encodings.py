"""Texts of wrong encodings are told from texts of every language that has rules."""

from pathlib import Path

import pytest
import yaml

import stt_model.text
from stt_model.text.wrong_encodings import encoding_problem

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
    assert f"wrong encoding, perhaps of {text!r}" in encoding_problem(text.encode().decode(read_as))


@pytest.mark.parametrize(
    ("text", "encoding"),
    [(UKRAINIAN, "cp1251"), (UKRAINIAN, "koi8-u"), ("καλημέρα σε όλους", "cp1253")],
)
def test_another_script_that_was_read_as_latin_1_is_told(text, encoding):
    assert "accented" in encoding_problem(text.encode(encoding).decode("latin-1"))


def test_question_marks_in_place_of_all_letters_are_told():
    assert "question marks" in encoding_problem("????? ????, 12")


@pytest.mark.parametrize(
    "text",
    [
        *(UKRAINIAN, CZECH, "вії", "її", "éé", "ÿ", "what??", "?"),
        *("smørrebrød på bordet", "Þórður ætlaði að fá öl", "đặt tên cho đứa bé", "ка?а", "ka?a"),
        *("Ђорђе је отишао", "şöyle çığlık", "żółć gęślą jaźń", "Ärger über Öl", "12 ?"),
    ],
)
def test_texts_as_people_write_them_pass(text):
    assert not encoding_problem(text)


def test_the_examples_of_all_languages_pass():
    for path in RULES.glob("*.yaml"):
        for example in yaml.safe_load(path.read_text(encoding="utf-8")).get("examples", ()):
            for text in (example["text"], example.get("becomes", "words")):
                assert not encoding_problem(text), (path.name, text)
