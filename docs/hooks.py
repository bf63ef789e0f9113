"""Pages of the reference, made from the code when the site is built."""

from __future__ import annotations

import argparse
import ast
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

from stt_bootstrap.components import COMPONENTS
from stt_bootstrap.pipelines.cli import build_parser
from stt_bootstrap.pipelines.parameter_table import parameter_table
from stt_model.base import cell
from stt_model.jobs import all_parameters

ROOT = Path(__file__).parents[1]


def on_files(files: Files, config: Any, **_: Any) -> Files:
    """Add the generated pages."""
    for name, page in (
        ("commands", commands()),
        ("parameters", parameters()),
        ("components", components()),
        ("api", api()),
    ):
        files.append(File.generated(config, f"reference/{name}.md", content=page))
    return files


def commands() -> str:
    """Return every command with its help, as a terminal of 90 columns shows it."""
    _, found = build_parser()
    parts = ["# Commands\n"]
    for name, parser in found.choices.items():
        parser.formatter_class = lambda prog: argparse.ArgumentDefaultsHelpFormatter(prog, width=90)
        parts.append(f"## {name}\n\n```text\n{parser.full_help()}```\n")
    return "\n".join(parts)


def parameters() -> str:
    """Return the parameters of the pipeline, and those of all jobs with what they may be."""
    rows = ["| name | default | what it must be | |", "| --- | --- | --- | --- |"]
    for name, each in sorted(all_parameters().items()):
        default = f"`{each.written_default}`" if each.written_default != "" else ""
        rows.append(f"| `{name}` | {default} | {cell(each.expected)} | {cell(each.help)} |")
    table = "\n".join(rows)
    return (
        f"# Parameters\n\n## Of the pipeline\n\n{parameter_table()}\n\n## Of all jobs\n\n{table}\n"
    )


def components() -> str:
    """Return the documentation of every component, one after the other."""
    parts = ["# Components\n"]
    for name in COMPONENTS:
        text = (ROOT / "components" / name / "README.md").read_text(encoding="utf-8")
        parts.append(text.replace("\n#", "\n##").replace("# ", "## ", 1))
    return "\n".join(parts)


def api() -> str:
    """Return the page that mkdocstrings fills with the functions of ``stt_model``, then classes."""
    about = "What `import stt_model` offers; [From Python](../python.md) shows how it is used."
    parts = [f"# Python API\n\n{about}\n"]
    for name, package in sorted(_imports("stt_model"), key=lambda each: each[0][0].isupper()):
        module = dict(_imports(package)).get(name, package)
        parts.append(f"::: {module}.{name}\n")
    return "\n".join(parts)


def _imports(package: str) -> list[tuple[str, str]]:
    """Return the names that a package offers, each with the module that it is from.

    Read from its stub, so that TensorFlow is not loaded for the documentation.
    """
    stub = ROOT.joinpath(*package.split("."), "__init__.pyi")
    statements = ast.parse(stub.read_text(encoding="utf-8")).body
    return [
        (alias.name, f"{package}.{statement.module}")
        for statement in statements
        if isinstance(statement, ast.ImportFrom) and statement.module
        for alias in statement.names
    ]
