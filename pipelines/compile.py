"""Write the packages for Kubeflow: the pipelines, and each component on its own."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from kfp import compiler, dsl
from kfp.dsl.base_component import BaseComponent

from stt_bootstrap.components import COMPONENTS, images
from stt_bootstrap.pipelines.bootstrap import bootstrap
from stt_bootstrap.pipelines.branch_inputs import name_artifacts
from stt_bootstrap.pipelines.cache_volume import mount_cache
from stt_bootstrap.pipelines.component_readme import write_readmes
from stt_bootstrap.pipelines.form import form
from stt_bootstrap.pipelines.prepare import prepare
from stt_bootstrap.pipelines.queue import join_queue
from stt_bootstrap.pipelines.sweep import sweep
from stt_bootstrap.pipelines.variant import PLAIN, Variant, defining
from stt_model.base import BootstrapError

# The images that components name: what `--image` can replace.
USED = {"light": images.LIGHT, "model": images.MODEL}

_IMAGE_LINE = re.compile(r"^(?P<key>\s+image: )(?P<reference>\S+)$", re.MULTILINE)
# repository[:tag][@digest], as the distribution specification has it.
_REFERENCE = re.compile(
    r"[a-zA-Z0-9.-]+(?::\d+)?(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)+"
    r"(?::\w[\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)
# How kfp starts Python: in a shell, which a SIGTERM ends before Python can react.
_START = "_KFP_RUNTIME=true python3 "
_START_IN_PLACE_OF_SHELL = "_KFP_RUNTIME=true exec python3 "


class ImageError(BootstrapError):
    """An invalid value of ``--image``."""


def packages(variant: Variant = PLAIN) -> dict[Path, BaseComponent]:
    """Return what is compiled, by path below the project's root. Raises VariantError."""
    compiled: dict[Path, BaseComponent] = {
        Path("components", name, "component.yaml"): getattr(
            importlib.import_module(f"stt_bootstrap.components.{name}.component"), name
        )
        for name in COMPONENTS
    }
    compiled[Path("pipelines", "form.yaml")] = _as(variant, form)
    compiled[Path("pipelines", "prepare.yaml")] = prepare
    compiled[Path("pipelines", "sweep.yaml")] = sweep
    compiled[Path("pipelines", "bootstrap.yaml")] = _as(variant, bootstrap)
    return compiled


def _as(variant: Variant, pipeline: BaseComponent) -> BaseComponent:
    """Return a pipeline, defined again if the variant needs it."""
    if variant == PLAIN:
        return pipeline
    with defining(variant):
        return dsl.pipeline(name=pipeline.name)(pipeline.pipeline_func)


def compile_all(
    out_dir: Path | str,
    registry: str = images.REGISTRY,
    tag: str = images.TAG,
    overrides: Mapping[str, str] | None = None,
    cache_claim: str = "",
    queue: str = "",
    variant: Variant = PLAIN,
) -> list[Path]:
    """Write every package below ``out_dir`` and return the paths, the pipeline last.

    The same sources and the same kfp give the same bytes. ``registry`` and ``tag`` replace those of
    ``components.images``, such as ``registry.example.org/speech`` and ``2026-11``; ``overrides``
    gives whole references by name, which ``parse_images`` reads. ``cache_claim`` is the volume
    claim of the pipeline's cache, ``queue`` the LocalQueue of Kueue that its pods wait in;
    empty for none. ``variant`` holds further choices. Steps receive signals.
    """
    given = overrides or {}
    replacements = {
        reference: given.get(name, images.reference(name, registry, tag))
        for name, reference in USED.items()
    }
    written = []
    for relative, component in packages(variant).items():
        path = Path(out_dir) / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        compiler.Compiler().compile(component, str(path))
        text = path.read_text(encoding="utf-8").replace(_START, _START_IN_PLACE_OF_SHELL)
        text = _IMAGE_LINE.sub(lambda line: line["key"] + replacements[line["reference"]], text)
        if relative.parts[0] == "pipelines":
            text = name_artifacts(text)
        if cache_claim and relative.name in ("bootstrap.yaml", "form.yaml"):
            text = mount_cache(text, cache_claim)
        if queue and relative.parts[0] == "pipelines":
            text = join_queue(text, queue)
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written


def parse_images(values: Iterable[str]) -> dict[str, str]:
    """Return image references by name, from values such as ``light=repository@sha256:…``.

    Raises:
        ImageError: an unknown or repeated name, or a reference without tag or digest.
    """
    references: dict[str, str] = {}
    for value in values:
        name, _, reference = value.partition("=")
        if name not in USED or name in references:
            raise ImageError(
                f"--image {value}: expected NAME=REFERENCE, each of {', '.join(USED)} at most once"
            )
        named = reference.rpartition("/")[2]
        if not _REFERENCE.fullmatch(reference) or not {":", "@"} & set(named):
            raise ImageError(
                f"--image {value}: expected a full reference, such as registry.example.org/speech/"
                f"{name}:{images.TAG} or …/{name}@sha256:… with 64 hexadecimal digits"
            )
        references[name] = reference
    return references


if __name__ == "__main__":
    compile_all(Path(__file__).parent.parent)
    write_readmes()
