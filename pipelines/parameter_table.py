"""The parameters of the compiled pipeline as a table for the documentation."""

from __future__ import annotations

import json
from pathlib import Path

from stt_bootstrap.pipelines.package import PACKAGE, Parameter, package_parameters
from stt_model.base import cell


def parameter_table(package: Path = PACKAGE) -> str:
    """Return the parameters of a package as a Markdown table, the required ones first."""
    rows = map(_row, package_parameters(package).values())
    return "\n".join(["| parameter | type | default | |", "| --- | --- | --- | --- |", *rows])


def _row(parameter: Parameter) -> str:
    default = "required" if parameter.default is None else _code(parameter.default)
    kind = parameter.type.__name__
    return f"| `{parameter.name}` | {kind} | {default} | {cell(parameter.description)} |"


def _code(default: object) -> str:
    shown = default if isinstance(default, str) else json.dumps(default)
    return f"`{shown}`" if shown else ""
