"""Write the parts of components that repeat others: Kubeflow needs every interface written out.

The outputs of ``run_settings`` are the parameters of the full pipeline that the form does not have;
``distributed_training`` has the parameters of ``training``, and more.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from pathlib import Path

from stt_bootstrap.pipelines.bootstrap import bootstrap
from stt_model.base import atomic_write
from stt_model.jobs import all_parameters, default_settings

_COMPONENTS = Path(__file__).parents[1] / "components"

_DIGESTS = {
    "dataset_digest": "Digest of the manifests and of the versions of all clips that they name.",
    "checkpoint_digest": "Digest of the checkpoint's files, or of their versions.",
    "alphabet_digest": "Digest of the alphabet file; empty if none is given.",
    "scorer_digest": "Digest of the scorer; empty if none is given.",
    "unlabelled_digest": "Digest of the recordings without transcripts; empty if none are given.",
}
_TEMPLATE = '''\
"""Kubeflow component: the first step of the pipeline that is started from a form.

Made by ``make compile`` from the parameters of both pipelines; change them there.
"""

from typing import NamedTuple

from kfp import dsl

from stt_bootstrap.components import images


@dsl.component(base_image=images.LIGHT, install_kfp_package=False)
def run_settings(
    dataset_uri: str,
    checkpoint_uri: str,
    alphabet_uri: str = "",
    scorer_uri: str = "",
    settings: dict = {{}},  # type: ignore[type-arg]  # noqa: B006
    settings_uri: str = "",
    run_state_uri: str = "",
    export_uri: str = "",
    nodes: int = 1,
) -> NamedTuple(  # type: ignore[valid-type]
    "Outputs",
    [
{outputs}
    ],
):
    """Detect the versions behind URIs, and check the settings of a run.

    Args:
        dataset_uri: Folder with train.csv, dev.csv and test.csv in Coqui's form, as a path, file://
            or s3:// URI.
        checkpoint_uri: Checkpoint folder, archive or deployed model, as a path, file://, s3:// or
            http(s):// URI.
        alphabet_uri: Alphabet file, as a path or URI; empty for none.
        scorer_uri: Language model, as a path or URI; empty for none.
        settings: Values other than the defaults, by the names of the parameters.
        settings_uri: JSON or YAML file with more settings, as a path or URI; settings takes
            precedence.
        run_state_uri: Folder for the state of the training; if it is an s3:// URI, this step fails
            unless an empty object can be stored there. Empty for none.
        export_uri: Folder that the export is copied to, checked in the same way; empty for none.
        nodes: Number of nodes that training uses; with more than one, this step refuses settings
            that need one node, or that lack what several nodes need.

    Returns:
{descriptions}
    """
    from stt_model import jobs

    digests, chosen = jobs.begin_run(
        dataset_uri,
        checkpoint_uri=checkpoint_uri,
        alphabet_uri=alphabet_uri,
        scorer_uri=scorer_uri,
        settings=settings,
        settings_uri=settings_uri,
        run_state_uri=run_state_uri,
        export_uri=export_uri,
        nodes=nodes,
        names=[
{names}
        ],
    )
    return (*digests, *chosen.values())
'''


def setting_names() -> list[str]:
    """Return the parameters of jobs that the full pipeline has and the form does not."""
    # Not imported, since the form runs the component that is being written.
    form = ast.parse(Path(__file__).with_name("form.py").read_text(encoding="utf-8"))
    asked = {
        argument.arg
        for node in ast.walk(form)
        if isinstance(node, ast.FunctionDef)
        for argument in node.args.args
    }
    parameters = inspect.signature(bootstrap.pipeline_func).parameters
    return sorted(name for name in parameters if name in all_parameters() and name not in asked)


def written() -> dict[Path, str]:
    """Return the written sources by path."""
    return {
        _COMPONENTS / "run_settings" / "component.py": _run_settings(),
        _COMPONENTS / "distributed_training" / "component.py": _distributed_training(),
    }


def _run_settings() -> str:
    names = setting_names()
    types = {name: type(value).__name__ for name, value in default_settings(names).items()}
    outputs = dict.fromkeys(_DIGESTS, "str") | types
    texts = _DIGESTS | {name: all_parameters()[name].help for name in names}
    return _TEMPLATE.format(
        outputs="\n".join(f'        ("{name}", {kind}),' for name, kind in outputs.items()),
        descriptions="\n".join(_paragraph(f"{name}: {text}") for name, text in texts.items()),
        names="\n".join(f'            "{name}",' for name in names),
    )


def _paragraph(text: str) -> str:
    return textwrap.fill(
        text,
        100,
        initial_indent=" " * 8,
        subsequent_indent=" " * 12,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _distributed_training() -> str:
    source = _source("training")
    target = _source("distributed_training")
    signature = "training_metrics: dsl.Output[dsl.Metrics],\n", "    run_state_uri: str"
    descriptions = "in the order wanted.\n", "        run_state_uri: "
    for start, end in (signature, descriptions):
        target = _replaced(target, start, end, _part(source, start, end))
    names = re.findall(r"^    (\w+):", _part(source, *signature), flags=re.MULTILINE)
    passed_on = "".join(f'                "{name}": {name},\n' for name in names)
    return _replaced(target, "settings={\n", "            },", passed_on)


def _source(component: str) -> str:
    return (_COMPONENTS / component / "component.py").read_text(encoding="utf-8")


def _part(text: str, start: str, end: str) -> str:
    return text.partition(start)[2].partition(end)[0]


def _replaced(text: str, start: str, end: str, part: str) -> str:
    before, start, rest = text.partition(start)
    _, end, after = rest.partition(end)
    return before + start + part + end + after


if __name__ == "__main__":
    for path, text in written().items():
        with atomic_write(path) as beside:
            beside.write_text(text, encoding="utf-8")
