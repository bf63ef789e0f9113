"""One of several trainings that are compared, and its result, which is computed once and kept."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stt_model.base import AUTO, DataError, atomic_write, build, read_json
from stt_model.checkpoint import digest_manifests
from stt_model.jobs.evaluation import evaluate
from stt_model.jobs.training import prepare_training

if TYPE_CHECKING:
    from stt_model.evaluation import EvaluationResult, Rate
    from stt_model.jobs.training import PreparedTraining

TRIAL = "trial"
MODEL = "model"
GREEDY = 1
"""Default beam width of a trial's test: what is compared is models, not decoders."""


@dataclass(frozen=True)
class Counts:
    """Errors and lengths of each tested utterance, in the order of their manifests and names."""

    word_errors: list[int]
    words: list[int]
    character_errors: list[int]
    characters: list[int]

    @property
    def wer(self) -> Rate:
        """Word error rate with its interval."""
        from stt_model.evaluation import measure_rate

        return measure_rate(self.word_errors, self.words)

    @property
    def cer(self) -> Rate:
        """Character error rate with its interval."""
        from stt_model.evaluation import measure_rate

        return measure_rate(self.character_errors, self.characters)


@dataclass(frozen=True)
class Trial:
    """A finished training, and the errors of its best epoch on a test set."""

    identity: str
    """Digest of everything that determines the result: data, source, settings."""
    utterances: int
    """Trained on."""
    hours: float
    """Of speech, trained on."""
    epochs: int
    best_epoch: int
    seconds: float
    """Duration of training and testing, without what came before an interruption."""
    counts: Counts


def count_errors_of(result: EvaluationResult) -> Counts:
    """Return the errors of each utterance in an order that does not depend on the model."""
    samples = sorted(result.samples, key=lambda each: (each.manifest, each.wav_filename, each.src))
    return Counts(
        word_errors=[each.word_distance for each in samples],
        words=[each.word_length for each in samples],
        character_errors=[each.char_distance for each in samples],
        characters=[each.char_length for each in samples],
    )


def run_trial(
    folder: Path,
    train_files: Sequence[str | Path],
    dev_files: Sequence[str | Path],
    test_files: Sequence[str | Path],
    *,
    name: str = TRIAL,
    keep_model: bool = False,
    decoding: dict[str, Any] | None = None,
    **settings: Any,
) -> Trial:
    """Train and test, or return the result of an earlier call if ``folder`` has it.

    An interrupted trial resumes where its training was last saved.

    Args:
        folder: of this trial alone; gets ``NAME.json`` and, while it trains, ``model``.
        train_files: manifests to train on.
        dev_files: manifests that determine the best epoch.
        test_files: manifests that the best epoch is tested on.
        name: of the file. Trials of one training up to different epochs share a folder.
        keep_model: leave the trained checkpoint in the folder.
        decoding: arguments of ``evaluate``; by default the best label of each frame.
        settings: further arguments of ``train``, ``load_checkpoint_dir`` among them.

    Raises:
        BootstrapError: what ``train`` and ``evaluate`` raise.
    """
    decoding = decoding or {}
    model = folder / MODEL
    prepared = prepare_training(
        train_files, dev_files, test_files=test_files, save_checkpoint_dir=model, **settings
    )
    identity = identify(prepared, settings, decoding)
    if (made := read_trial(folder, name)) and made.identity == identity:
        return made
    started = time.monotonic()
    trained = prepared.run()
    counts = test_model(model, test_files, decoding)
    trial = Trial(
        identity=identity,
        utterances=trained.train_utterances,
        hours=trained.train_hours,
        epochs=trained.epochs[-1].number,
        best_epoch=trained.best.number,
        seconds=round(time.monotonic() - started, 1),
        counts=counts,
    )
    with atomic_write(folder / f"{name}.json") as beside:
        beside.write_text(json.dumps(asdict(trial)) + "\n", encoding="utf-8")
    if not keep_model:
        shutil.rmtree(model, ignore_errors=True)
    return trial


def test_model(
    model: Path, test_files: Sequence[str | Path], decoding: dict[str, Any] | None = None
) -> Counts:
    """Return the errors that a model makes, by default with the best label of each frame."""
    settings = {"beam_width": GREEDY, "show_progressbar": False, **(decoding or {})}
    return count_errors_of(evaluate(test_files, model, **settings))


def read_trial(folder: Path, name: str = TRIAL) -> Trial | None:
    """Return the trial that a folder holds, or None.

    Raises:
        DataError: the file is damaged.
    """
    path = folder / f"{name}.json"
    if not path.is_file():
        return None
    try:
        return build(Trial, read_json(path))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(
            f"{path}: expected the result of an earlier trial, found a damaged file ({error});"
            " delete it, and the trial is repeated"
        ) from error


def identify(prepared: PreparedTraining, settings: dict[str, Any], decoding: dict[str, Any]) -> str:
    """Return a digest of everything that determines the result of a training and its test."""
    config = prepared.config
    asked = {name: config_value(value) for name, value in config.settings().items()}
    scorer = decoding.get("scorer_uri")
    content = {
        "settings": asked,
        "epochs": config_value(config.epochs),
        "origin": dict(prepared.origin()),
        "network": str(prepared.scratch),
        "data": [
            digest_manifests(paths)
            for paths in (config.train_files, config.dev_files, list(prepared.test_files))
        ],
        "decoding": {name: str(value) for name, value in sorted(decoding.items())},
        "scorer": str(scorer or ""),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def config_value(value: object) -> object:
    """Return a setting as a JSON value; one that was not given is auto."""
    return AUTO if value is None else value
