"""Plan a sweep: validate every dataset and fetch every source once, list the trainings."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stt_model.base import DataError, atomic_write, build, cell, configure, read_json
from stt_model.checkpoint import Checkpoint, digest_manifests, open_checkpoint
from stt_model.corpus import find_splits
from stt_model.jobs.checkpoints import analyse_alphabet, fetch, read_model_alphabet
from stt_model.jobs.data import validate
from stt_model.jobs.reports import write_report
from stt_model.jobs.settings import SweepSettings
from stt_model.jobs.trials import config_value
from stt_model.training import TrainingConfig, fit

log = logging.getLogger(__name__)

PLAN = "plan.json"
_DEEPEST = 5


@dataclass(frozen=True)
class Member:
    """One training of a sweep: a source, a corpus and all settings."""

    key: str
    """Digest of everything that determines the result."""
    corpus: str
    source: str
    drop_source_layers: int
    """0 fine-tunes."""
    learning_rate: float
    rate_given: bool
    """Whether the rate was given, and not chosen by the rule."""
    settings: dict[str, Any]
    """All settings of the training, none of them auto."""

    @property
    def name(self) -> str:
        """For people."""
        depth = self.drop_source_layers
        way = f"{depth} new layer{'s' * (depth > 1)}" if depth else "fine-tuned"
        chosen = "" if self.rate_given else ", chosen"
        return f"{self.source}, {way}, rate {self.learning_rate:g}{chosen}"


@dataclass(frozen=True)
class SweepPlan:
    """What to train, and what was left out."""

    members: list[Member]
    left_out: list[str]
    """The reasons, one line each."""


def read_depths(text: str) -> list[int]:
    """Return the numbers of layers to replace from a text such as ``0,2`` or ``1..5``.

    Raises:
        DataError: another text, or a number that is not from 0 to 5.
    """
    found: list[int] = []
    for part in filter(None, re.split(r"[,\s]+", text)):
        first, dots, last = part.partition("..")
        if not (first.isdecimal() and (last if dots else "0").isdecimal()):
            raise _wrong_depths(text)
        found += range(int(first), int(last if dots else first) + 1)
    if not found or max(found) > _DEEPEST:
        raise _wrong_depths(text)
    return list(dict.fromkeys(found))


def _wrong_depths(text: str) -> DataError:
    return DataError(
        "--drop_source_layers: expected numbers from 0 (fine-tune) to 5, such as 1..5 or 0,1,2,"
        f" found {text!r}"
    )


def read_rates(text: str) -> list[float | None]:
    """Return the learning rates from a text such as ``auto,0.001``; None stands for auto."""
    found: list[float | None] = []
    for part in filter(None, re.split(r"[,\s]+", text)):
        try:
            rate = None if part == "auto" else float(part)
        except ValueError:
            rate = 0.0
        if rate is not None and not 0 < rate < math.inf:
            raise DataError(
                f"--learning_rate: expected auto and numbers above 0, such as auto,0.001, found"
                f" {part!r}"
            )
        found.append(rate)
    return list(dict.fromkeys(found)) or [None]


def read_rungs(text: str) -> list[int]:
    """Return the epochs after which only the best-ranked members continue, such as ``4,12``."""
    parts = [part for part in re.split(r"[,\s]+", text) if part]
    rungs = [int(part) for part in parts if part.isdecimal()]
    if len(rungs) != len(parts) or rungs != sorted(set(rungs)) or 0 in rungs:
        raise DataError(f"--rungs: expected rising numbers of epochs, such as 4,12, found {text!r}")
    return rungs


def prepare_sweep(
    dataset_uris: Sequence[str],
    checkpoint_uris: Sequence[str],
    folder: Path,
    *,
    drop_depths: str = SweepSettings.drop_depths,
    learning_rates: str = SweepSettings.learning_rates,
    normalise: str = "",
    strict: bool = False,
    report: Path | None = None,
    **settings: Any,
) -> SweepPlan:
    """Validate each dataset and fetch each source once, and plan the trainings.

    ``folder`` gets ``corpora``, ``sources``, ``alphabets`` and ``plan.json``; those of
    an earlier call are replaced, by the same content.

    Args:
        dataset_uris: folders with train.csv, dev.csv and test.csv.
        checkpoint_uris: checkpoints, archives of them, or deployed models.
        folder: of the sweep.
        drop_depths: depths such as ``0,1`` or ``1..5``; 0 fine-tunes.
        learning_rates: rates such as ``auto,0.001``.
        normalise: see ``validate``.
        strict: see ``validate``.
        report: where the report is written.
        settings: fields of ``TrainingConfig``, applied to every member.

    Raises:
        BootstrapError: a dataset or a source cannot be used, or there is nothing to train.
    """
    depths, rates = read_depths(drop_depths), read_rates(learning_rates)
    corpora = dict(zip(_names(dataset_uris), dataset_uris, strict=True))
    sources = dict(zip(_names(checkpoint_uris), checkpoint_uris, strict=True))
    for kind in ("corpora", "sources", "alphabets"):
        shutil.rmtree(folder / kind, ignore_errors=True)
        (folder / kind).mkdir(parents=True)
    for name, uri in corpora.items():
        validate(uri, folder / "corpora" / name, strict=strict, normalise=normalise)
        missing = {"train", "dev"} - set(find_splits(str(folder / "corpora" / name)))
        if missing:
            raise DataError(
                f"{uri}: a sweep needs a train and a dev split, found no {missing.pop()}"
            )
    for name, uri in sources.items():
        fetch(uri, folder / "sources" / name)
    # Weights and manifests are read once, however many members they have.
    starts = {name: _Start.open(folder / "sources" / name) for name in sources}
    data = {name: _Data.read(folder / "corpora" / name) for name in corpora}
    members, left_out = [], []
    for corpus in corpora:
        for source in sources:
            for depth in depths:
                reason = _decide(folder, corpus, source, depth)
                if reason:
                    left_out.append(f"{corpus}, {source}, depth {depth}: {reason}")
                    continue
                alphabet = alphabet_of(folder, corpus, source, depth)
                members += [
                    _member(data[corpus], starts[source], alphabet, depth, rate, settings)
                    for rate in rates
                ]
    for line in left_out:
        log.warning("left out: %s", line)
    if not members:
        raise DataError(f"there is nothing to train: {'; '.join(left_out)}")
    plan = SweepPlan(members, left_out)
    with atomic_write(folder / PLAN) as beside:
        beside.write_text(json.dumps(asdict(plan), indent=1) + "\n", encoding="utf-8")
    write_report(report, _describe(plan))
    return plan


def _names(uris: Sequence[str]) -> list[str]:
    """Return a short name for each, valid for a folder and unique."""
    if not uris:
        raise DataError("expected at least one dataset and one checkpoint, found none")
    names: list[str] = []
    for uri in uris:
        base = re.sub(r"[^\w.-]+", "-", uri.rstrip("/").rpartition("/")[2]).strip(".-") or "it"
        name, number = base, 1
        while name in names:
            number += 1
            name = f"{base}-{number}"
        names.append(name)
    return names


def _decide(folder: Path, corpus: str, source: str, depth: int) -> str:
    """Write the alphabet to train with; return why that is impossible, or ""."""
    mode = "transfer" if depth else "fine-tune"
    alphabet = alphabet_of(folder, corpus, source, depth)
    if depth > 1 and alphabet.exists():
        return ""
    decision = analyse_alphabet(
        folder / "corpora" / corpus,
        folder / "sources" / source,
        alphabet,
        alphabet.with_suffix(".md"),
        mode=mode,
    )
    if decision.mode != "refuse":
        return ""
    alphabet.unlink()
    return decision.reason


def alphabet_of(folder: Path, corpus: str, source: str, depth: int) -> Path:
    """Return the path of an alphabet to train with, below the folder of a prepared sweep."""
    mode = "transfer" if depth else "fine-tune"
    return folder / "alphabets" / f"{corpus}--{source}--{mode}.txt"


@dataclass(frozen=True)
class _Start:
    """A source, with the digest of its weights."""

    name: str
    checkpoint: Checkpoint
    digest: str

    @classmethod
    def open(cls, folder: Path) -> _Start:
        checkpoint = open_checkpoint(folder)
        return cls(folder.name, checkpoint, checkpoint.digest())


@dataclass(frozen=True)
class _Data:
    """A dataset, with the digests of its manifests."""

    name: str
    splits: Mapping[str, Path]
    digests: list[str]

    @classmethod
    def read(cls, folder: Path) -> _Data:
        splits = find_splits(str(folder))
        return cls(
            folder.name, splits, [digest_manifests([path]) for _, path in sorted(splits.items())]
        )


def _member(
    data: _Data,
    start: _Start,
    alphabet: Path,
    depth: int,
    rate: float | None,
    settings: Mapping[str, Any],
) -> Member:
    asked = configure(
        TrainingConfig,
        train_files=[data.splits["train"]],
        dev_files=[data.splits["dev"]],
        load_checkpoint_dir=start.checkpoint.directory,
        save_checkpoint_dir=start.checkpoint.directory,
        **{**settings, "learning_rate": rate},
    )
    asked.check()
    # Chosen once, for all rungs.
    fitted = fit(asked, start.checkpoint, {"dropped_layers": ["new"] * depth})
    values = {name: config_value(value) for name, value in fitted.settings().items()}
    values |= {"epochs": fitted.epochs, "augment": fitted.augment or "none"}
    decided = {
        "settings": values,
        "data": data.digests,
        "source": start.digest,
        "alphabet": read_model_alphabet(alphabet).digest,
        "depth": depth,
    }
    digest = hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest()
    return Member(
        digest[:16], data.name, start.name, depth, fitted.learning_rate, rate is not None, values
    )


def _describe(plan: SweepPlan) -> str:
    rows = ["# Sweep", "", "| corpus | training |", "| --- | --- |"]
    rows += [f"| {cell(each.corpus)} | {cell(each.name)} |" for each in plan.members]
    rows += ["", *(f"Left out: {cell(each)}.  " for each in plan.left_out)]
    return "\n".join(rows) + "\n"


def read_plan(folder: Path) -> SweepPlan:
    """Return the plan that ``prepare_sweep`` wrote.

    Raises:
        DataError: there is none, or it is damaged.
    """
    try:
        return build(SweepPlan, read_json(folder / PLAN))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{folder / PLAN}: expected the plan of a sweep, found no such file ({error})"
        ) from error
