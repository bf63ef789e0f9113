from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stt_model.base.typed import build


@dataclass
class Inner:
    number: float


@dataclass
class Outer:
    count: int
    flag: bool = False
    inner: Inner | None = None
    lists: dict[str, list[int]] = field(default_factory=dict)
    whatever: Any = None


def test_json_values_get_the_types_of_the_fields():
    values = {"count": 1, "inner": {"number": 2}, "lists": {"a": [1, 2]}, "whatever": {"b": []}}
    assert build(Outer, values) == Outer(1, False, Inner(2.0), {"a": [1, 2]}, {"b": []})


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({}, "it lacks count"),
        ({"count": True}, "expected int for count, found 'True'"),
        ({"count": 1.0}, "count"),
        ({"count": None}, "count"),
        ({"count": 1, "flag": 1}, "flag"),
        ({"count": 1, "other": 1}, "an unknown key: other"),
        ({"count": 1, "inner": {}}, "inner lacks number"),
        ({"count": 1, "inner": []}, "inner"),
        ({"count": 1, "inner": {"number": float("nan")}}, "inner.number"),
        ({"count": 1, "inner": {"number": "1"}}, "inner.number"),
        ({"count": 1, "inner": {"number": True}}, "inner.number"),
        ({"count": 1, "lists": {"a": [1, "2"]}}, r"lists\.a\[1\]"),
        ({"count": 1, "lists": [1]}, "lists"),
    ],
)
def test_another_type_is_named(values, named):
    with pytest.raises(ValueError, match=named):
        build(Outer, values)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


# The first text that is drawn on a new machine takes a second, for the table of all characters.
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(st.sampled_from(["count", "flag", "inner", "lists", "whatever"]), JSON))
def test_whatever_json_holds_is_built_or_is_a_value_error(values):
    try:
        built = build(Outer, values)
    except ValueError:
        return
    assert type(built.count) is int and type(built.flag) is bool
