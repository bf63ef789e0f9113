"""The settings of a run in one object: what people seldom change, checked like flags."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from stt_model.base import BootstrapError
from stt_model.jobs.data import SourceDigests, digest_sources
from stt_model.jobs.settings import all_parameters, check_settings
from stt_model.storage import local_file

_OF_THE_CARD = "export_"

Value = bool | int | float | str


def default_settings(names: Iterable[str]) -> dict[str, Value]:
    """Return the defaults of parameters as a run has them, in the order of ``names``.

    A text of the model card is empty there: the card then keeps its own words.
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
    """Return the settings of a run: those given here, over those of the file, over the defaults.

    Args:
        settings: values by the names of the flags.
        settings_uri: JSON or YAML file with more of them: a path, ``file://``, ``s3://`` or
            ``http(s)://`` URI; empty for none.
        names: of all settings that there are, in the order in which they are returned.

    Raises:
        BootstrapError: one line for every name that is not known and every value out of range.
    """
    values = {**(_read_file(settings_uri) if settings_uri else {}), **settings}
    chosen = default_settings(names)
    problems, taken = [], {}
    for name, value in values.items():
        if name not in chosen:
            problems.append(_unknown(name, chosen))
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
    run_state_uri: str = "",
    export_uri: str = "",
    nodes: int = 1,
    names: Iterable[str],
) -> tuple[SourceDigests, dict[str, Value]]:
    """Check the settings of a run, and look which version of its sources there is.

    Takes what ``digest_sources`` and ``read_run_settings`` take, and raises what they raise;
    BootstrapError too where nothing is given, which a form takes for a text.
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
