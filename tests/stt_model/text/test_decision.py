import json

import pytest

from stt_model.text.alphabet import BytesAlphabet, CharacterAlphabet
from stt_model.text.decision import decide

ENGLISH = CharacterAlphabet(" abcdefghijklmnopqrstuvwxyz'")
SPANISH = ["el niño", "la mañana", "una casa"]


@pytest.mark.parametrize("mode", ["auto", "fine-tune"])
def test_a_checkpoint_that_covers_the_transcripts_is_fine_tuned(mode):
    decision = decide(ENGLISH, ["hello world", "it's"], mode=mode)
    assert (decision.mode, decision.alphabet) == ("fine-tune", ENGLISH)
    assert decision.reason == "every character of the 2 transcripts is a label of the checkpoint"
    assert decision.new_labels == decision.dropped_labels == ()


@pytest.mark.parametrize("mode", ["auto", "transfer"])
def test_a_missing_character_means_transfer_onto_an_alphabet_of_the_transcripts(mode):
    decision = decide(ENGLISH, SPANISH, mode=mode)
    assert decision.mode == "transfer"
    assert decision.alphabet == CharacterAlphabet(sorted(set("".join(SPANISH))))
    assert decision.new_labels == ("ñ",)
    assert "z" in decision.dropped_labels
    assert decision.reason == (
        "the checkpoint has no label for 'ñ' U+00F1 LATIN SMALL LETTER N WITH TILDE (2 times), "
        "first in transcript 1: 'el niño'"
    )


def test_transfer_can_be_asked_for_where_fine_tuning_would_do():
    decision = decide(ENGLISH, ["abc"], mode="transfer")
    assert (decision.mode, decision.reason) == ("transfer", "transfer was asked for")
    assert decision.alphabet == CharacterAlphabet("abc")


@pytest.mark.parametrize("mode", ["auto", "fine-tune"])
def test_a_bytes_checkpoint_is_fine_tuned_whatever_the_language(mode):
    decision = decide(BytesAlphabet(), [*SPANISH, "\u4f60\u597d"], mode=mode)
    assert (decision.mode, decision.alphabet) == ("fine-tune", BytesAlphabet())
    assert decision.reason == "the checkpoint writes bytes, so every language"


def test_a_bytes_checkpoint_says_that_it_does_not_use_a_given_alphabet():
    decision = decide(BytesAlphabet(), SPANISH, alphabet=ENGLISH)
    assert (decision.mode, decision.alphabet) == ("fine-tune", BytesAlphabet())
    assert decision.reason.endswith("the given alphabet is not used")


@pytest.mark.parametrize("mode", ["auto", "fine-tune"])
def test_the_same_labels_in_another_order_are_fine_tuned_in_that_order(mode):
    given = CharacterAlphabet(reversed(ENGLISH.labels))
    decision = decide(ENGLISH, ["abc"], mode=mode, alphabet=given)
    assert decision.mode == "fine-tune"
    assert decision.alphabet == given != ENGLISH
    assert "in the order of the given alphabet" in decision.reason


def test_another_given_alphabet_means_transfer_even_if_the_checkpoint_covers_the_text():
    given = CharacterAlphabet(" abcñ")
    decision = decide(ENGLISH, ["abc"], alphabet=given)
    assert (decision.mode, decision.alphabet) == ("transfer", given)
    assert "adds 'ñ'" in decision.reason and "lacks 'd'" not in decision.reason.split("adds")[0]


def test_an_alphabet_checkpoint_can_be_transferred_to_bytes():
    decision = decide(ENGLISH, SPANISH, alphabet=BytesAlphabet())
    assert (decision.mode, decision.alphabet) == ("transfer", BytesAlphabet())


@pytest.mark.parametrize(
    ("source", "texts", "options", "said"),
    [
        (ENGLISH, ["abc"], {"mode": "magic"}, "mode 'magic' was asked for; allowed: auto, "),
        (ENGLISH, [], {}, "there is no transcript"),
        (ENGLISH, ["", ""], {}, "there is no transcript"),
        (
            ENGLISH,
            SPANISH,
            {"mode": "fine-tune"},
            "fine-tune was asked for, but the checkpoint has no label for 'ñ' U+00F1 LATIN SMALL "
            "LETTER N WITH TILDE (2 times), first in transcript 1: 'el niño'; allowed: auto",
        ),
        (
            ENGLISH,
            ["abc"],
            {"mode": "fine-tune", "alphabet": CharacterAlphabet("abc")},
            "fine-tune was asked for, but the given alphabet is not the checkpoint's: it lacks ",
        ),
        (BytesAlphabet(), SPANISH, {"mode": "transfer"}, "transfer was asked for, but"),
        (BytesAlphabet(), ["a\0"], {}, "bytes mode cannot write U+0000 (1 times)"),
        (ENGLISH, SPANISH, {"alphabet": ENGLISH}, "the given alphabet has no label for 'ñ'"),
        (ENGLISH, ["a\tñ"], {}, "transcript 1 ('a\\tñ') holds U+0009"),
        (ENGLISH, ["e\u0301"], {}, "the transcripts are not in NFC ('e' U+0065"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_in_one_line(source, texts, options, said):
    decision = decide(source, texts, **options)
    assert (decision.mode, decision.alphabet) == ("refuse", None)
    assert decision.reason.startswith(said)
    assert "\n" not in decision.reason
    assert decision.requested == options.get("mode", "auto")
    assert "# Mode: refuse" in decision.to_markdown()


@pytest.mark.parametrize("mode", ["auto", "fine-tune", "nonsense"])
def test_the_evidence_is_json_and_markdown(mode):
    decision = decide(ENGLISH, SPANISH, mode=mode)
    told = json.loads(json.dumps(decision.to_dict()))
    assert (told["mode"], told["requested"]) == (decision.mode, mode)
    assert told["comparison"]["missing"][0] == {
        "char": "ñ",
        "count": 2,
        "example": "el niño",
        "line": 1,
    }
    text = decision.to_markdown()
    assert text.startswith(f"# Mode: {decision.mode}\n")
    assert "LATIN SMALL LETTER N WITH TILDE | 2 | 1: el niño |" in text
