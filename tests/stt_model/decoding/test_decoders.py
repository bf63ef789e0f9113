import gc
import itertools
import math
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stt_model.base.errors import DataError, ScorerError
from stt_model.decoding.beam_search import SearchSettings, cut, log_softmax
from stt_model.decoding.decoders import ScorerDecoder, open_decoder
from stt_model.decoding.scorer import read_scorer
from stt_model.text.alphabet import BytesAlphabet, CharacterAlphabet
from tests.stt_model.scorers import (
    ABC,
    ENGLISH,
    LETTERS,
    UNIGRAMS,
    needs_flashlight,
    probability,
    write_arpa,
    write_letters_package,
    write_words_package,
)

ALPHABET = CharacterAlphabet(" ab")
WIDTHS = pytest.mark.parametrize("beam_width", [1, 8])


def logits_of(path, classes, certainty=10.0):
    return certainty * np.eye(classes, dtype=np.float32)[list(path)]


def decode(logits, alphabet, frames=None, **flags):
    """Decode utterances of the same length, or of ``frames``."""
    logits = np.asarray(logits, np.float32)
    lengths = np.full(len(logits), logits.shape[1]) if frames is None else np.array(frames)
    return open_decoder(alphabet, workers=1, **flags).decode(logits, lengths)


@WIDTHS
def test_repeats_collapse_and_blanks_go(beam_width):
    blank = ALPHABET.blank
    logits = [logits_of([1, 1, blank, 1, 0, 2], 4), logits_of([blank, 2, 2, blank, blank, 1], 4)]
    assert decode(logits, ALPHABET, beam_width=beam_width) == ["aa b", "ba"]


@WIDTHS
def test_padding_is_not_read_and_silence_is_empty(beam_width):
    logits = [logits_of([1, 2, 2], 4), logits_of([3, 3, 1], 4)]
    assert decode(logits, ALPHABET, [1, 2], beam_width=beam_width) == ["a", ""]


def test_beam_search_adds_up_the_paths_of_one_text():
    # Blank is the best label of each frame, but the three paths that read "a" weigh more together.
    logits = np.log([[[0.4, 0.6], [0.4, 0.6]]])
    one_label = CharacterAlphabet("a")
    assert decode(logits, one_label, beam_width=1) == [""]
    assert decode(logits, one_label) == ["a"]
    assert decode(logits, one_label, beam_width=4) == ["a"]


def test_bytes_become_text():
    alphabet = BytesAlphabet()
    path = [label for byte in alphabet.encode("ђ") for label in (byte, alphabet.blank)]
    assert decode([logits_of(path, alphabet.classes)], alphabet) == ["ђ"]


def test_cutoffs_leave_out_what_is_improbable():
    frame = np.log([[0.5, 0.3, 0.15, 0.05]]).astype(np.float32)

    def kept(**cutoffs):
        return (cut(frame, SearchSettings(**cutoffs)) > -100)[0].tolist()

    assert kept() == [True] * 4
    assert kept(cutoff_prob=0.7) == [True, True, False, False]
    assert kept(cutoff_prob=0.4) == [True, False, False, False]
    assert kept(cutoff_prob=0.99, cutoff_top_n=3) == [True, True, True, False]
    # As in Coqui STT, which only counts labels where it also adds up their probabilities.
    assert kept(cutoff_top_n=1) == [True] * 4


def test_cutoffs_apply_without_a_scorer():
    logits = np.log([[[0.4, 0.6], [0.4, 0.6]]])
    one_label = CharacterAlphabet("a")
    assert decode(logits, one_label, beam_width=4, cutoff_prob=0.55) == [""]


@pytest.mark.parametrize(
    "flags",
    [
        {"beam_width": -1},
        {"beam_width": 4, "cutoff_prob": 0.0},
        {"beam_width": 4, "cutoff_prob": 1.5},
        {"beam_width": 4, "cutoff_prob": math.nan},
        {"beam_width": 4, "cutoff_top_n": 0},
    ],
)
def test_numbers_that_cannot_work_are_refused(flags):
    with pytest.raises(DataError, match=f"--{list(flags)[-1]}: expected"):
        open_decoder(ALPHABET, **flags)


