"""What Kubeflow's backend makes of a compiled package: its compiler, its drivers, its launcher.

Followed from their sources (``apiserver/template``, ``v2/compiler/argocompiler``, ``v2/driver`` of
Kubeflow Pipelines 2.17): which names a driver looks up and where, which types it takes, when it
ends with an error that no compiler of kfp and no run on this machine finds. Values are made up.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from kubernetes.utils.quantity import parse_quantity

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_CHANNEL = re.compile(r"\$\.inputs\.parameters\['(.+?)'\]")
_CONDITION = re.compile(r"inputs\.parameter_values\['([^']+)'\] (==|!=) '([^']*)'")
_FIELDS = {
    "activeDeadlineSeconds",
    "configMapAsEnv",
    "emptyDirMounts",
    "fieldPathAsEnv",
    "nodeSelector",
    "podMetadata",
    "pvcMount",
    "secretAsEnv",
    "securityContext",
    "tolerations",
}
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MOST_BYTES = 10_000
"""Of all parameters of a run, which the API server keeps in one column."""


class BackendError(Exception):
    """What would end a run, or keep it from being made."""


Outputs = Callable[[str, str, str], Any]
"""Makes up what a task puts out, of its name, the output's name and its type."""


def made_up(task: str, name: str, kind: str) -> Any:
    """Return a value of the type."""
    return {
        "STRING": f"{name} of {task}",
        "NUMBER_INTEGER": 3,
        "NUMBER_DOUBLE": 0.5,
        "BOOLEAN": True,
        "LIST": ["first", "second"],
        "STRUCT": {},
    }[kind]


@dataclass
class Launched:
    """What one executor was started with."""

    task: str
    component: str
    parameters: dict[str, Any]
    artifacts: dict[str, Any]
    may_be_cached: bool
    resources: dict[str, str]


