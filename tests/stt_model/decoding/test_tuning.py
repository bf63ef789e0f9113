import dataclasses
import math
from pathlib import Path

import pytest

from stt_model.base.errors import DataError, ScorerError
from stt_model.decoding.scorer import read_scorer
from stt_model.decoding.tuning import tune
from stt_model.decoding.tuning_config import TuningConfig
from tests.command_line import call
from tests.stt_model.scorers import ENGLISH, GOLDEN, needs_flashlight, write_words_package

pytestmark = needs_flashlight
MANIFEST = GOLDEN / "audio" / "latin_16k.csv"
CHECKPOINT = Path(__file__).parents[3] / "demo" / "source_checkpoint"


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scorer")
    # Far too much weight: nearly nothing comes out.
    return write_words_package(folder / "words.scorer", lm_alpha=4.5, lm_beta=0.0)


@pytest.fixture
def config(package):
    return TuningConfig(
        test_files=[MANIFEST],
        load_checkpoint_dir=CHECKPOINT,
        scorer_path=package,
        beam_width=20,
        n_trials=8,
        show_progressbar=False,
    )


def test_the_best_weights_are_no_worse_than_the_scorers_own(config):
    result = tune(config)
    assert result.measure == "wer"
    assert 0 < result.rate < result.rate_before
    assert 0 <= result.lm_alpha <= config.lm_alpha_max
    assert 0 <= result.lm_beta <= config.lm_beta_max
    assert tune(config) == result


def test_one_trial_is_that_of_the_scorers_own_weights(config):
    result = tune(dataclasses.replace(config, n_trials=1))
    assert (result.lm_alpha, result.lm_beta) == (4.5, 0.0)
    assert result.rate == result.rate_before


def test_the_scorers_own_weights_are_themselves_also_outside_of_what_is_searched(config):
    """What was called their rate was that of the nearest weights within."""
    beside = dataclasses.replace(config, n_trials=1, lm_alpha_max=0.1)
    within = dataclasses.replace(config, n_trials=1)
    assert tune(beside).rate_before == tune(within).rate_before


@pytest.mark.parametrize(
    "changes",
    [
        {"lm_alpha_max": 0.0},
        {"lm_beta_max": math.inf},
        {"n_trials": 0},
        {"beam_width": -1},
        {"cutoff_prob": 2.0},
    ],
)
def test_numbers_that_cannot_work_are_refused(config, changes):
    with pytest.raises(DataError, match=f"--{next(iter(changes))}: expected"):
        tune(dataclasses.replace(config, **changes))


def test_a_scorer_is_needed(config):
    with pytest.raises(ScorerError, match="expected a"):
        tune(dataclasses.replace(config, scorer_path=MANIFEST))


def test_the_command_prints_flags_and_writes_a_scorer(package, tmp_path):
    made = tmp_path / "better.scorer"
    flags = ("--test_files", MANIFEST, "--checkpoint_dir", CHECKPOINT, "--scorer_path", package)
    few = ("--n_trials", 2, "--beam_width", 20, "--show_progressbar", "false")
    outcome = call("lm_optimize", *flags, *few, "--package", made)
    assert outcome.code == 0
    found = outcome.out.partition(":")[0].split()
    scorer = read_scorer(made, ENGLISH)
    assert found == ["--lm_alpha", str(scorer.lm_alpha), "--lm_beta", str(scorer.lm_beta)]
