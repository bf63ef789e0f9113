"""The compiled pipeline: its place, its parameters, its tasks."""

from __future__ import annotations

import argparse
import copy
import functools
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from stt_model.base import BootstrapError, holds_credentials, name_hint, redact
from stt_model.cli import boolean, reader
from stt_model.jobs import all_parameters, check_for_nodes

PACKAGE = Path(__file__).with_name("bootstrap.yaml")

CLUSTER_ONLY = (
    "data_cpu",
    "data_memory",
    "export_cpu",
    "export_memory",
    "training_cpu",
    "training_memory",
    "evaluation_cpu",
    "evaluation_memory",
    "gpu_type",
    "gpu_count",
    "node_selector",
    "tolerations",
)
"""Parameters without effect in a run on this machine."""

# The C versions take 10 ms instead of 100 ms, for every `--help`.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

_TYPES: dict[str, type] = {
    "STRING": str,
    "NUMBER_INTEGER": int,
    "NUMBER_DOUBLE": float,
    "BOOLEAN": bool,
    "STRUCT": dict,
    "LIST": list,
}
Value = str | int | float | bool | dict[str, Any] | list[Any]


class PackageError(BootstrapError):
    """A file that is not a compiled pipeline."""


class ParameterError(BootstrapError):
    """A parameter that is unknown, missing or invalid."""


@dataclass(frozen=True)
class Parameter:
    """A parameter of the pipeline; ``default`` is None if a value is required."""

    name: str
    type: type
    default: Value | None
    description: str


def package_parameters(package: Path = PACKAGE) -> dict[str, Parameter]:
    """Return the parameters of the compiled pipeline by name, the required ones first."""
    definitions = read_pipeline(package)["root"]["inputDefinitions"]
    parameters = []
    for name, spec in definitions["parameters"].items():
        kind = _TYPES[spec["parameterType"]]
        # The package holds every number as a float.
        default = kind(spec["defaultValue"]) if "defaultValue" in spec else None
        parameters.append(Parameter(name, kind, default, spec.get("description", "")))
    return {p.name: p for p in sorted(parameters, key=lambda p: p.default is not None)}


def named_package(parser: argparse.ArgumentParser) -> Path:
    """Return the package whose parameters become flags: ``--package``'s, if it can be read."""
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    finder.add_argument("--package", type=Path, default=PACKAGE)
    try:
        package: Path = finder.parse_known_args(list(getattr(parser, "given", ())))[0].package
        read_pipeline(package)
    except (argparse.ArgumentError, PackageError):
        # The command itself reports the error.
        return PACKAGE
    return package


def local_pipeline(package: Path = PACKAGE) -> str:
    """Return the pipeline as YAML for ``kfp.local``.

    Without retries, since a step that fails on this machine would fail again. Conditions are
    rewritten to name the outputs of tasks, which kfp.local does not find through the DAG's inputs.
    """
    pipeline = copy.deepcopy(read_pipeline(package))
    for component in (pipeline["root"], *pipeline["components"].values()):
        for task in component.get("dag", {}).get("tasks", {}).values():
            task.pop("retryPolicy", None)
            if condition := task.get("triggerPolicy", {}).get("condition"):
                task["triggerPolicy"]["condition"] = _resolvable(condition, task["inputs"])
    return yaml.dump(pipeline, Dumper=_DUMPER)


def _resolvable(condition: str, inputs: Mapping[str, Any]) -> str:
    for name, source in inputs["parameters"].items():
        if output := source.get("taskOutputParameter"):
            # kfp.local reads a name with a second double hyphen as TASK--OUTPUT.
            found = f"pipelinechannel--{output['producerTask']}--{output['outputParameterKey']}"
            condition = condition.replace(f"['{name}']", f"['{found}']")
    return condition


