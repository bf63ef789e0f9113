"""Hints for names that are not known."""

import pytest

from stt_model.base import name_hint


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("epoch", "did you mean epochs?"),
        ("lerning_rate", "did you mean learning_rate?"),
        ("xyz", "there are epochs, learning_rate"),
    ],
)
def test_a_hint_names_what_resembles_the_name_or_all_there_is(name, hint):
    assert name_hint(name, ["epochs", "learning_rate"]) == hint
