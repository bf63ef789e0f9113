"""The job of registration: add an export to a Model Registry as a version of a model."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from stt_model.base import ExportError, one_line, read_json, redact
from stt_model.export import DESCRIPTION, ModelRegistry, as_properties

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Registered:
    """The registered names; empty if nothing was registered."""

    model: str = ""
    version: str = ""
    uri: str = ""


def register_model(
    export_dir: str | Path,
    uri: str,
    registry_url: str,
    *,
    released: bool = True,
    wer: float = -1.0,
    cer: float = -1.0,
) -> Registered:
    """Register an export in Kubeflow's Model Registry; the same export twice is one version.

    Args:
        export_dir: folder that ``export_model`` wrote. Names of model and version are those of its
            card, the version with the digest of its files after a plus.
        uri: where users of the registry find that folder.
        registry_url: ``http://`` or ``https://`` address of the registry.
        released: whether the model is released; others are not registered.
        wer: word error rate on the test set; below 0 if unknown.
        cer: character error rate.

    Raises:
        ExportError: the folder is no export, or the registry refuses it.
    """
    if not released:
        log.info("the model is not released: nothing is registered")
        return Registered()
    folder = Path(export_dir)
    registry = ModelRegistry(registry_url)
    if "://" not in uri:
        raise ExportError(f"{uri}: expected a URI from which others can load the export; give one")
    card, digest = _read_card(folder), _digest(folder)
    name, version = str(card["model_name"]), f"{card['model_version']}+{digest[:8]}"
    facts: dict[str, str | float] = {
        "language": str(card["language"]),
        "license": str(card["license"]),
        "files_sha256": digest,
    }
    facts |= {key: value for key, value in (("wer", wer), ("cer", cer)) if value >= 0}
    author = str(card["author"])
    model_id = registry.add_model(
        name, owner=author, description=f"Speech recognition, {card['language']}"
    )
    version_id = registry.add_version(
        model_id, version, author=author, customProperties=as_properties(facts)
    )
    registry.add_place(
        version_id,
        f"{name}-{version}",
        uri,
        modelFormatName=str(card["runtime"]),
        modelFormatVersion=str(card["min_stt_version"]),
    )
    log.info("%s: registered as %s %s", redact(uri), name, version)
    return Registered(name, version, uri)


def _read_card(folder: Path) -> dict[str, Any]:
    cards = [path for path in sorted(folder.glob("*.md")) if path.read_bytes()[:4] == b"---\n"]
    try:
        [card] = cards
        head = yaml.safe_load(card.read_text(encoding="utf-8").split("---\n")[1])
        return {
            name: head[name]
            for name in (
                "author",
                "model_name",
                "model_version",
                "language",
                "license",
                "runtime",
                "min_stt_version",
            )
        }
    except (ValueError, TypeError, KeyError, yaml.YAMLError) as error:
        raise ExportError(
            f"{folder}: expected one model card, *.md, as the export writes it, found {len(cards)}"
            f" ({one_line(str(error))})"
        ) from error


def _digest(folder: Path) -> str:
    """Return a digest of the files of an export, from their digests in its description."""
    try:
        files = read_json(folder / DESCRIPTION)["files"]
        # The card holds the time of the export, so it differs each time.
        lasting = {name: sha for name, sha in files.items() if not name.endswith(".md")}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ExportError(
            f"{folder}/{DESCRIPTION}: expected an export, found something else; give a folder that"
            " stt-bootstrap export wrote"
        ) from error
    return hashlib.sha256(json.dumps(lasting, sort_keys=True).encode()).hexdigest()
