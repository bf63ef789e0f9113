"""A short slice of each fuzz target; ``make fuzz`` runs them for longer."""

from __future__ import annotations

import importlib.util
import random

import pytest

from tests.fuzz import campaign
from tests.fuzz.campaign import run
from tests.fuzz.mutations import mutate
from tests.fuzz.targets import NEEDS_FLASHLIGHT, TARGETS, Target


@pytest.mark.parametrize("name", TARGETS)
def test_a_slice_of_each_target(name):
    if name in NEEDS_FLASHLIGHT and importlib.util.find_spec("flashlight") is None:
        pytest.skip("flashlight-text is not installed")
    cases = TARGETS[name].slice
    outcome = run(name, seed=0, cases=cases, seconds=60)
    assert not outcome.failure, (outcome.failure, outcome.data)
    assert outcome.cases == cases


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
def test_a_mistake_ends_a_campaign_and_its_input_is_kept(mistake, message, monkeypatch):
    import contextlib

    @contextlib.contextmanager
    def opened(folder):
        def read(data):
            if data != b"seed":
                raise mistake

        yield [b"seed"], read

    monkeypatch.setitem(campaign.TARGETS, "broken", Target(opened))
    outcome = run("broken", seed=1, cases=10, seconds=10)
    assert outcome.failure.startswith(message)
    assert outcome.cases == 2 and outcome.data != b"seed"
