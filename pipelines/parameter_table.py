"""Write the parameters of the compiled pipeline into a document, between two marks."""

from __future__ import annotations

import json
from pathlib import Path

from pipelines.package import PACKAGE, Parameter, package_parameters
from stt_model.base import atomic_write, cell

BEGIN = "<!-- parameters of the package, written by `stt-bootstrap compile` -->"
END = "<!-- end of the parameters -->"


def parameter_table(package: Path = PACKAGE) -> str:
    """Return the parameters of a package as a Markdown table, the required ones first."""
    rows = map(_row, package_parameters(package).values())
    return "\n".join(["| parameter | type | default | |", "| --- | --- | --- | --- |", *rows])


def has_marks(document: Path) -> bool:
    """Tell whether a document has a place for the table: the two marks, once each."""
    text = document.read_text(encoding="utf-8") if document.is_file() else ""
    return text.count(BEGIN) == text.count(END) == 1


def write_table(document: Path, package: Path = PACKAGE) -> None:
    """Put the table between the marks of a document."""
    before, _, rest = document.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    table = parameter_table(package)
    with atomic_write(document) as beside:
        beside.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")


def _row(parameter: Parameter) -> str:
    default = "required" if parameter.default is None else _code(parameter.default)
    kind = parameter.type.__name__
    return f"| `{parameter.name}` | {kind} | {default} | {cell(parameter.description)} |"


def _code(default: object) -> str:
    shown = default if isinstance(default, str) else json.dumps(default)
    return f"`{shown}`" if shown else ""
