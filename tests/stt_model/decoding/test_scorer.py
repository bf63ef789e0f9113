import struct

import pytest

from stt_model.base.errors import ScorerError
from stt_model.decoding import beam_search
from stt_model.decoding import scorer as scorer_module
from stt_model.decoding.beam_search import check_scorer
from stt_model.decoding.scorer import copy_with_weights, read_scorer, write_package
from stt_model.text.alphabet import BytesAlphabet, CharacterAlphabet
from tests.command_line import call
from tests.stt_model.scorers import (
    ABC,
    ENGLISH,
    GOLDEN,
    LETTERS,
    LETTERS_MODEL,
    WORDS,
    WORDS_MODEL,
    needs_flashlight,
    write_arpa,
    write_letters_package,
    write_words_package,
)


@pytest.fixture
def package(tmp_path):
    return write_words_package(tmp_path / "words.scorer", lm_alpha=0.5, lm_beta=2.5)


def refusal(path, alphabet=ENGLISH, vocab_file=None):
    with pytest.raises(ScorerError) as refused:
        check_scorer(read_scorer(path, alphabet, vocab_file))
    message = str(refused.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


@needs_flashlight
def test_a_package_holds_words_spellings_and_weights(package):
    scorer = read_scorer(package, ENGLISH)
    check_scorer(scorer)
    assert sorted(scorer.units) == sorted(set(WORDS))
    assert (scorer.lm_alpha, scorer.lm_beta, scorer.is_bytes) == (0.5, 2.5, False)
    for unit, spelling in zip(scorer.units, scorer.spellings, strict=True):
        assert ENGLISH.decode(spelling) == f"{unit} "


def test_a_package_begins_with_the_language_model_as_it_is(package):
    model = WORDS_MODEL.read_bytes()
    assert package.read_bytes()[: len(model)] == model


@needs_flashlight
def test_a_package_for_bytes_spells_characters(tmp_path):
    scorer = read_scorer(write_letters_package(tmp_path / "letters.scorer"), BytesAlphabet())
    check_scorer(scorer)
    assert scorer.is_bytes
    assert sorted(scorer.units) == sorted(LETTERS)
    assert all(
        bytes(label + 1 for label in spelling).decode() == unit
        for unit, spelling in zip(scorer.units, scorer.spellings, strict=True)
    )


def test_a_copy_gets_other_weights_and_nothing_else(package, tmp_path):
    copy = tmp_path / "copy.scorer"
    copy_with_weights(package, copy, 1.25, -0.5)
    scorer = read_scorer(copy, ENGLISH)
    assert (scorer.lm_alpha, scorer.lm_beta) == (1.25, -0.5)
    assert scorer.units == read_scorer(package, ENGLISH).units
    changed = [a != b for a, b in zip(copy.read_bytes(), package.read_bytes(), strict=True)]
    assert sum(changed) <= 16
    with pytest.raises(ScorerError, match=r"expected a \.scorer package"):
        copy_with_weights(WORDS_MODEL, copy, 1, 1)


def test_words_with_other_characters_are_left_out_of_a_package(tmp_path):
    path = tmp_path / "words.scorer"
    assert write_package(path, WORDS_MODEL, ["able", "öl", "act", "<s>"], ENGLISH) == 2
    assert sorted(read_scorer(path, ENGLISH).units) == ["able", "act"]


@needs_flashlight
def test_a_language_model_alone_does_with_its_words(tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("act  able\nact\n")
    scorer = read_scorer(WORDS_MODEL, ENGLISH, words)
    check_scorer(scorer)
    assert scorer.units == ["act", "able"]
    assert "--vocab_file" in refusal(WORDS_MODEL)


@needs_flashlight
def test_an_arpa_file_brings_its_words(tmp_path):
    arpa = write_arpa(tmp_path / "model.arpa")
    scorer = read_scorer(arpa, ABC)
    check_scorer(scorer)
    assert scorer.units == ["a", "b", "ab", "ca"]
    assert scorer.spellings == [[1, 0], [2, 0], [1, 2, 0], [3, 1, 0]]
    words = tmp_path / "words.txt"
    words.write_text("ab")
    assert read_scorer(arpa, ABC, words).units == ["ab"]


@needs_flashlight
@pytest.mark.parametrize(
    ("alphabet", "problem"),
    [
        (CharacterAlphabet(" bcdefghijklmnopqrstuvwxyza'"), "unknown to its language model"),
        (CharacterAlphabet("abcdefghijklmnopqrstuvwxyz' "), "label for the space"),
        (CharacterAlphabet(" abcdefghijklmno"), "and the model has 16 labels"),
        (CharacterAlphabet("_abcdefghijklmnopqrstuvwxyz'"), "without a space"),
        (BytesAlphabet(), "label for the space"),
    ],
)
def test_a_package_of_another_alphabet_is_refused(package, alphabet, problem):
    assert problem in refusal(package, alphabet)


def test_a_package_for_bytes_is_refused_to_an_alphabet(tmp_path):
    path = write_letters_package(tmp_path / "letters.scorer")
    assert "bytes output mode" in refusal(path)


def test_an_arpa_file_of_another_script_is_refused(tmp_path):
    arpa = write_arpa(tmp_path / "model.arpa")
    assert "LATIN SMALL LETTER A" in refusal(arpa, CharacterAlphabet(" абв"))


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda data: data[:-1], "bytes in all"),
        (lambda data: data[:-4000], "bytes in all"),
        (lambda data: data[:50_000], "cut short"),
        (lambda data: data[:20], "found none of these"),
        (lambda data: b"", "found none of these"),
        (lambda data: b"RIFF" + data, "found none of these"),
    ],
)
def test_a_damaged_package_is_refused(package, damage, problem):
    package.write_bytes(damage(package.read_bytes()))
    assert problem in refusal(package)