def log_sum_of_paths(log_probabilities, labels):
    """CTC's forward algorithm: log of the probability of all paths that read ``labels``."""
    blank = log_probabilities.shape[1] - 1
    states = [blank, *itertools.chain.from_iterable((label, blank) for label in labels)]
    reached = np.full(len(states), -np.inf)
    reached[0] = 0.0
    for frame_number, frame in enumerate(log_probabilities):
        before = reached.copy()
        for place, label in enumerate(states):
            ways = [before[place]]
            if place >= 1 and (frame_number or place == 1):
                ways.append(before[place - 1])
            if place >= 2 and label not in (blank, states[place - 2]):
                ways.append(before[place - 2])
            reached[place] = np.logaddexp.reduce(ways) + frame[label]
    return np.logaddexp.reduce(reached[-2:])


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 4),
    st.integers(1, 3),
    st.sampled_from([0.5, 3.0]),
)
@settings(max_examples=25, deadline=None)
def test_a_wide_search_finds_the_most_probable_of_all_texts(seed, frames, labels, certainty):
    draw = np.random.default_rng(seed)
    logits = log_softmax(certainty * draw.normal(size=(frames, labels + 1)).astype(np.float32))
    alphabet = CharacterAlphabet("abc"[:labels])
    lengths = range(frames + 1)
    texts = [text for each in lengths for text in itertools.product(range(labels), repeat=each)]
    sums = [log_sum_of_paths(logits, text) for text in texts]
    (found,) = decode([logits], alphabet, beam_width=2000)
    of_found = log_sum_of_paths(logits, alphabet.encode(found))
    assert of_found == pytest.approx(max(sums), abs=1e-4)


@pytest.mark.parametrize("beam_width", [2, 5, 30])
def test_a_narrow_search_keeps_what_a_plain_one_keeps(beam_width):
    draw = np.random.default_rng(beam_width)
    for _ in range(10):
        logits = log_softmax(2 * draw.normal(size=(25, 4)).astype(np.float32))
        labels = plain_search(logits, beam_width)
        assert decode([logits], ALPHABET, beam_width=beam_width) == [ALPHABET.decode(labels)]


def plain_search(log_probabilities, beam_width):
    """Prefix search with dictionaries: text to the probabilities with and without a last blank."""
    *_, blank = range(log_probabilities.shape[1])
    beam = {(): (0.0, -np.inf)}
    for frame in log_probabilities:
        longer = {}

        def add(text, place, score, longer=longer):
            scores = longer.setdefault(text, [-np.inf, -np.inf])
            scores[place] = np.logaddexp(scores[place], score)

        for text, (in_blank, in_label) in beam.items():
            total = np.logaddexp(in_blank, in_label)
            add(text, 0, total + frame[blank])
            for label in range(blank):
                if text[-1:] == (label,):
                    add(text, 1, in_label + frame[label])
                    add((*text, label), 1, in_blank + frame[label])
                else:
                    add((*text, label), 1, total + frame[label])
        beam = dict(sorted(longer.items(), key=lambda each: np.logaddexp(*each[1]))[-beam_width:])
    return list(max(beam, key=lambda text: np.logaddexp(*beam[text])))


def test_threads_find_the_same_as_one():
    logits = np.random.default_rng(0).normal(size=(30, 200, 4)).astype(np.float32)
    alone = decode(logits, ALPHABET, beam_width=50)
    decoder = open_decoder(ALPHABET, beam_width=50, workers=4)
    assert decoder.decode(logits, [200] * 30) == alone


def test_a_long_text_outgrows_the_first_room_of_the_tree():
    labels = np.random.default_rng(0).integers(0, 3, 3000)
    logits = logits_of([each for label in labels for each in (label, ALPHABET.blank)], 4)
    assert decode([logits], ALPHABET, beam_width=20) == [ALPHABET.decode(labels)]


