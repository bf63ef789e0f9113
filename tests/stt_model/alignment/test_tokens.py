"""A text as tokens with labels: what the checkpoint's alphabet cannot write included."""

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stt_model.alignment import tokens
from stt_model.alignment.tokens import label_sequence, split_sentences, tokenise
from stt_model.base import AlphabetError
from stt_model.text import BytesAlphabet, CharacterAlphabet, open_normaliser

ENGLISH = CharacterAlphabet(" abcdefghijklmnopqrstuvwxyz'")


def written(text, **options):
    found = tokenise(text, ENGLISH, **options)
    return [(each.text, ENGLISH.decode(each.labels)) for each in found.tokens]


def test_words_get_their_labels_whatever_is_around_them():
    assert written('The boats, "Anna\'s" — two.') == [
        ("The", "the"),
        ("boats,", "boats"),
        ('"Anna\'s"', "annas"),
        ("—", ""),
        ("two.", "two"),
    ]


def test_another_script_is_aligned_by_what_it_sounds_like():
    pytest.importorskip("uroman")
    found = tokenise("Денеска е убав ден", ENGLISH)
    assert [ENGLISH.decode(each.labels) for each in found.tokens] == ["deneska", "e", "ubav", "den"]
    assert found.between(0, 3) == "Денеска е убав"
    assert found.romanised == 4


def test_without_romanisation_only_what_can_be_written_counts():
    assert written("ден día", romanise="never") == [("ден", ""), ("día", "da")]


def test_marks_of_latin_letters_need_no_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "uroman", None)
    tokens._romaniser.cache_clear()
    try:
        assert written("día") == [("día", "dia")]
        with pytest.raises(AlphabetError, match=r"stt-bootstrap\[align\]"):
            written("ден")
    finally:
        tokens._romaniser.cache_clear()


def test_numbers_in_digits_have_no_labels():
    assert written("in 2024 then") == [("in", "in"), ("2024", ""), ("then", "then")]


def test_rules_write_sentences_or_leave_them_out():
    found = tokenise("The End.\nIn 1999 it was.", ENGLISH, normalise=open_normaliser("en"))
    assert [each.text for each in found.tokens] == ["the", "end"]
    assert [(each.sentence, each.text) for each in found.left_out] == [(1, "In 1999 it was.")]
    assert "digits" in found.left_out[0].reason or "number" in found.left_out[0].reason


def test_sentences():
    text = 'One. Two? "Three!" Four\nfive … six。七。'
    assert list(split_sentences(text)) == [
        *("One.", "Two?", '"Three!', "Four", "five …"),
        *("six。", "七。"),
    ]


def test_scripts_without_spaces_are_cut_between_letters():
    found = tokenise("今日は", CharacterAlphabet("今日は"))
    assert [each.text for each in found.tokens] == ["今", "日", "は"]
    assert found.between(0, 3) == "今日は"


def test_labels_have_spaces_between_words():
    found = label_sequence(tokenise("ab 7 cd", ENGLISH).tokens, ENGLISH)
    assert ENGLISH.decode(found.sequence) == "ab cd"
    assert found.starts.tolist() == [0, 3, 3, 5]
    assert found.ends.tolist() == [2, 3, 5]
    found = label_sequence(tokenise("ab 7 8", ENGLISH).tokens, ENGLISH)
    assert ENGLISH.decode(found.sequence) == "ab"
    assert found.starts.tolist() == [0, 2, 2, 2]


@settings(deadline=None)
@given(st.text(alphabet="abc é7.,!?\n一", max_size=60))
def test_nothing_of_a_text_is_lost(text):
    for alphabet in (ENGLISH, BytesAlphabet()):
        found = tokenise(text, alphabet)
        labels = label_sequence(found.tokens, alphabet)
        assert found.between(0, len(found.tokens)).split() == [
            word for sentence in split_sentences(text) for word in sentence.split()
        ]
        assert (labels.starts[:-1] <= labels.ends).all()
        for token, begin, end in zip(found.tokens, labels.starts, labels.ends, strict=False):
            assert tuple(labels.sequence[begin:end]) == token.labels