class Backend:
    """Plays a package. ``launched`` has every container that would run, in order."""

    def __init__(self, package: str, outputs: Outputs = made_up) -> None:
        self.pipeline, platform = yaml.load_all(package, Loader=_LOADER)
        self.components = self.pipeline["components"]
        deployment = platform["platforms"]["kubernetes"]["deploymentSpec"]
        self.kubernetes = deployment["executors"]
        self.launched: list[Launched] = []
        self._outputs = outputs
        self._templates: set[str] = set()

    def run(self, parameters: Mapping[str, Any]) -> list[Launched]:
        """Start a run and follow it to its end. Raises BackendError."""
        self.compile()
        known = self.pipeline["root"]["inputDefinitions"]["parameters"]
        if extra := set(parameters) - set(known):
            raise BackendError(f"not required by the pipeline: {extra}")
        if len(json.dumps(dict(parameters)).encode()) > MOST_BYTES:
            raise BackendError("parameters are too long")
        given = {n: s["defaultValue"] for n, s in known.items() if "defaultValue" in s}
        given |= parameters
        for name, spec in known.items():
            if name not in given:
                raise BackendError(f"parameter {name} has no value")
            _check_type(name, given[name], spec["parameterType"])
        self._dag("root", self.pipeline["root"], given, {})
        return self.launched

    def compile(self) -> None:
        """Check what the compiler to Argo's workflows checks, or silently mistakes."""
        if not _NAME.fullmatch(self.pipeline["pipelineInfo"]["name"]):
            raise BackendError("the name of the pipeline is none for Kubernetes")
        executors = self.pipeline["deploymentSpec"]["executors"]
        if unknown := set(self.kubernetes) - set(executors):
            raise BackendError(f"placed, and not there: {unknown}")
        # Specs of components are kept by their containers: the first of two that share one counts.
        by_container: dict[str, Any] = {}
        for name, component in self.components.items():
            if label := component.get("executorLabel"):
                container = json.dumps(executors[label]["container"], sort_keys=True)
                if by_container.setdefault(container, component) != {
                    **by_container[container],
                    **{k: v for k, v in component.items() if k != "executorLabel"},
                }:
                    raise BackendError(f"{name} shares its container with another interface")
            for task_name, task in component.get("dag", {}).get("tasks", {}).items():
                self._compile_task(task_name, task)
        for name, task in self.pipeline["root"]["dag"]["tasks"].items():
            self._compile_task(name, task)
        for label, config in self.kubernetes.items():
            if unknown := set(config) - _FIELDS:
                raise BackendError(f"{label}: {unknown} is nothing that is followed here")
            if size := config.get("podMetadata", {}).get("labels"):
                for key, value in size.items():
                    if len(value) > 63 or len(key.rpartition("/")[2]) > 63:
                        raise BackendError(f"{label}: label {key} is too long")

    def _compile_task(self, name: str, task: Mapping[str, Any]) -> None:
        if not _NAME.fullmatch(name):
            raise BackendError(f"{name} is no name for Argo")
        component = self.components[task["componentRef"]["name"]]
        if task.get("triggerPolicy", {}).get("condition") and "executorLabel" in component:
            raise BackendError(f"{name}: a condition on a task itself")

    def _dag(
        self, path: str, component: Mapping[str, Any], given: dict[str, Any], artifacts: Any
    ) -> None:
        """Run the tasks of a DAG, each when those that it depends on have ended well."""
        tasks = component["dag"]["tasks"]
        done: dict[str, dict[str, Any] | None] = {}
        while len(done) < len(tasks):
            ready = [n for n in tasks if n not in done and self._needs(n, tasks) <= set(done)]
            if not ready:
                raise BackendError(f"{path}: a circle of {sorted(set(tasks) - set(done))}")
            for name in ready:
                if any(done[each] is None for each in self._needs(name, tasks)):
                    # `depends: X.Succeeded` of a branch that was not taken.
                    done[name] = None
                    continue
                done[name] = self._task(f"{path}/{name}", name, tasks[name], given, artifacts, done)

    def _needs(self, name: str, tasks: Mapping[str, Any]) -> set[str]:
        """Return what a task depends on, named or by what it takes. An unknown one is an error."""
        task = tasks[name]
        inputs = task.get("inputs", {})
        needed = set(task.get("dependentTasks", ()))
        for each in inputs.get("parameters", {}).values():
            needed |= {each[k]["producerTask"] for k in ("taskOutputParameter",) if k in each}
        for each in inputs.get("artifacts", {}).values():
            needed |= {each[k]["producerTask"] for k in ("taskOutputArtifact",) if k in each}
        if unknown := needed - set(tasks):
            raise BackendError(f"{name}: unknown producer task {unknown} in its DAG")
        return needed

    def _task(
        self,
        path: str,
        name: str,
        task: Mapping[str, Any],
        given: dict[str, Any],
        artifacts: Any,
        done: Mapping[str, Any],
    ) -> dict[str, Any] | None:
        """Run a driver and what it prepares; return outputs, None where nothing was to be done."""
        component = self.components[task["componentRef"]["name"]]
        inputs, taken = self._resolve(path, task, component, given, artifacts, done)
        condition = task.get("triggerPolicy", {}).get("condition")
        if condition and not _holds(path, condition, inputs):
            return None
        if iterator := task.get("parameterIterator"):
            items = inputs.get(iterator["items"]["inputParameter"])
            if not isinstance(items, list):
                raise BackendError(f"{path}: {items!r} cannot be iterated")
            wanted = component["inputDefinitions"]["parameters"][iterator["itemInput"]]
            for item in items:
                one = {k: v for k, v in inputs.items() if k != iterator["items"]["inputParameter"]}
                one[iterator["itemInput"]] = _taken(path, "item", item, wanted["parameterType"])
                self._dag(path, component, one, taken)
            return {}
        if "dag" in component:
            self._dag(path, component, inputs, taken)
            return {}
        return self._launch(path, name, task, component, inputs, taken, given)

    def _resolve(
        self,
        path: str,
        task: Mapping[str, Any],
        component: Mapping[str, Any],
        given: Mapping[str, Any],
        artifacts: Mapping[str, Any],
        done: Mapping[str, Any],
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return parameters and artifacts, as ``resolveInputs`` of the driver does."""
        definitions = component.get("inputDefinitions", {})
        inputs: dict[str, Any] = {}
        for name, source in task.get("inputs", {}).get("parameters", {}).items():
            inputs[name] = self._parameter(path, source, given, done)
        iterator = task.get("parameterIterator", {})
        for name, spec in definitions.get("parameters", {}).items():
            if name == iterator.get("itemInput"):
                continue
            if name in inputs:
                inputs[name] = _taken(path, name, inputs[name], spec["parameterType"])
            elif not spec.get("isOptional") and "defaultValue" not in spec:
                raise BackendError(f"{path}: neither value nor default of {name}")
            elif "dag" in component:
                inputs[name] = spec.get("defaultValue")
        taken = {}
        for name, source in task.get("inputs", {}).get("artifacts", {}).items():
            if "componentInputArtifact" in source:
                key = source["componentInputArtifact"]
                if key not in artifacts:
                    raise BackendError(f"{path}: parent DAG does not have input artifact {key}")
                taken[name] = artifacts[key]
            else:
                output = source["taskOutputArtifact"]
                outputs = done[output["producerTask"]]["artifacts"]
                taken[name] = outputs[output["outputArtifactKey"]]
        if len(set(taken.values())) < len(taken):
            raise BackendError(f"{path}: AlreadyExists: one artifact under two names, {taken}")
        if missing := set(definitions.get("artifacts", {})) - set(taken):
            optional = {n for n in missing if definitions["artifacts"][n].get("isOptional")}
            if missing - optional:
                raise BackendError(f"{path}: no artifact for {missing - optional}")
        return inputs, taken

    def _parameter(
        self,
        path: str,
        source: Mapping[str, Any],
        given: Mapping[str, Any],
        done: Mapping[str, Any],
    ) -> Any:
        if "componentInputParameter" in source:
            key = source["componentInputParameter"]
            if key not in given:
                raise BackendError(f"{path}: parent DAG does not have input parameter {key}")
            return given[key]
        if "taskOutputParameter" in source:
            output = source["taskOutputParameter"]
            if output["producerTask"] not in done:
                raise BackendError(f"{path}: producer task {output['producerTask']} not in tasks")
            made = done[output["producerTask"]].get("parameters", {})
            if output["outputParameterKey"] not in made:
                # Of a DAG: it would have to say whence.
                raise BackendError(f"{path}: no output {output}")
            return made[output["outputParameterKey"]]
        if set(source) != {"runtimeValue"}:
            raise BackendError(f"{path}: {source} is not implemented")
        return source["runtimeValue"]["constant"]

    def _launch(
        self,
        path: str,
        name: str,
        task: Mapping[str, Any],
        component: Mapping[str, Any],
        inputs: dict[str, Any],
        artifacts: dict[str, Any],
        given: Mapping[str, Any],
    ) -> dict[str, Any]:
        label = component["executorLabel"]
        container = self.pipeline["deploymentSpec"]["executors"][label]["container"]
        resources = _resources(path, container.get("resources", {}), inputs)
        config = self.kubernetes.get(label, {})
        selector = config.get("nodeSelector", {}).get("nodeSelectorJson")
        if selector is not None and not isinstance(
            self._parameter(path, selector, given, {}), dict
        ):
            raise BackendError(f"{path}: the node selector is no object")
        for each in config.get("tolerations", []):
            found = self._parameter(path, each["tolerationJson"], given, {})
            if not isinstance(found, (dict, list)):
                raise BackendError(f"{path}: tolerations must be either struct or list")
        defined = component.get("inputDefinitions", {}).get("parameters", {})
        defaults = {n: s["defaultValue"] for n, s in defined.items() if "defaultValue" in s}
        values = {n: v for n, v in inputs.items() if n in defined}
        self.launched.append(
            Launched(
                path,
                label,
                {**defaults, **values},
                dict(artifacts),
                bool(task.get("cachingOptions", {}).get("enableCache")),
                resources,
            )
        )
        outputs = component.get("outputDefinitions", {})
        return {
            "parameters": {
                key: self._outputs(name, key, spec["parameterType"])
                for key, spec in outputs.get("parameters", {}).items()
            },
            "artifacts": {key: (path, key) for key in outputs.get("artifacts", {})},
        }


def _resources(path: str, wanted: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, str]:
    """Return limits and accelerators by name, as ``getPodResource`` resolves them."""

    def resolve(text: str) -> str:
        if found := _CHANNEL.search(text):
            if found[1] not in inputs:
                raise BackendError(f"{path}: the input {found[1]} of a resource is not there")
            value = inputs[found[1]]
            # Of anything but a text the driver makes an empty one.
            return value if isinstance(value, str) else ""
        return text

    resolved = {}
    for key in ("Cpu", "Memory"):
        if text := wanted.get(f"resource{key}Limit"):
            resolved[key.lower()] = resolve(text)
    if accelerator := wanted.get("accelerator"):
        kind = resolve(accelerator["resourceType"])
        count = resolve(accelerator["resourceCount"])
        if kind and count:
            resolved[kind] = count
    for name, text in resolved.items():
        try:
            parse_quantity(text)
        except ValueError as error:
            raise BackendError(f"{path}: {name} {text!r} is no quantity") from error
    return resolved


def _check_type(name: str, value: Any, kind: str) -> None:
    if _taken("", name, value, kind) is not value:
        raise BackendError(f"input parameter {name} requires type {kind}")


def _taken(path: str, name: str, value: Any, kind: str) -> Any:
    """Return a value as its taker gets it: everything may become a text, and nothing else."""
    found = {
        bool: "BOOLEAN",
        int: "NUMBER",
        float: "NUMBER",
        str: "STRING",
        list: "LIST",
        dict: "STRUCT",
    }[type(value)]
    if kind == "STRING":
        return value if found == "STRING" else json.dumps(value)
    if not kind.startswith(found):
        raise BackendError(f"{path}: input parameter {name!r}: expect {kind}, got {found}")
    return value


def _holds(path: str, condition: str, inputs: Mapping[str, Any]) -> bool:
    """Return whether a condition holds, of the one kind that is used here."""
    found = _CONDITION.fullmatch(condition)
    if not found:
        raise BackendError(f"{path}: the condition {condition} is more than one comparison")
    name, operator, expected = found.groups()
    if name not in inputs:
        raise BackendError(f"{path}: no such key: {name}")
    return (inputs[name] == expected) is (operator == "==")
