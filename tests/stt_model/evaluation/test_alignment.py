import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt_model.evaluation.alignment import align, count_errors

texts = st.text(" abc", max_size=12)


def edit_distance(first, second):
    """Levenshtein's, written down plainly."""
    row = list(range(len(second) + 1))
    for i, left in enumerate(first, start=1):
        above, row = row, [i]
        for j, right in enumerate(second, start=1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (left != right)))
    return row[-1]


@pytest.mark.parametrize("unit", ["word", "character"])
@given(reference=texts, hypothesis=texts)
def test_pairs_hold_both_texts_with_as_few_differences_as_possible(unit, reference, hypothesis):
    pairs = align(reference, hypothesis, unit)
    left = [each for each, _ in pairs if each is not None]
    right = [each for _, each in pairs if each is not None]
    split = str.split if unit == "word" else list
    assert (left, right) == (split(reference), split(hypothesis))
    assert sum(a != b for a, b in pairs) == edit_distance(left, right)
    assert (None, None) not in pairs


@given(st.lists(st.tuples(texts.filter(str.strip), texts), min_size=1, max_size=5))
def test_counts_are_those_of_jiwer(pairs):
    reference, hypothesis = (list(each) for each in zip(*pairs, strict=True))
    counts = count_errors(pairs, "word")
    theirs = jiwer.process_words(reference, hypothesis)
    assert counts.distance / counts.length == pytest.approx(theirs.wer)
    assert counts.substitutions.total() == theirs.substitutions
    assert counts.deletions.total() == theirs.deletions
    assert counts.insertions.total() == theirs.insertions
    assert counts.hits.total() == theirs.hits


def test_errors_by_what_they_are():
    counts = count_errors([("a cat sat down", "cat sad down now"), ("a dog", "dog")], "word")
    assert counts.hits == {"cat": 1, "down": 1, "dog": 1}
    assert counts.substitutions == {("sat", "sad"): 1}
    assert counts.deletions == {"a": 2}
    assert counts.insertions == {"now": 1}
    assert (counts.distance, counts.length) == (4, 6)


def test_nothing_understood_is_all_deleted():
    assert align("one two", "", "word") == [("one", None), ("two", None)]
    assert align("ab", "", "character") == [("a", None), ("b", None)]


def test_nothing_in_common_is_all_substituted():
    assert align("abc", "xyz", "character") == [("a", "x"), ("b", "y"), ("c", "z")]


def test_spaces_at_the_ends_count_as_characters():
    assert align("a", " a", "character") == [(None, " "), ("a", "a")]
