"""The readers of scorers and of deployed models."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from concurrent.futures import TimeoutError as TooLongError
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from loky import ProcessPoolExecutor

from stt_model.base import apart
from stt_model.base.errors import ScorerError
from stt_model.checkpoint.formats.registry import open_model
from stt_model.checkpoint.geometry import Geometry
from stt_model.decoding import beam_search
from stt_model.decoding.beam_search import ScorerSearch, SearchSettings, Weights, check_scorer
from stt_model.decoding.scorer import Scorer, read_scorer
from tests.stt_model.scorers import ENGLISH, write_words_package

Read = Callable[[bytes], object]


def _scorers(folder: Path) -> list[bytes]:
    return [write_words_package(folder / "a.scorer").read_bytes()]


class _Apart:
    """One process for many cases, in place of one for each; a new one after each that ends it."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None

    def call(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        memory: int,
        seconds: float,
        failure: Callable[[str], Exception],
    ) -> Any:
        """Do as ``call_apart``."""
        self._pool = self._pool or ProcessPoolExecutor(1)
        try:
            return self._pool.submit(apart._call, function, arguments, memory).result(seconds)
        except (BrokenExecutor, TooLongError) as error:
            self.close()
            raise failure(f"the process has ended ({type(error).__name__})") from error

    def close(self) -> None:
        """End the process."""
        if self._pool:
            self._pool.shutdown(kill_workers=True)
        self._pool = None


@contextlib.contextmanager
def scorer(folder: Path) -> Iterator[tuple[Sequence[bytes], Read]]:
    """A package as every reader of one checks it."""
    path, process = folder / "a.scorer", _Apart()

    def read(data: bytes) -> None:
        path.write_bytes(data)
        check_scorer(read_scorer(path, ENGLISH))

    with patched({(beam_search, "call_apart"): process.call}):
        try:
            yield _scorers(folder), read
        finally:
            process.close()


@contextlib.contextmanager
def decoding(folder: Path) -> Iterator[tuple[Sequence[bytes], Read]]:
    """Decoding with what passed the check, and only with that."""
    path, process = folder / "a.scorer", _Apart()
    logits = np.random.default_rng(0).normal(0, 3, (40, ENGLISH.classes)).astype(np.float32)

    def died(end: str) -> Exception:
        return ScorerError(f"{path}: {end}")

    def read(data: bytes) -> None:
        path.write_bytes(data)
        scorer = read_scorer(path, ENGLISH)
        check_scorer(scorer)
        process.call(_search, scorer, logits, memory=2**33, seconds=20, failure=died)

    with patched({(beam_search, "call_apart"): process.call}):
        try:
            yield _scorers(folder), read
        finally:
            process.close()


def _search(scorer: Scorer, logits: Any) -> str:
    return ScorerSearch(scorer, ENGLISH.classes, SearchSettings(20)).decode(
        logits, Weights(0.9, 1.2)
    )


@contextlib.contextmanager
def patched(values: Mapping[tuple[ModuleType, str], Any]) -> Iterator[None]:
    """Set attributes of modules, and set them back."""
    kept = {(module, name): getattr(module, name) for module, name in values}
    for (module, name), value in values.items():
        setattr(module, name, value)
    try:
        yield
    finally:
        for (module, name), value in kept.items():
            setattr(module, name, value)


@contextlib.contextmanager
def deployed(folder: Path) -> Iterator[tuple[Sequence[bytes], Read]]:
    """Models as ``.tflite``, ``.pb`` and ``.pbmm``; the weights are read too."""
    from tests.stt_model.checkpoint.formats.deployed_models import (
        TocoModel,
        frozen_graph,
        memory_mapped,
    )
    from tests.stt_model.checkpoints import random_weights

    weights = random_weights(Geometry(4, ENGLISH.classes, layer_norm=True))
    graph = frozen_graph(weights, ENGLISH)
    path = folder / "model"

    def read(data: bytes) -> None:
        path.write_bytes(data)
        for _ in open_model(path).weights():
            pass

    yield (
        [
            TocoModel(weights, ENGLISH, quantize=True, steps=3).to_bytes(),
            graph.SerializeToString(),
            memory_mapped(graph, with_lengths=True),
        ],
        read,
    )