def test_a_beam_may_more_than_double_the_tree_of_labels_in_one_frame():
    # Of bytes, the second frame may add as many texts as the beam is wide.
    alphabet = BytesAlphabet()
    path = [label for byte in alphabet.encode("ab") for label in (byte, alphabet.blank)]
    logits = logits_of(path, alphabet.classes, certainty=2.0)
    assert decode([logits], alphabet, beam_width=60_000) == ["ab"]


def test_functions_compile_where_numba_finds_no_folder_for_its_cache():
    """As it does not for code that is in no file, or where nothing can be written."""
    script = (
        "from stt_model.decoding.compiled import compiled\n"
        "@compiled\n"
        "def twice(number): return 2 * number\n"
        "print(twice(21))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "42\n"


def spellings(words):
    """What counts as the words: with one space behind each, two, or at the end none."""
    spaces = [(" ", "  ")] * (len(words) - 1) + [("", " ", "  ")] * bool(words)
    for gaps in itertools.product(*spaces):
        yield "".join(itertools.chain.from_iterable(zip(words, gaps, strict=True)))


def best_text(logits, alpha, beta):
    """The best of all texts of up to three words, by the definition of what is searched for."""
    frames = log_softmax(logits).astype(float)
    vocabulary = [word for word in UNIGRAMS if ABC.missing(word) == set()]
    scores = {}
    for count in range(4):
        for words in itertools.product(vocabulary, repeat=count):
            sounds = [log_sum_of_paths(frames, ABC.encode(each)) for each in spellings(words)]
            weight = alpha * probability(words) + beta * len(words)
            scores[" ".join(words)] = np.logaddexp.reduce(sounds) + weight
    ranked = sorted(scores, key=scores.get, reverse=True)
    return ranked[0], scores[ranked[0]] - scores[ranked[1]]


@needs_flashlight
@pytest.mark.parametrize(("alpha", "beta"), [(0.0, 0.0), (0.9, 1.2), (2.0, 3.0)])
def test_a_scorer_finds_the_best_of_all_texts(tmp_path, alpha, beta):
    arpa = write_arpa(tmp_path / "model.arpa")
    draw = np.random.default_rng(5)
    logits = 2.5 * draw.standard_normal((16, 6, ABC.classes)).astype(np.float32)
    # Room for the blank, or no text of a few words would ever be the best.
    logits[..., -1] += 1
    found = decode(logits, ABC, beam_width=500, scorer_path=arpa, lm_alpha=alpha, lm_beta=beta)
    wanted = [best_text(each, alpha, beta) for each in logits]
    clear = [(text, best) for text, (best, lead) in zip(found, wanted, strict=True) if lead > 0.01]
    assert len(clear) > 12
    assert [text for text, _ in clear] == [best for _, best in clear]
    assert len({best for _, best in clear}) > 4


@needs_flashlight
def test_the_language_model_decides_between_words_that_sound_the_same(tmp_path):
    arpa = write_arpa(tmp_path / "model.arpa")
    logits = logits_of([2, 4, 0, 4, 4, 1, 1, 4], ABC.classes, 6.0)
    # "b ca" or "b a": by its sound the latter, by the language model the former.
    logits[4, [3, 4]] = [3.0, 4.0]
    by_sound = decode([logits], ABC, scorer_path=arpa, lm_alpha=0, lm_beta=0)
    assert by_sound == ["b a"]
    assert decode([logits], ABC, scorer_path=arpa, lm_alpha=2, lm_beta=0) == ["b ca"]


@needs_flashlight
def test_a_reward_for_words_makes_more_of_them(tmp_path):
    arpa = write_arpa(tmp_path / "model.arpa")
    logits = logits_of([1, 4, 4, 4, 2, 4], ABC.classes, 6.0)
    logits[2, 0] = 3.0
    assert decode([logits], ABC, scorer_path=arpa, lm_alpha=0, lm_beta=0) == ["ab"]
    assert decode([logits], ABC, scorer_path=arpa, lm_alpha=0, lm_beta=5) == ["a b"]


@needs_flashlight
def test_words_unknown_to_the_language_model_are_never_written(tmp_path):
    arpa = write_arpa(tmp_path / "model.arpa")
    words = tmp_path / "words.txt"
    words.write_text("a b ab cc")
    logits = logits_of([3, 4, 3, 3], ABC.classes)
    found = decode([logits], ABC, scorer_path=arpa, vocab_file=words, lm_alpha=0, lm_beta=0)
    assert found != ["cc"]


@needs_flashlight
def test_an_unfinished_word_at_the_end_is_left_out(tmp_path):
    arpa = write_arpa(tmp_path / "model.arpa")
    # "b c", and no word of the beam ends in "c".
    logits = logits_of([2, 0, 3, 3], ABC.classes, 40.0)
    assert decode([logits], ABC, scorer_path=arpa, beam_width=1) == ["b"]


@needs_flashlight
def test_an_utterance_without_frames_is_empty(tmp_path):
    arpa = write_arpa(tmp_path / "model.arpa")
    logits = np.zeros((2, 3, ABC.classes), np.float32)
    assert decode(logits, ABC, [0, 0], scorer_path=arpa) == ["", ""]


@needs_flashlight
def test_characters_of_bytes_are_scored_and_may_last_several_frames(tmp_path):
    package = write_letters_package(tmp_path / "letters.scorer")
    alphabet = BytesAlphabet()
    labels = alphabet.encode("мајка")
    path = [label for label in labels for _ in range(2)]
    logits = logits_of([alphabet.blank, *path, alphabet.blank], alphabet.classes, 12.0)
    # What sounds like a byte that makes no letter of it is overruled.
    logits[5, 0x20], logits[6, 0x20] = 13.0, 13.0
    assert decode([logits], alphabet) != ["мајка"]
    assert decode([logits], alphabet, scorer_path=package, beam_width=100) == ["мајка"]
    assert set("мајка") <= set(LETTERS)


@needs_flashlight
def test_weights_may_change_between_batches_and_workers_agree(tmp_path):
    scorer = read_scorer(write_arpa(tmp_path / "model.arpa"), ABC)
    decoder = ScorerDecoder(scorer, ABC.classes, SearchSettings(beam_width=100), workers=2)
    draw = np.random.default_rng(2)
    logits = 2 * draw.standard_normal((12, 8, ABC.classes)).astype(np.float32)
    frames = np.full(12, 8)
    texts = {}
    for weights in ((0.5, 0.0), (3.0, 4.0)):
        decoder.weigh(*weights)
        texts[weights] = decoder.decode(logits, frames)
        alone = {"lm_alpha": weights[0], "lm_beta": weights[1], "scorer_path": scorer.path}
        assert texts[weights] == decode(logits, ABC, beam_width=100, **alone)
    assert len(set(map(tuple, texts.values()))) == 2
    decoder.weigh()
    assert (decoder.weights.lm_alpha, decoder.weights.lm_beta) == (scorer.lm_alpha, scorer.lm_beta)
    with pytest.raises(DataError, match="--lm_beta: expected a number, got nan"):
        decoder.weigh(1.0, math.nan)


def test_without_flashlight_the_message_says_where_it_is_to_be_had(tmp_path, monkeypatch):
    arpa = write_arpa(tmp_path / "model.arpa")
    monkeypatch.setitem(__import__("sys").modules, "flashlight.lib.text", None)
    with pytest.raises(ScorerError, match=r"Python 3\.10 to 3\.12 on x86-64"):
        open_decoder(ABC, scorer_path=arpa)


@needs_flashlight
def test_no_process_outlives_the_decoder_that_started_it(tmp_path):
    """Each holds a whole vocabulary."""
    scorer = read_scorer(write_words_package(tmp_path / "a.scorer"), ENGLISH)
    decoder = ScorerDecoder(scorer, ENGLISH.classes, SearchSettings(20), workers=1)
    decoder.decode(np.zeros((1, 4, ENGLISH.classes), np.float32), [4])
    processes = list(decoder._pool._processes)
    assert processes
    del decoder
    gc.collect()
    # Not by asking the process objects: loky collects the ends of its processes itself.
    patience = time.monotonic() + 20
    while any(map(is_running, processes)):
        assert time.monotonic() < patience
        time.sleep(0.05)


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
