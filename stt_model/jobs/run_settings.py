"""The settings of a run in one object: what people seldom change, checked like flags."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from stt_model.base import BootstrapError
from stt_model.jobs.data import SourceDigests, digest_sources
from stt_model.jobs.settings import all_parameters, check_settings
from stt_model.storage import local_file


@dataclass(frozen=True)
class RunSettings:
    """What a run does where nothing else is asked for; named as the flags are."""

    augment: str = "auto"
    beam_width: int = 0
    best_by: str = "loss"
    bytes_output_mode: bool = False
    checkpoint_alphabet_uri: str = ""
    checkpoint_sha256: str = ""
    clip_norm: float = 0.0
    dev_batch_size: int = 16
    drop_source_layers: int = 1
    drop_suspects_uri: str = ""
    dropout_rate: str = "auto"
    early_stop: bool = False
    es_epochs: int = 25
    es_min_delta: float = 0.05
    export_author_id: str = ""
    export_contact_info: str = ""
    export_description: str = ""
    export_language: str = ""
    export_license: str = ""
    export_model_name: str = ""
    export_model_version: str = ""
    export_quantize: bool = True
    export_savedmodel: bool = False
    freeze_source_epochs: str = "auto"
    keep_source_labels: bool = False
    learning_rate: str = "auto"
    list_suspects: bool = False
    lm_alpha: str = "auto"
    lm_beta: str = "auto"
    max_wer: float = 0.0
    mixed_precision: str = "off"
    must_beat_source: bool = False
    normalise: str = ""
    plateau_epochs: int = 10
    plateau_reduction: float = 0.1
    random_seed: int = 4568
    reduce_lr_on_plateau: bool = False
    release_any: bool = False
    strict_validation: bool = False
    test_batch_size: int = 16
    train_batch_size: str = "auto"
    warm_start: bool = True


def read_run_settings(settings: Mapping[str, Any], settings_uri: str = "") -> RunSettings:
    """Return the settings of a run: those of the file, those given here over them, defaults.

    Args:
        settings: values by the names of the flags.
        settings_uri: JSON or YAML file with more of them: a path, ``file://``, ``s3://`` or
            ``http(s)://`` URI; empty for none.

    Raises:
        BootstrapError: one line for every name that is not known and every value out of range.
    """
    values = {**(_read_file(settings_uri) if settings_uri else {}), **settings}
    known = {field.name: field for field in dataclasses.fields(RunSettings)}
    problems, taken = [], {}
    for name, value in values.items():
        if name not in known:
            problems.append(_unknown(name, known))
            continue
        try:
            taken[name] = _typed(name, value, type(known[name].default))
        except ValueError as error:
            problems.append(f"{name}: {error}")
    try:
        check_settings(taken)
    except BootstrapError as error:
        problems.append(str(error))
    if problems:
        raise BootstrapError(f"settings: {'; '.join(problems)}")
    return RunSettings(**taken)


def _typed(name: str, value: Any, wanted: type) -> Any:
    """Return a value as the pipeline takes it; a text is read as a flag is."""
    declared = all_parameters().get(name)
    if isinstance(value, str) and declared is not None and wanted is not str:
        return declared.read(value)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if wanted is float and is_number:
        return float(value)
    if wanted is int and is_number and float(value).is_integer():
        # Every number in Kubeflow's objects is a float.
        return int(value)
    if wanted is str and is_number and declared is not None and declared.is_auto:
        whole = declared.type is int and float(value).is_integer()
        return str(int(value) if whole else value)
    if type(value) is not wanted:
        kinds = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
        raise ValueError(f"expected {kinds[wanted]}, found {value!r}")
    return value


def _unknown(name: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
    return f"{name}: no such setting ({hint})"


def _read_file(uri: str) -> dict[str, Any]:
    with local_file(uri) as path:
        try:
            # JSON is YAML too.
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (UnicodeDecodeError, yaml.YAMLError) as error:
            what = " ".join(str(error).split())
            raise BootstrapError(f"{uri}: expected JSON or YAML, found: {what}") from error
    if not isinstance(content, dict):
        raise BootstrapError(
            f'{uri}: expected an object such as {{"learning_rate": 0.0001}}, found'
            f" one {type(content).__name__}"
        )
    return content


def begin_run(
    dataset_uri: str,
    *,
    checkpoint_uri: str,
    alphabet_uri: str = "",
    scorer_uri: str = "",
    settings: Mapping[str, Any],
    settings_uri: str = "",
) -> tuple[SourceDigests, RunSettings]:
    """Check the settings of a run, and look which version of its sources there is.

    Takes what ``digest_sources`` and ``read_run_settings`` take, and raises what they raise.
    """
    chosen = read_run_settings(settings, settings_uri)
    digests = digest_sources(
        dataset_uri,
        checkpoint_uri=checkpoint_uri,
        alphabet_uri=alphabet_uri,
        scorer_uri=scorer_uri,
        drop_suspects_uri=chosen.drop_suspects_uri,
        checkpoint_alphabet_uri=chosen.checkpoint_alphabet_uri,
    )
    return digests, chosen
