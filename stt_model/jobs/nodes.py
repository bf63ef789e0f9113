"""A training on several machines that share only an object store.

The client offers the training: it puts inputs and settings into a folder beside the state of the
run. All machines read the offer, the first one saves the run and its report, and the client
collects both.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stt_model import __version__
from stt_model.base import TrainingError, build, parse_json, redact
from stt_model.corpus import Utterance, find_splits, iter_manifest
from stt_model.jobs.checkpoints import read_model_alphabet
from stt_model.jobs.reports import write_report
from stt_model.jobs.training import prepare_training, train
from stt_model.network import join_workers
from stt_model.storage import (
    Store,
    digest_directory,
    is_stored,
    put,
    sha256_file,
    store_of,
    upload_text,
)
from stt_model.training import bring_run, find_run

log = logging.getLogger(__name__)

_DATASET, _CHECKPOINT, _ALPHABET, _SETTINGS = "dataset", "checkpoint", "alphabet", "offer.json"
_REPORT, _FIGURES = "result/report.md", "result/figures.json"


@dataclass(frozen=True)
class Offer:
    """A training that machines can join."""

    uri: str
    """Folder in the object store that holds it."""
    run_uri: str
    """Folder for the state of the run."""

    @property
    def digest(self) -> str:
        """Digest of all inputs and settings, 16 hexadecimal digits."""
        return self.uri.rpartition("/")[2]


def offer_training(
    run_uri: str,
    *,
    dataset: str | Path,
    checkpoint: str | Path,
    model_alphabet: str | Path,
    save_checkpoint_dir: str | Path,
    settings: Mapping[str, Any],
) -> Offer:
    """Offer a training to other machines.

    Args:
        run_uri: ``s3://`` URI of the folder for this run alone.
        dataset: folder with train.csv and dev.csv, whose clips every machine can read.
        checkpoint: checkpoint folder to start from.
        model_alphabet: alphabet file, as ``analyse_alphabet`` writes it.
        save_checkpoint_dir: folder into which ``collect_training`` puts the result.
        settings: fields of ``TrainingConfig``.

    Raises:
        BootstrapError: any mistake that can be found before the training.
    """
    if not is_stored(run_uri):
        raise TrainingError(
            f"run_state_uri={redact(run_uri)}: training on several nodes keeps its state in a"
            " folder that all of them can reach; give its s3:// URI"
        )
    splits = find_splits(dataset)
    prepare_training(
        [splits["train"]],
        [splits["dev"]],
        load_checkpoint_dir=checkpoint,
        alphabet=read_model_alphabet(model_alphabet),
        save_checkpoint_dir=save_checkpoint_dir,
        **settings,
    )
    _mind_clips(Path(splits["train"]))
    described = {
        "version": __version__,
        "settings": dict(settings),
        "dataset": digest_directory(Path(dataset)),
        "checkpoint": digest_directory(Path(checkpoint)),
        "alphabet": sha256_file(Path(model_alphabet)),
    }
    text = json.dumps(described, indent=1, sort_keys=True)
    digest = hashlib.sha256(f"{run_uri}\n{text}".encode()).hexdigest()[:16]
    offer = Offer(f"{run_uri.rstrip('/')}/offers/{digest}", run_uri.rstrip("/"))
    store = store_of(offer.uri)
    put(Path(dataset), f"{offer.uri}/{_DATASET}")
    put(Path(checkpoint), f"{offer.uri}/{_CHECKPOINT}")
    put(Path(model_alphabet), f"{offer.uri}/{_ALPHABET}")
    upload_text(store, text, f"{offer.uri}/{_SETTINGS}")
    return offer


def train_offered(offer_uri: str, environ: MutableMapping[str, str] = os.environ) -> None:
    """Take part in an offered training, as one of the machines that the environment names.

    Raises:
        StoppedError: SIGTERM ended it; its state is saved.
        BootstrapError: any other failure that the user can fix.
    """
    join_workers(environ)
    offer = _offer_at(offer_uri)
    store = store_of(offer.uri)
    with tempfile.TemporaryDirectory(prefix="stt-bootstrap-") as folder:
        here = Path(folder)
        for name in (_DATASET, _CHECKPOINT):
            folder_uri = f"{offer.uri}/{name}"
            store.download_objects(store.list(folder_uri), folder_uri, here / name)
        store.download(f"{offer.uri}/{_ALPHABET}", here / _ALPHABET)
        settings = _read_settings(store, offer)
        splits = find_splits(here / _DATASET)
        result = train(
            [splits["train"]],
            [splits["dev"]],
            load_checkpoint_dir=here / _CHECKPOINT,
            alphabet=read_model_alphabet(here / _ALPHABET),
            save_checkpoint_dir=here / "trained",
            run_state_uri=offer.run_uri,
            report=here / "report.md",
            **settings,
        )
        if result.is_chief:
            store.upload(here / "report.md", f"{offer.uri}/{_REPORT}")
            upload_text(store, json.dumps(result.metrics()), f"{offer.uri}/{_FIGURES}")


def collect_training(
    offer: Offer, save_checkpoint_dir: str | Path, report: Path | None = None
) -> dict[str, float]:
    """Fetch the checkpoint and the report of an offered training; return the metrics.

    Raises:
        StorageError: the store fails.
        TrainingError: the training is not finished.
    """
    target = Path(save_checkpoint_dir)
    bring_run(offer.run_uri, target)
    run = find_run(target)
    if not run or not run[1].is_over:
        where = f"in epoch {run[1].epoch}" if run else "nothing is saved"
        raise TrainingError(
            f"{redact(offer.run_uri)}: expected a finished training, found one that is not"
            f" ({where}); start it again with the same arguments to resume it"
        )
    store = store_of(offer.uri)
    write_report(report, _load_text(store, f"{offer.uri}/{_REPORT}"))
    figures = parse_json(_load_text(store, f"{offer.uri}/{_FIGURES}"))
    return {str(name): float(value) for name, value in figures.items()}


def withdraw_offer(offer: Offer) -> None:
    """Remove an offer that was collected; the state of the run stays."""
    store = store_of(offer.uri)
    for stored in list(store.list(offer.uri)):
        store.remove(stored.uri)


@dataclass(frozen=True)
class _Described:
    version: str
    settings: dict[str, Any]


def _read_settings(store: Store, offer: Offer) -> dict[str, Any]:
    text = _load_text(store, f"{offer.uri}/{_SETTINGS}")
    try:
        content = parse_json(text)
        described = build(_Described, {name: content[name] for name in ("version", "settings")})
    except (ValueError, TypeError, KeyError) as error:
        raise TrainingError(
            f"{redact(offer.uri)}/{_SETTINGS}: expected an offered training, found something else;"
            " offer it again"
        ) from error
    if described.version != __version__:
        raise TrainingError(
            f"{redact(offer.uri)}: offered by version {described.version}, and this node runs"
            f" {__version__}; give the training runtime the image of the pipeline's version"
        )
    return described.settings


def _offer_at(uri: str) -> Offer:
    run_uri, between, digest = uri.rstrip("/").rpartition("/offers/")
    if not (is_stored(uri) and between and digest):
        raise TrainingError(f"{redact(uri)}: expected the address of an offer, s3://…/offers/…")
    return Offer(uri.rstrip("/"), run_uri)


def _mind_clips(manifest: Path) -> None:
    row = next(iter_manifest(manifest), None)
    if not isinstance(row, Utterance) or is_stored(row.place):
        return
    # Clips below the manifests' folder are offered with them.
    if Path(row.wav_filename).is_absolute():
        log.warning(
            "%s: its clips are files, such as %s: every node must have them at this path",
            manifest,
            row.place,
        )


def _load_text(store: Store, uri: str) -> str:
    with store.open(uri) as stream:
        return stream.read().decode()
