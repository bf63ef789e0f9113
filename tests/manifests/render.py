"""What kustomize makes of ``manifests``, kept in ``rendered`` for tests that have no kustomize.

``python -m tests.manifests.render`` (``make manifests``) writes it anew.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from stt_model.storage.transfer import digest_directory

Resource: TypeAlias = dict[str, Any]

SOURCES = Path(__file__).parents[2] / "manifests"
RENDERED = Path(__file__).parent / "rendered"
KUSTOMIZATIONS = (
    "base",
    "overlays/dev",
    "overlays/eks",
    "overlays/gke",
    "overlays/gpu",
    "overlays/nodes",
    "overlays/tensorboard",
    "overlays/artifact-store",
    "training-runtime",
)
FOLDERS = ("base", "components", "overlays", "training-runtime")
DIGESTS = RENDERED / "sources.sha256"


def digests() -> str:
    """Return what tells whether the sources have changed, in the form of ``sha256sum``."""
    return "".join(f"{digest_directory(SOURCES / d)}  {d}\n" for d in FOLDERS)


def rendered(kustomization: str) -> Path:
    return RENDERED / f"{kustomization.rpartition('/')[2]}.yaml"


def load(kustomization: str) -> list[Resource]:
    """Return the resources that are kept."""
    return list(yaml.safe_load_all(rendered(kustomization).read_text(encoding="utf-8")))


def build(kustomization: str) -> str:
    """Return what kustomize makes now: the program ``$KUSTOMIZE``, or one beside this Python."""
    beside = Path(sys.executable).parent
    program = os.environ.get("KUSTOMIZE") or shutil.which("kustomize", path=beside)
    if not program:
        raise FileNotFoundError(f"no kustomize in {beside}; `make manifests` installs it")
    done = subprocess.run(
        [program, "build", str(SOURCES / kustomization)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


def main() -> None:
    RENDERED.mkdir(exist_ok=True)
    for kustomization in KUSTOMIZATIONS:
        rendered(kustomization).write_text(build(kustomization), encoding="utf-8")
    DIGESTS.write_text(digests(), encoding="utf-8")


if __name__ == "__main__":
    main()
