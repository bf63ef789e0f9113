"""Upload the package to Kubeflow Pipelines and start a run of it."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kfp_server_api as api

from stt_bootstrap.pipelines.cluster import SERVICE_ACCOUNT
from stt_bootstrap.pipelines.kubeflow import TIMEOUT, Kubeflow, explained
from stt_bootstrap.pipelines.package import PACKAGE, package_name

_DIGITS = 16
"""Digits of the package's SHA-256 in the name of its version."""


@dataclass(frozen=True)
class Version:
    """A version of the pipeline on the server."""

    pipeline_id: str
    version_id: str
    name: str
    is_new: bool
    """Whether it was uploaded just now."""


def upload(kubeflow: Kubeflow, package: Path = PACKAGE) -> Version:
    """Upload the package unless the server has it, and return its version.

    Versions are named by the digest of their package. Raises KubeflowError.
    """
    pipeline = package_name(package)
    name = f"{pipeline}-{hashlib.sha256(package.read_bytes()).hexdigest()[:_DIGITS]}"
    pipeline_id = _find_pipeline(kubeflow, pipeline) or _create_pipeline(kubeflow, pipeline)
    with explained(f"looking for version {name}"):
        found = api.PipelineServiceApi(kubeflow.client).pipeline_service_list_pipeline_versions(
            pipeline_id, filter=_named(name), _request_timeout=TIMEOUT
        )
    if found.pipeline_versions:
        return Version(pipeline_id, found.pipeline_versions[0].pipeline_version_id, name, False)
    with explained(f"uploading {package}"):
        made = api.PipelineUploadServiceApi(kubeflow.client).upload_pipeline_version(
            str(package), name=name, pipelineid=pipeline_id, _request_timeout=TIMEOUT
        )
    return Version(pipeline_id, made.pipeline_version_id, name, True)


def start(
    kubeflow: Kubeflow,
    version: Version,
    parameters: Mapping[str, Any],
    *,
    experiment: str,
    run_name: str = "",
    service_account: str = SERVICE_ACCOUNT,
    pipeline_root: str = "",
) -> str:
    """Start a run and return its id; ``parameters`` are those that differ from the defaults.

    Raises KubeflowError.
    """
    body = api.V2beta1Run(
        experiment_id=_experiment(kubeflow, experiment),
        display_name=run_name or f"{version.name} {time.strftime('%Y-%m-%d %H:%M')}",
        pipeline_version_reference=api.V2beta1PipelineVersionReference(
            pipeline_id=version.pipeline_id, pipeline_version_id=version.version_id
        ),
        runtime_config=api.V2beta1RuntimeConfig(
            parameters=dict(parameters), pipeline_root=pipeline_root or None
        ),
        service_account=service_account or None,
    )
    with explained("starting the run"):
        run = api.RunServiceApi(kubeflow.client).run_service_create_run(
            body, _request_timeout=TIMEOUT
        )
    return str(run.run_id)


def _find_pipeline(kubeflow: Kubeflow, name: str) -> str | None:
    with explained(f"looking for the pipeline {name}"):
        found = api.PipelineServiceApi(kubeflow.client).pipeline_service_list_pipelines(
            namespace=kubeflow.namespace, filter=_named(name), _request_timeout=TIMEOUT
        )
    return found.pipelines[0].pipeline_id if found.pipelines else None


def _create_pipeline(kubeflow: Kubeflow, name: str) -> str:
    # An upload would create the pipeline too, but name its first version otherwise.
    body = api.V2beta1Pipeline(name=name, display_name=name, namespace=kubeflow.namespace or None)
    with explained(f"creating the pipeline {name}"):
        made = api.PipelineServiceApi(kubeflow.client).pipeline_service_create_pipeline(
            body, _request_timeout=TIMEOUT
        )
    return str(made.pipeline_id)


def _experiment(kubeflow: Kubeflow, name: str) -> str:
    experiments = api.ExperimentServiceApi(kubeflow.client)
    with explained(f"looking for the experiment {name}"):
        found = experiments.experiment_service_list_experiments(
            namespace=kubeflow.namespace, filter=_named(name), _request_timeout=TIMEOUT
        )
        if found.experiments:
            return str(found.experiments[0].experiment_id)
        made = experiments.experiment_service_create_experiment(
            api.V2beta1Experiment(display_name=name, namespace=kubeflow.namespace or None),
            _request_timeout=TIMEOUT,
        )
    return str(made.experiment_id)


def _named(name: str) -> str:
    """Return the filter for what has this name."""
    predicate = {"operation": "EQUALS", "key": "display_name", "string_value": name}
    return json.dumps({"predicates": [predicate]})