def test_a_vocabulary_with_a_word_twice_is_refused(tmp_path):
    """The library that decodes takes each word once."""
    path = tmp_path / "twice.scorer"
    write_package(path, WORDS_MODEL, ["a", "b"], ENGLISH)
    head, mark, automaton = path.read_bytes().rpartition(b"TRIE"[::-1])
    a, b = (struct.pack("<ii", label, label) for label in (2, 3))
    assert automaton.count(b) == 1
    path.write_bytes(head + mark + automaton.replace(b, a))
    assert "expected each word once in the vocabulary" in refusal(path)


@needs_flashlight
def test_a_word_twice_in_a_list_counts_once(tmp_path):
    arpa = write_arpa(tmp_path / "model.arpa")
    arpa.write_text(arpa.read_text().replace("-1.5\tab", "-1.5\ta"))
    assert read_scorer(arpa, ABC).units == ["a", "b", "ca"]


@needs_flashlight
def test_a_damaged_language_model_is_refused(tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("act able")
    short = tmp_path / "short.binary"
    short.write_bytes(WORDS_MODEL.read_bytes()[:-5000])
    assert "KenLM cannot read it" in refusal(short, vocab_file=words)
    arpa = write_arpa(tmp_path / "model.arpa")
    arpa.write_text(arpa.read_text().replace("ngram 2=4", "ngram 2=9"))
    assert "KenLM cannot read it" in refusal(arpa, ABC)


@pytest.mark.parametrize("words", [[], ["öl"], ["öl", "ähre", "act"]])
def test_no_package_is_written_without_words_of_use(tmp_path, words):
    path = tmp_path / "words.scorer"
    with pytest.raises(ScorerError, match="words that the model can write"):
        write_package(path, WORDS_MODEL, words, ENGLISH)
    assert not path.exists()


def test_no_package_is_made_of_arpa_text(tmp_path):
    with pytest.raises(ScorerError, match="build_binary"):
        write_package(tmp_path / "words.scorer", write_arpa(tmp_path / "model.arpa"), ["a"], ABC)


def test_words_in_another_encoding_are_refused(tmp_path):
    words = tmp_path / "words.txt"
    words.write_bytes("öl".encode("latin-1"))
    with pytest.raises(ScorerError, match="UTF-8"):
        read_scorer(WORDS_MODEL, ENGLISH, words)


@needs_flashlight
def test_letters_model_is_no_scorer_of_english(tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("act able")
    assert "unknown to its language model" in refusal(LETTERS_MODEL, vocab_file=words)


@pytest.mark.parametrize("command", ["evaluate", "train", "lm_optimize"])
def test_commands_refuse_a_scorer_before_tensorflow_starts(package, monkeypatch, command):
    monkeypatch.setattr("stt_model.jobs.startup.start_tensorflow", lambda: pytest.fail("too late"))
    package.write_bytes(package.read_bytes()[:-1])
    manifest, checkpoint = GOLDEN / "audio" / "latin.csv", GOLDEN / "checkpoints" / "alphabet"
    flags = {"--test_files": manifest, "--checkpoint_dir": checkpoint, "--scorer_path": package}
    if command == "train":
        flags["--train_files"] = manifest
    outcome = call(command, *(word for flag in flags.items() for word in flag))
    assert outcome.code == 1
    assert outcome.error.startswith(f"{package}: ")


@pytest.mark.parametrize(
    ("flag", "value"),
    [("--lm_alpha", "much"), ("--lm_alpha", "nan"), ("--lm_beta", "inf"), ("--cutoff_prob", "0")],
)
def test_weights_that_are_no_numbers_are_wrong_usage(package, flag, value):
    outcome = call(
        *("evaluate", "--test_files", "x.csv", "--checkpoint_dir", "x"),
        *("--scorer_path", package, flag, value),
    )
    assert outcome.code == 2
    assert f"{flag}: expected a number" in outcome.error
    assert repr(value) in outcome.error


@needs_flashlight
@pytest.mark.parametrize("at", range(88, 92))
@pytest.mark.parametrize("value", [0, 127, 255])
def test_a_damaged_head_of_the_language_model_is_one_line(package, at, value):
    data = bytearray(package.read_bytes())
    data[at] = value
    package.write_bytes(data)
    if at == 88:
        assert "order" in refusal(package)
    else:
        # Padding, which KenLM never looks at.
        check_scorer(read_scorer(package, ENGLISH))


@needs_flashlight
def test_a_language_model_that_ends_kenlm_does_not_end_this_process(package, monkeypatch):
    """The head is not looked at, so that KenLM meets n-grams of order 0."""
    monkeypatch.setattr(scorer_module, "check_kenlm_header", lambda path: None)
    data = bytearray(package.read_bytes())
    data[88] = 0
    package.write_bytes(data)
    assert "has died of SIG" in refusal(package)


@needs_flashlight
def test_a_check_that_takes_too_long_is_one_line(package, monkeypatch):
    monkeypatch.setattr(beam_search, "_SECONDS_TO_LOAD", -1e9)
    monkeypatch.setattr(beam_search, "_BYTES_A_SECOND", 1e12)
    assert "it took more than" in refusal(package)
