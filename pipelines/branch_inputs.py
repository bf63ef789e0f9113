"""Names of the inputs of a group of tasks, as Kubeflow's graph shows them."""

from __future__ import annotations

import re

import yaml

_CHANNEL = "pipelinechannel--"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def name_artifacts(package: str) -> str:
    """Return a compiled pipeline whose groups get artifacts under the artifacts' own names.

    kfp's compiler calls them ``pipelinechannel--TASK-NAME``, which the graph of a branch shortens
    to the same ``pipelinechannel--…`` for all of them.
    """
    pipeline = next(yaml.load_all(package, Loader=_LOADER))
    longer: set[str] = set()
    for component in pipeline["components"].values():
        if "dag" in component:
            given = component.get("inputDefinitions", {}).get("artifacts", {})
            names = [name for name in given if name.startswith(_CHANNEL)]
            # If two tasks make artifacts of the same name, only the long names differ.
            if len({_short(name) for name in names}) == len(names):
                longer.update(names)
    for name in sorted(longer, key=len, reverse=True):
        package = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", _short(name), package)
    return package


def _short(name: str) -> str:
    # Names of outputs have no hyphen, those of tasks no underscore.
    return name.removeprefix(_CHANNEL).rpartition("-")[2]
