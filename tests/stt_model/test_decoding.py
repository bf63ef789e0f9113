import numpy as np
import pytest

from stt_model.alphabet import BytesAlphabet, CharacterAlphabet
from stt_model.decoding import decode

ALPHABET = CharacterAlphabet(" ab")


def logits_of(path, classes, certainty=10.0):
    return certainty * np.eye(classes, dtype=np.float32)[list(path)]


@pytest.mark.parametrize("beam_width", [0, 8])
def test_repeats_collapse_and_blanks_go(beam_width):
    blank = ALPHABET.blank
    logits = np.stack(
        [logits_of([1, 1, blank, 1, 0, 2], 4), logits_of([blank, 2, 2, blank, blank, 1], 4)]
    )
    texts = decode(logits, np.array([6, 6], np.int32), ALPHABET, beam_width)
    assert texts == ["aa b", "ba"]


@pytest.mark.parametrize("beam_width", [0, 8])
def test_padding_is_not_read_and_silence_is_empty(beam_width):
    logits = np.stack([logits_of([1, 2, 2], 4), logits_of([3, 3, 1], 4)])
    assert decode(logits, np.array([1, 2], np.int32), ALPHABET, beam_width) == ["a", ""]


def test_beam_search_adds_up_the_paths_of_one_text():
    # Blank is the best label of each frame, but the three paths that read "a" weigh more together.
    probabilities = np.array([[0.4, 0.6], [0.4, 0.6]])
    logits = np.log(probabilities)[np.newaxis].astype(np.float32)
    one_label = CharacterAlphabet("a")
    frames = np.array([2], np.int32)
    assert decode(logits, frames, one_label, beam_width=0) == [""]
    assert decode(logits, frames, one_label, beam_width=4) == ["a"]


def test_bytes_become_text():
    alphabet = BytesAlphabet()
    path = [label for byte in alphabet.encode("ђ") for label in (byte, alphabet.blank)]
    logits = logits_of(path, alphabet.classes)[np.newaxis]
    assert decode(logits, np.array([4], np.int32), alphabet) == ["ђ"]
