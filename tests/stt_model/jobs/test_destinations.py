"""Where results go is tried before the work: nobody waits a week for a refusal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stt_bootstrap.components.run_settings.component import run_settings
from stt_bootstrap.components.source_digests.component import source_digests
from stt_bootstrap.components.sweep_preparation.component import sweep_preparation
from stt_model import corpus, jobs
from stt_model.base.errors import BootstrapError, StorageError
from stt_model.storage import store_client
from tests.stt_model.faulty_store import FaultyStore

PLACE = "s3://speech/results"


@pytest.fixture(autouse=True)
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyStore]:
    """A store whose credentials may not write."""
    with FaultyStore() as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(store_client, "_RETRIES", 1)
        running.begin("403", at=1, lasting=True)
        yield running


def read_nothing(*_: object, **__: object) -> None:
    pytest.fail("the sources were read first")


@pytest.mark.parametrize("name", ["run_state_uri", "export_uri"])
@pytest.mark.parametrize("step", [source_digests, run_settings])
def test_a_run_ends_in_its_first_step(
    step: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(vars(corpus), "digest_dataset", read_nothing)
    with pytest.raises(StorageError, match=f"^{name}: {PLACE}/.*may not do that"):
        step.python_func(dataset_uri="/nowhere", checkpoint_uri="/nowhere", **{name: PLACE})


def test_a_sweep_ends_before_it_prepares(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stt_model.jobs.sweeping.prepare_sweep", read_nothing)
    with pytest.raises(StorageError, match=f"^sweep_uri: {PLACE}/"):
        sweep_preparation.python_func(
            dataset_uri="/nowhere",
            checkpoint_uris=["/nowhere"],
            prepared=SimpleNamespace(path="/nowhere"),
            sweep_plan=SimpleNamespace(path="/nowhere"),
            sweep_uri=PLACE,
        )


@pytest.mark.parametrize(
    "job",
    [
        lambda source: jobs.import_dataset(source, PLACE),
        lambda source: jobs.align(source, PLACE, checkpoint=source),
    ],
)
def test_a_corpus_is_not_made_for_nothing(job: Callable[[Path], object], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(StorageError, match=f"^target: {PLACE}/"):
        job(tmp_path / "empty")


def test_paths_are_left_to_the_steps_that_have_them(tmp_path: Path) -> None:
    jobs.check_destinations(export_uri=str(tmp_path / "new"), run_state_uri="")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("step", [source_digests, run_settings])
def test_a_run_on_several_nodes_ends_there_if_it_wants_what_one_node_does(
    step: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(vars(corpus), "digest_dataset", read_nothing)
    wanted: dict[str, Any] = {"unlabelled_uri": "s3://speech/new", "forecast": True}
    if step is run_settings:
        wanted = {"settings": wanted}
    sources = {"dataset_uri": "s3://speech/cv", "checkpoint_uri": "s3://speech/source"}
    with pytest.raises(
        BootstrapError, match=r"on 2 nodes: run_state_uri: .* unlabelled_uri: .* forecast: "
    ):
        step.python_func(**sources, nodes=2, **wanted)
