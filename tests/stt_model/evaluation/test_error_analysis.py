from pathlib import Path

import pytest

from stt_model.evaluation.alignment import count_errors
from stt_model.evaluation.error_analysis import NOTHING, break_down, confusion_matrix
from tests.stt_model.evaluated import evaluated


def groups(samples):
    """The utterances of each group of each breakdown."""
    return {
        found.title: {group.name: group.utterances for group in found.groups}
        for found in break_down(samples)
    }


def test_by_duration():
    samples = [evaluated("a b", "a", seconds=each) for each in (0.5, 1.9, 2.0, 7, 12, 3, 25, 60)]
    assert groups(samples) == {
        "duration": {"0 to 2 s": 2, "2 to 5 s": 2, "5 to 10 s": 1, "10 to 20 s": 1, "over 20 s": 2}
    }
    (found,) = break_down(samples)
    assert [group.name for group in found.groups][-2:] == ["10 to 20 s", "over 20 s"]
    assert found.groups[0].seconds == pytest.approx(2.4)


def test_by_file_as_seen_from_the_folder_that_they_share():
    names = ("/corpora/sw/test.csv", "/corpora/sw/test.csv", "/corpora/mk/test.csv")
    samples = [evaluated("a", "a", manifest=Path(name)) for name in (*names, names[2])]
    assert groups(samples) == {"file": {"mk/test.csv": 2, "sw/test.csv": 2}}


def test_by_further_columns_of_the_manifest():
    samples = [evaluated("a", "a", voice=f"v{n % 2}", row=str(n), set="x") for n in range(6)]
    samples.append(evaluated("a", "b"))
    samples.append(evaluated("a", "b"))
    assert groups(samples) == {
        "voice": {"v0": 3, "v1": 3, "(none)": 2},
        "set": {"x": 6, "(none)": 2},
    }


def test_the_rates_of_a_group_are_its_own():
    samples = [evaluated("a b", "a b", voice="good"), evaluated("a b", "x b", voice="bad")] * 2
    (found,) = break_down(samples)
    rates = {group.name: (group.wer.value, group.cer.value) for group in found.groups}
    assert rates == {"bad": (0.5, pytest.approx(1 / 3)), "good": (0, 0)}


def test_only_the_largest_of_many_groups():
    samples = [evaluated("a", "a", voice=f"v{n % 30}") for n in range(65)]
    (found,) = break_down(samples)
    assert len(found.groups) == 20
    assert found.left_out == 10
    assert {"v0", "v4"} <= {group.name for group in found.groups}


@pytest.mark.parametrize("samples", [[], [evaluated("a", "b", voice="v")]])
def test_nothing_to_tell_apart(samples):
    assert break_down(samples) == []


def test_confusions_add_up():
    pairs = [("abc ab", "axc a"), ("ab", "abb")]
    matrix = confusion_matrix(count_errors(pairs, "character"))
    counts = {
        (row, column): count
        for row, line in zip(matrix.characters, matrix.counts, strict=True)
        for column, count in zip(matrix.characters, line, strict=True)
        if count
    }
    assert counts == {
        ("a", "a"): 3,
        ("b", "b"): 1,
        ("c", "c"): 1,
        (" ", " "): 1,
        ("b", "x"): 1,
        ("b", NOTHING): 1,
        (NOTHING, "b"): 1,
    }
    assert matrix.names == ["␣", "a", "b", "c", "x", NOTHING]


def test_the_most_mistaken_characters_come_in_first():
    right = "".join(map(chr, range(ord("a"), ord("z") + 1)))
    pairs = [(right, right)] * 3 + [("z", "y")] * 5
    matrix = confusion_matrix(count_errors(pairs, "character"))
    assert len(matrix.characters) == 17
    assert {"y", "z", NOTHING} < set(matrix.characters)


@pytest.mark.parametrize("pairs", [[], [("abc", "")], [("", "abc")], [("ab", "xy")]])
def test_a_square_whatever_there_is(pairs):
    matrix = confusion_matrix(count_errors(pairs, "character"))
    assert [len(row) for row in matrix.counts] == [len(matrix.characters)] * len(matrix.counts)
    assert len(matrix.counts) == len(matrix.characters)
