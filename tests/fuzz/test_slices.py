"""A short slice of each fuzz target; ``make fuzz`` runs them for longer."""

from __future__ import annotations

import importlib.util
import random

import pytest

from tests.fuzz import campaign
from tests.fuzz.campaign import run
from tests.fuzz.import_targets import SOURCES
from tests.fuzz.mutations import mutate
from tests.fuzz.targets import NEEDS, TARGETS, Target


@pytest.mark.parametrize("name", TARGETS)
def test_a_slice_of_each_target(name):
    if name in NEEDS and importlib.util.find_spec(NEEDS[name]) is None:
        pytest.skip(f"{NEEDS[name]} is not installed")
    cases = TARGETS[name].slice
    outcome = run(name, seed=0, cases=cases, seconds=60)
    assert not outcome.failures
    assert outcome.cases == cases


@pytest.mark.parametrize("name", sorted({*SOURCES, "deployed", "scorer", "table", "workbook"}))
def test_undamaged_seeds_are_read(name, tmp_path):
    """Otherwise damage would be done to what is refused anyway."""
    if name in NEEDS and importlib.util.find_spec(NEEDS[name]) is None:
        pytest.skip(f"{NEEDS[name]} is not installed")
    with TARGETS[name].opened(tmp_path) as (seeds, read):
        for seed in seeds:
            read(seed)


def test_the_same_seed_is_the_same_damage():
    seeds = [b"some bytes 1234" * 9, b"others"]
    first, second = (
        [mutate(seeds[0], seeds, draw) for _ in range(50)]
        for draw in (random.Random(3), random.Random(3))
    )
    assert first == second
    assert len(set(first)) > 40


@pytest.mark.parametrize(
    ("mistake", "message"),
    [(ValueError("a\nb"), "ValueError: a"), (MemoryError(), "MemoryError")],
)
def test_of_a_mistake_the_first_input_is_kept(mistake, message, monkeypatch):
    import contextlib

    @contextlib.contextmanager
    def opened(folder):
        def read(data):
            if data != b"seed":
                raise mistake

        yield [b"seed"], read

    monkeypatch.setitem(campaign.TARGETS, "broken", Target(opened))
    outcome = run("broken", seed=1, cases=10, seconds=10)
    assert outcome.cases == 10
    (failure,) = outcome.failures
    assert failure.message.startswith(message)
    assert failure.case == 2 and failure.data != b"seed"
