import json

from stt_model.text.normalisation import open_normaliser
from stt_model.text.normalisation_log import NormalisationLog


def log_of(language, *texts):
    normaliser = open_normaliser(language)
    log = NormalisationLog(normaliser)
    for row, text in enumerate(texts, start=1):
        log.add(f"train.csv, row {row}", text, normaliser(text))
    return log


def test_rules_are_counted_by_the_transcripts_that_they_changed():
    log = log_of("de", "Ja, ja, JA!", "ja", "Nein.", "Seite 3", "[lacht]", "café")
    assert (log.texts, log.changed, log.set_aside) == (6, 2, 2)
    told = json.loads(json.dumps(log.to_dict()))
    assert told["rules"] == {"capitals": 2, "punctuation": 2, "white space": 2}
    assert told["reasons"] == {"nothing is left": 1, "numbers that are not spelled out": 1}
    assert told["beyond"] == {"é": 1}


def test_the_report_shows_each_rule_before_and_after():
    report = log_of("en", "a" * 100 + " It\u200b’s here", "$").to_markdown()
    assert "1 of 2 transcripts changed, 1 set aside" in report
    assert "It⟨U+200B⟩’s here | …aaaaaaaaaaaaaaaaa It’s here |" in report
    assert "| apostrophes | 1 | train.csv, row 1 |" in report
    assert "DOLLAR SIGN" in report
    assert "a" * 40 not in report


def test_only_the_first_examples_are_kept():
    log = log_of("en", *(f"Text {letter}" for letter in "abcdefgh"))
    assert log.rules["capitals"].texts == 8
    assert len(log.rules["capitals"].examples) == 3
