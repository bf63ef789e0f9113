"""The settings of a run in one object: parameters that people seldom change, checked like flags."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from stt_model.base import BootstrapError, name_hint
from stt_model.jobs.data import SourceDigests, digest_sources
from stt_model.jobs.settings import all_parameters, check_settings
from stt_model.storage import local_file

_OF_THE_CARD = "export_"

Value = bool | int | float | str


def default_settings(names: Iterable[str]) -> dict[str, Value]:
    """Return the defaults of parameters in a run, in the order of ``names``.

    Texts of the model card are empty there, so that the card keeps its own defaults.
    """
    found: dict[str, Value] = {}
    for name in names:
        declared = all_parameters()[name]
        of_the_card = name.startswith(_OF_THE_CARD) and declared.type is str
        found[name] = "" if of_the_card else declared.written_default
    return found


def read_run_settings(
    settings: Mapping[str, Any], settings_uri: str = "", *, names: Iterable[str]
) -> dict[str, Value]:
    """Return the settings of a run: the given ones, else those of the file, else the defaults.

    Args:
        settings: values by the names of the parameters.
        settings_uri: JSON or YAML file with more settings: a path, ``file://``, ``s3://`` or
            ``http(s)://`` URI; empty for none.
        names: of all settings, in the order in which they are returned.

    Raises:
        BootstrapError: one line about all unknown names and all values out of range.
    """
    values = {**(_read_file(settings_uri) if settings_uri else {}), **settings}
    chosen = default_settings(names)
    problems, taken = [], {}
    for name, value in values.items():
        if name not in chosen:
            problems.append(f"{name}: no such setting ({name_hint(name, chosen)})")
            continue
        try:
            taken[name] = _typed(name, value, type(chosen[name]))
        except ValueError as error:
            problems.append(f"{name}: {error}")
    try:
        check_settings(taken)
    except BootstrapError as error:
        problems.append(str(error))
    if problems:
        raise BootstrapError(f"settings: {'; '.join(problems)}")
    return chosen | taken


def _typed(name: str, value: Any, wanted: type) -> Any:
    """Return a value with the pipeline's type; texts are read like those of flags."""
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


def _read_file(uri: str) -> dict[str, Any]:
    with local_file(uri) as path:
        return read_settings_file(path, uri)


def read_settings_file(path: Path, name: str = "") -> dict[str, Any]:
    """Return the values of a JSON or YAML file by their names; they are not checked yet.

    Raises:
        BootstrapError: the file, called ``name`` if given, cannot be read, or holds something else.
    """
    name = name or str(path)
    try:
        # JSON is YAML too.
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=_NumberLoader)
    except OSError as error:
        raise BootstrapError(f"{name}: {error.strerror}; check the path") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        what = " ".join(str(error).split())
        raise BootstrapError(f"{name}: expected YAML or JSON, found: {what}") from error
    if not isinstance(values, dict):
        found = "nothing" if values is None else f"a {type(values).__name__}"
        raise BootstrapError(f"{name}: expected lines such as `epochs: 20`, found {found}")
    return {str(key): value for key, value in values.items()}


class _NumberLoader(yaml.SafeLoader):
    """Reads 1e-4 as a number, as in YAML 1.2."""


_NumberLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+"), list("-+0123456789")
)


def begin_run(
    dataset_uri: str,
    *,
    checkpoint_uri: str,
    alphabet_uri: str = "",
    scorer_uri: str = "",
    settings: Mapping[str, Any],
    settings_uri: str = "",
    run_state_uri: str = "",
    export_uri: str = "",
    nodes: int = 1,
    names: Iterable[str],
) -> tuple[SourceDigests, dict[str, Value]]:
    """Check the settings of a run, and detect the versions of its sources.

    Arguments and errors are those of ``digest_sources`` and ``read_run_settings``; BootstrapError
    too for an empty required URI, which a form accepts.
    """
    for name, uri in (("dataset_uri", dataset_uri), ("checkpoint_uri", checkpoint_uri)):
        if not uri.strip():
            raise BootstrapError(
                f"{name}: expected a URI such as s3://BUCKET/FOLDER, found nothing; fill it in"
            )
    chosen = read_run_settings(settings, settings_uri, names=names)
    digests = digest_sources(
        dataset_uri,
        checkpoint_uri=checkpoint_uri,
        alphabet_uri=alphabet_uri,
        scorer_uri=scorer_uri,
        drop_suspects_uri=str(chosen["drop_suspects_uri"]),
        checkpoint_alphabet_uri=str(chosen["checkpoint_alphabet_uri"]),
        unlabelled_uri=str(chosen["unlabelled_uri"]),
        run_state_uri=run_state_uri,
        export_uri=export_uri,
        forecast=bool(chosen["forecast"]),
        nodes=nodes,
    )
    return digests, chosen
