"""A forecast of tones: each size is trained once, whatever happens in between."""

import json

import pytest

from stt_model.base import BootstrapError
from stt_model.jobs import forecasting, trials
from stt_model.jobs.forecasting import forecast, plan
from stt_model.jobs.trials import run_trial
from tests.corpora import write_tone_dataset
from tests.stt_model.training_runs import write_source

SETTINGS = {
    "epochs": 1,
    "train_batch_size": 8,
    "learning_rate": 0.01,
    "dropout_rate": 0.0,
    "augment": "none",
    "show_progressbar": False,
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_tone_dataset(tmp_path_factory.mktemp("tones"), train=24, other=4)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_source(tmp_path_factory.mktemp("source"))


def splits(corpus):
    return [[corpus / f"{split}.csv"] for split in ("train", "dev", "test")]


def test_smaller_sizes_are_drawn_twice_and_all_of_it_is_the_last():
    assert plan(800) == [(100, 0), (100, 1), (200, 0), (200, 1), (400, 0), (800, 0)]
    assert plan(20) == [(20, 0)]


def test_finished_trainings_are_not_repeated(corpus, source, tmp_path, monkeypatch):
    sizes = []
    train = trials.prepare_training

    def broken(train_files, *arguments, **settings):
        prepared = train(train_files, *arguments, **settings)

        class Counted:
            config, test_files, scratch = prepared.config, prepared.test_files, prepared.scratch
            origin = prepared.origin

            def run(self):
                if len(sizes) == 3:
                    raise BootstrapError("the machine went down")
                result = prepared.run()
                sizes.append(result.train_utterances)
                return result

        return Counted()

    monkeypatch.setattr(trials, "prepare_training", broken)
    settings = {**SETTINGS, "load_checkpoint_dir": source}
    with pytest.raises(BootstrapError, match="went down"):
        forecast(*splits(corpus), tmp_path / "out", **settings)
    assert sizes == [3, 3, 6]
    sizes.clear()
    sizes.append(0)  # Three more may come.
    monkeypatch.setattr(trials, "prepare_training", train)
    ran = []
    monkeypatch.setattr(
        trials,
        "test_model",
        lambda *given, tested=trials.test_model: ran.append(given) or tested(*given),
    )
    found = forecast(*splits(corpus), tmp_path / "out", report=tmp_path / "r.md", **settings)
    assert len(ran) == 3
    assert [point.utterances for point in found.points] == [3, 3, 6, 6, 12, 24]
    assert json.loads((tmp_path / "out" / "forecast.json").read_text())["points"]
    assert (tmp_path / "r.md").read_text().startswith("# Forecast")
    assert not list((tmp_path / "out").rglob("*.index")), "models of parts are of no further use"
    ran.clear()
    forecast(*splits(corpus), tmp_path / "out", **{**settings, "learning_rate": 0.02})
    assert len(ran) == 6, "other settings make other trials"


def test_a_model_of_all_the_speech_takes_the_place_of_the_last_training(
    corpus, source, tmp_path, monkeypatch
):
    trained = []
    monkeypatch.setattr(
        forecasting,
        "run_trial",
        lambda folder, files, *given, **settings: (
            trained.append(files) or run_trial(folder, files, *given, **settings)
        ),
    )
    found = forecast(
        *splits(corpus), tmp_path / "out", model=source, load_checkpoint_dir=source, **SETTINGS
    )
    assert len(trained) == 5
    assert found.now.utterances == 24
    assert found.now.hours > max(point.hours for point in found.points[:-1])


def test_a_damaged_trial_is_refused_in_one_line(corpus, source, tmp_path):
    settings = {**SETTINGS, "load_checkpoint_dir": source}
    run_trial(tmp_path, *splits(corpus), **settings)
    (tmp_path / "trial.json").write_text("{")
    with pytest.raises(
        BootstrapError, match=r"trial\.json: expected the result of an earlier trial"
    ):
        run_trial(tmp_path, *splits(corpus), **settings)