def read_pipeline(package: Path) -> dict[str, Any]:
    """Return a compiled pipeline, without what its tasks get on a cluster; do not change it.

    Raises PackageError for a file that is no compiled pipeline.
    """
    expected = "a pipeline as `stt-bootstrap compile` writes it"
    try:
        pipeline = _parse_pipeline(package.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = error.strerror if isinstance(error, OSError) else "something else than YAML"
        raise PackageError(f"{package}: expected {expected}, found: {reason}") from error
    if not isinstance(pipeline, dict) or not {"pipelineInfo", "root"} <= set(pipeline):
        raise PackageError(f"{package}: expected {expected}, found other YAML")
    return pipeline


@functools.lru_cache(maxsize=1)
def _parse_pipeline(text: str) -> Any:
    # The second document has what the tasks get on a cluster.
    return next(yaml.load_all(text, Loader=_LOADER), None)


def package_name(package: Path = PACKAGE) -> str:
    """Return the name that the pipeline was given."""
    return str(read_pipeline(package)["pipelineInfo"]["name"])


def package_images(package: Path = PACKAGE) -> list[str]:
    """Return the images that its tasks run in, each once."""
    executors = read_pipeline(package)["deploymentSpec"]["executors"].values()
    return sorted({executor["container"]["image"] for executor in executors})


def package_tasks(package: Path = PACKAGE) -> dict[str, str]:
    """Return the titles of the tasks that have a container, by their names in the package."""
    pipeline = read_pipeline(package)
    components = pipeline["components"]
    return {
        name: task["taskInfo"]["name"]
        for component in (pipeline["root"], *components.values())
        for name, task in component.get("dag", {}).get("tasks", {}).items()
        if "executorLabel" in components[task["componentRef"]["name"]]
    }


def package_nodes(package: Path = PACKAGE) -> int:
    """Return the number of nodes that training uses; 1 without Kubeflow Trainer."""
    pipeline = read_pipeline(package)
    for component in (pipeline["root"], *pipeline["components"].values()):
        for task in component.get("dag", {}).get("tasks", {}).values():
            if task["componentRef"]["name"].startswith("comp-distributed-training"):
                return int(task["inputs"]["parameters"]["nodes"]["runtimeValue"]["constant"])
    return 1


def check_parameters(values: Mapping[str, object], package: Path = PACKAGE) -> dict[str, Value]:
    """Return ``values`` with the types of the compiled pipeline; an int may be given for a float.

    Raises:
        ParameterError: unknown names; values that are missing, of another type, or out of range.
    """
    known = package_parameters(package)
    problems = [
        f"unknown parameter {name!r} ({name_hint(name, known)})"
        for name in values
        if name not in known
    ]
    problems += [
        f"parameter {name!r} needs a value"
        for name, parameter in known.items()
        if parameter.default is None and values.get(name) in (None, "")
    ]
    problems += [
        f"parameter {name!r} contains credentials, which every run shows and keeps; copy "
        f"{redact(value)} into a store and give its s3:// URI, or fetch it and give its path"
        for name, value in values.items()
        if isinstance(value, str) and holds_credentials(value)
    ]
    checked: dict[str, Value] = {}
    for name, value in values.items():
        if name in known and value is not None:
            try:
                checked[name] = _check_value(known[name], value)
            except ParameterError as error:
                problems.append(str(error))
    try:
        _check_for_nodes(checked, package)
    except BootstrapError as error:
        problems.append(str(error))
    if problems:
        raise ParameterError("; ".join(problems))
    return checked


def _check_for_nodes(values: Mapping[str, Value], package: Path) -> None:
    """Refuse what the first step of the run would refuse. Raises BootstrapError."""
    settings = values.get("settings", {})
    given = {**(settings if isinstance(settings, dict) else {}), **values}
    check_for_nodes(
        package_nodes(package),
        run_state_uri=str(given.get("run_state_uri", "")),
        unlabelled_uri=str(given.get("unlabelled_uri", "")),
        forecast=given.get("forecast", False) is True,
    )


def _check_value(parameter: Parameter, value: object) -> Value:
    """Return the value with the parameter's type, checked against its range."""
    name, wanted = parameter.name, parameter.type
    if wanted is float and type(value) is int:
        value = float(value)
    declared = all_parameters().get(name)
    if declared and declared.is_auto and wanted is str and type(value) in (int, float):
        value = str(value)
    if not isinstance(value, (str, int, float, dict, list)) or type(value) is not wanted:
        found = f"{value!r} ({type(value).__name__})"
        hint = f"; write '{value}' in quotes" if wanted is str else ""
        raise ParameterError(f"parameter {name!r} must be {wanted.__name__}, found {found}{hint}")
    if wanted not in (dict, list):
        try:
            value_reader(parameter)(str(value))
        except argparse.ArgumentTypeError as error:
            raise ParameterError(f"parameter {name!r}: {error}") from error
    return value


def _quantity(text: str) -> str:
    # Kubeflow checks it only when the task starts.
    if not re.fullmatch(r"\d+(\.\d+)?([mkMGTPE]|[KMGTPE]i)?", text):
        raise argparse.ArgumentTypeError(f"expected a quantity such as 4 or 16Gi, found {text!r}")
    return text


_QUANTITIES = re.compile("[a-z_]+_(cpu|memory)|gpu_count")


def value_reader(parameter: Parameter) -> Callable[[str], Value]:
    """Return a function that reads a flag's text as a value of the parameter, or refuses it."""
    if parameter.type in (dict, list):
        return functools.partial(_read_json, parameter.type)
    if _QUANTITIES.fullmatch(parameter.name):
        return _quantity
    declared = all_parameters().get(parameter.name)
    if declared is None:
        return boolean if parameter.type is bool else parameter.type

    def read(text: str) -> Value:
        value = reader(declared)(text)
        # A parameter that may be "auto" is a text in the pipeline, whatever its type in the job.
        return text if parameter.type is str else value

    return read


def _read_json(kind: type, text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, kind):
        expected = "a JSON object" if kind is dict else "a JSON list"
        raise argparse.ArgumentTypeError(f"expected {expected}, found {text!r}")
    return value
