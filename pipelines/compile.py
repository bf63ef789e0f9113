"""Write the packages that Kubeflow takes: the pipeline, and each component on its own."""

from __future__ import annotations

import importlib
from pathlib import Path

from kfp import compiler
from kfp.dsl.base_component import BaseComponent

from components import COMPONENTS, images
from pipelines.bootstrap import bootstrap


def packages() -> dict[Path, BaseComponent]:
    """Return what is compiled, by its path below the root of the project."""
    compiled: dict[Path, BaseComponent] = {
        Path("components", name, "component.yaml"): getattr(
            importlib.import_module(f"components.{name}.component"), name
        )
        for name in COMPONENTS
    }
    compiled[Path("pipelines", "bootstrap.yaml")] = bootstrap
    return compiled


def compile_all(
    out_dir: Path | str, registry: str = images.REGISTRY, tag: str = images.TAG
) -> list[Path]:
    """Write every package below ``out_dir`` and return the paths, the pipeline last.

    The same sources and the same kfp give the same bytes. ``registry`` and ``tag`` replace those of
    ``components.images``, such as ``registry.example.org/speech`` and ``2026-11``.
    """
    written = []
    for relative, component in packages().items():
        path = Path(out_dir) / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        compiler.Compiler().compile(component, str(path))
        text = path.read_text(encoding="utf-8")
        for image in images.NAMES:
            text = text.replace(images.reference(image), images.reference(image, registry, tag))
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written


if __name__ == "__main__":
    compile_all(Path(__file__).parent.parent)
