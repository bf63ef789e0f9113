"""The README beside each component, made from its interface, its metadata and its example."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from stt_bootstrap.components import COMPONENTS
from stt_model.base import atomic_write, cell

ROOT = Path(__file__).parents[1]
_TYPES = {
    "STRING": "str",
    "NUMBER_INTEGER": "int",
    "NUMBER_DOUBLE": "float",
    "BOOLEAN": "bool",
    "STRUCT": "dict",
    "LIST": "list",
}


def readme(name: str, root: Path = ROOT) -> str:
    """Return the README of a component, Markdown."""
    folder = root / "components" / name
    spec = yaml.safe_load((folder / "component.yaml").read_text(encoding="utf-8"))
    metadata = yaml.safe_load((folder / "metadata.yaml").read_text(encoding="utf-8"))
    owners = yaml.safe_load((folder / "OWNERS").read_text(encoding="utf-8"))
    example = (folder / "example_pipelines.py").read_text(encoding="utf-8")
    (component,) = spec["components"].values()
    (executor,) = spec["deploymentSpec"]["executors"].values()
    parts = [f"# {name}", spec["pipelineInfo"].get("description") or _description(folder)]
    parts.append(_facts(metadata, owners, executor["container"]["image"]))
    for title, kind in (("Inputs", "inputDefinitions"), ("Outputs", "outputDefinitions")):
        if rows := _rows(component.get(kind, {})):
            head = f"| {title[:-1].lower()} | type | default | |\n| --- | --- | --- | --- |"
            parts.append(f"## {title}\n\n{head}\n" + "\n".join(rows))
    code = example.partition('"""\n\n')[2] or example
    parts.append(f"## Example\n\n```python\n{code.strip()}\n```")
    return "\n\n".join(parts) + "\n"


def write_readmes(root: Path = ROOT) -> list[Path]:
    """Write the README of every component that has its metadata below ``root``."""
    written = []
    for name in COMPONENTS:
        if (root / "components" / name / "metadata.yaml").is_file():
            path = root / "components" / name / "README.md"
            text = readme(name, root)
            with atomic_write(path) as beside:
                beside.write_text(text, encoding="utf-8")
            written.append(path)
    return written


def _description(folder: Path) -> str:
    """Return the description from the comment that the compiler writes above a component."""
    lines = (folder / "component.yaml").read_text(encoding="utf-8").splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("# Description: "))
    said = [lines[start].removeprefix("# Description: ")]
    for line in lines[start + 1 :]:
        if not line.startswith("#              "):
            break
        said.append(line.removeprefix("#").strip())
    return "\n".join(said)


def _facts(metadata: Mapping[str, Any], owners: Mapping[str, Any], image: str) -> str:
    needs = [
        f"{each['name']} {each['version']}"
        for kind in metadata["dependencies"].values()
        for each in kind
    ]
    return "\n".join(
        [
            f"- **Stability**: {metadata['stability']}",
            f"- **Needs**: {', '.join(needs)}",
            f"- **Image**: {image.rpartition('/')[2].partition(':')[0]}",
            f"- **Tags**: {', '.join(metadata['tags'])}",
            f"- **Last verified**: {metadata['lastVerified']:%Y-%m-%d}",
            f"- **Owners**: {', '.join(owners['approvers']) or 'none named (see OWNERS)'}",
        ]
    )


def _rows(definitions: Mapping[str, Any]) -> list[str]:
    rows = []
    for name, each in definitions.get("artifacts", {}).items():
        kind = each["artifactType"]["schemaTitle"].removeprefix("system.")
        default = "may be left out" if each.get("isOptional") else ""
        rows.append(f"| `{name}` | {kind} | {default} | {cell(each.get('description', ''))} |")
    for name, each in definitions.get("parameters", {}).items():
        kind = _TYPES[each["parameterType"]]
        value = each.get("defaultValue", "")
        # In a compiled package all numbers are floats.
        default = f"`{int(value) if kind == 'int' else value}`" if value != "" else ""
        rows.append(f"| `{name}` | {kind} | {default} | {cell(each.get('description', ''))} |")
    return rows
