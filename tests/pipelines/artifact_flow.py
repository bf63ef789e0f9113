"""Follow artifacts through the DAGs of a compiled package, as Kubeflow's drivers hand them on.

Kubeflow records every input of a task, and of a DAG, as an event in ML Metadata, which is unique by
artifact, execution and type: one artifact under two names ends the driver with AlreadyExists.
"""

from collections import defaultdict

import yaml


def artifact_inputs(package):
    """Return for every task, by its path of names, what artifact each of its inputs is.

    An artifact is named by the task that made it and its name there.
    """
    pipeline, *_ = yaml.safe_load_all(package.read_text(encoding="utf-8"))
    components = pipeline["components"]
    found = {}

    def walk(path, dag, given):
        def origin(producer, name):
            spec = components[dag["tasks"][producer]["componentRef"]["name"]]
            if "dag" not in spec:
                return "/".join((*path, producer)), name
            outputs = spec["dag"]["outputs"]["artifacts"][name]["artifactSelectors"]
            # One of several branches, of which one runs: it is told by the whole.
            if len(outputs) > 1:
                return "/".join((*path, producer)), name
            (selector,) = outputs
            inner = selector["producerSubtask"]
            return "/".join((*path, producer, inner)), selector["outputArtifactKey"]

        for name, task in dag["tasks"].items():
            inputs = {}
            for key, value in task.get("inputs", {}).get("artifacts", {}).items():
                if "componentInputArtifact" in value:
                    inputs[key] = given[value["componentInputArtifact"]]
                else:
                    output = value["taskOutputArtifact"]
                    inputs[key] = origin(output["producerTask"], output["outputArtifactKey"])
            here = (*path, name)
            found["/".join(here)] = inputs
            spec = components[task["componentRef"]["name"]]
            if "dag" in spec:
                walk(here, spec["dag"], inputs)

    walk((), pipeline["root"]["dag"], {})
    return found


def doubles(package):
    """Return what reaches a task or a DAG under more than one name: task, artifact and names."""
    twice = []
    for task, inputs in artifact_inputs(package).items():
        names = defaultdict(list)
        for name, artifact in inputs.items():
            names[artifact].append(name)
        twice += [(task, artifact, each) for artifact, each in names.items() if len(each) > 1]
    return twice
