import json

import pytest

from stt_model.text.alphabet import BytesAlphabet, CharacterAlphabet
from stt_model.text.decision import decide
from stt_model.text.normalisation import open_normaliser

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
    assert "as in the given alphabet" in decision.reason


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
        (ENGLISH, [], {}, "there are no transcripts"),
        (ENGLISH, ["", ""], {}, "there are no transcripts"),
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
def test_impossible_requests_are_refused_in_one_line(source, texts, options, said):
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


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The cat.", ["capitals (T, 1 times)", "punctuation (., 1 times)"]),
        ("room 12", ["digits (1 2, 2 times)"]),
        ("p\u0430per", ["look-alikes (\u0430, 1 times)"]),
        ("non\u00a0stop\u00ad", ["invisible characters (U+00A0 U+00AD, 2 times)"]),
    ],
)
def test_auto_stops_where_all_that_is_missing_can_be_mended(text, found):
    decision = decide(ENGLISH, ["a clean one", text])
    assert (decision.mode, decision.alphabet) == ("refuse", None)
    assert decision.reason.startswith("the checkpoint's alphabet lacks only ")
    assert all(each in decision.reason for each in found)
    assert "--normalise" in decision.reason and "\n" not in decision.reason


def test_the_advice_of_the_message_works():
    texts = ["It’s The Cat.", "“Well-known”, p\u0430per!", "Yes"]  # noqa: RUF001
    assert decide(ENGLISH, texts).mode == "refuse"
    normaliser = open_normaliser("en")
    assert decide(ENGLISH, [normaliser(text).text for text in texts]).mode == "fine-tune"


@pytest.mark.parametrize("options", [{"mode": "transfer"}, {"alphabet": CharacterAlphabet("Te. ")}])
def test_a_given_mode_is_used_even_if_normalising_would_help(options):
    assert decide(ENGLISH, ["Te."], **options).mode == "transfer"


def test_a_letter_that_is_needed_means_transfer_with_a_warning_of_the_rest():
    decision = decide(ENGLISH, ["El niño.", "El gato"])
    assert decision.mode == "transfer"
    first, second = decision.warnings
    assert "capitals (E, 2 times) and punctuation (., 1 times)" in first and "--normalise" in first
    assert "checkpoint: b c d e f h j k m" in second and "--keep_source_labels" in second
    assert "checkpoint: b c d e f" in decision.to_markdown()


def test_letters_of_another_script_are_lost_without_a_warning():
    assert decide(ENGLISH, ["мама мыла раму 'да'"]).warnings == ()


def test_no_warning_where_the_alphabet_was_given():
    assert decide(ENGLISH, SPANISH, alphabet=CharacterAlphabet(" aceilmnosuñ")).warnings == ()


def test_the_labels_of_the_source_can_be_kept():
    decision = decide(ENGLISH, SPANISH, keep_source_labels=True)
    assert decision.alphabet.labels == (*ENGLISH.labels, "ñ")
    assert (decision.dropped_labels, decision.warnings) == ((), ())
