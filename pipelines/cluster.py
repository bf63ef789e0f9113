"""Resources and settings of tasks on a cluster; a run on this machine ignores all of them.

Names are those of the objects in ``manifests``. Secret and config map are optional: if one is
missing, its variables are unset, and a task that needs them fails with the name of the variable. A
required one would keep its pod waiting without a message.
"""

from __future__ import annotations

from dataclasses import dataclass

from kfp import dsl, kubernetes
from kfp.dsl.pipeline_channel import PipelineParameterChannel

from stt_model.training import RUN_ID_VARIABLE

STORE_SECRET = "stt-bootstrap-store"
STORE_SECRET_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
STORE_SECRET_TOKEN = "AWS_SESSION_TOKEN"
"""A further key of the secret, only for temporary credentials."""
STORE_CONFIG_MAP = "stt-bootstrap-store"
STORE_CONFIG_KEYS = ("AWS_ENDPOINT_URL_S3", "AWS_REGION", "S3_ADDRESSING_STYLE")
SERVICE_ACCOUNT = "stt-bootstrap-runner"

PROJECT = "stt-bootstrap"
NAME_LABEL = "app.kubernetes.io/name"
COMPONENT_LABEL = "app.kubernetes.io/component"

_HOUR = 3600  # seconds
_SHARED_MEMORY = "2Gi"


@dataclass(frozen=True)
class Budget:
    """What a task may use: Kubernetes quantities, as texts or parameters."""

    cpu: str | PipelineParameterChannel
    memory: str | PipelineParameterChannel
    hours: int
    """The maximum duration of one attempt."""
    retries: int
    """Attempts after the first."""


REFUSAL = Budget(cpu="100m", memory="256Mi", hours=1, retries=0)


@dataclass(frozen=True)
class Accelerators:
    """Which GPUs a task gets, and on which nodes it may run."""

    type: PipelineParameterChannel
    """Resource name such as ``nvidia.com/gpu``; empty for none."""
    count: str | PipelineParameterChannel
    node_selector: PipelineParameterChannel | None = None
    """Labels that the node must have; none for any node."""
    tolerations: PipelineParameterChannel | None = None
    """Taints that the node may have, as a list of Kubernetes tolerations; none for no taint."""


def place(
    task: dsl.PipelineTask, budget: Budget, accelerators: Accelerators | None = None
) -> dsl.PipelineTask:
    """Set a task's limits, retries, time limit, labels and object store; return it."""
    task.set_cpu_limit(budget.cpu).set_memory_limit(budget.memory)
    _hand_down(task, budget.cpu, budget.memory)
    _set_retries(task, budget)
    kubernetes.set_timeout(task, budget.hours * _HOUR)
    kubernetes.set_security_context(task, run_as_non_root=True)
    kubernetes.add_pod_label(task, NAME_LABEL, PROJECT)
    kubernetes.add_pod_label(task, COMPONENT_LABEL, task.component_spec.name)
    _give_store(task)
    if accelerators:
        _give_accelerators(task, accelerators)
    return task


def _hand_down(task: dsl.PipelineTask, *values: str | PipelineParameterChannel) -> None:
    """Pass the pipeline's parameters that a task's resources name through the DAGs around it.

    kfp's compiler does so for a task's arguments but not for its resources, and the task's driver
    would not find the parameter.
    """
    task.register_pipeline_channels(
        [value for value in values if isinstance(value, PipelineParameterChannel)]
    )


def _set_retries(task: dsl.PipelineTask, budget: Budget) -> None:
    task.set_retry(
        budget.retries,
        backoff_duration="30s",
        backoff_factor=2.0,
        # Counted from the first start: Kubeflow's default of an hour ends before long tasks fail.
        backoff_max_duration=f"{budget.hours * (budget.retries + 1) * _HOUR}s",
    )


def _give_store(task: dsl.PipelineTask) -> None:
    kubernetes.use_secret_as_env(
        task,
        STORE_SECRET,
        {key: key for key in (*STORE_SECRET_KEYS, STORE_SECRET_TOKEN)},
        optional=True,
    )
    kubernetes.use_config_map_as_env(
        task, STORE_CONFIG_MAP, {key: key for key in STORE_CONFIG_KEYS}, optional=True
    )


def _give_accelerators(task: dsl.PipelineTask, accelerators: Accelerators) -> None:
    task.set_accelerator_type(accelerators.type).set_accelerator_limit(accelerators.count)
    _hand_down(task, accelerators.type, accelerators.count)
    if accelerators.node_selector is not None:
        kubernetes.add_node_selector_json(task, accelerators.node_selector)
    if accelerators.tolerations is not None:
        kubernetes.add_toleration_json(task, accelerators.tolerations)
    # GPUs exchange gradients, and decoding processes their work, through shared memory; by default
    # a container has 64 MB of it.
    kubernetes.empty_dir_mount(
        task, "shared-memory", "/dev/shm", medium="Memory", size_limit=_SHARED_MEMORY
    )


def name_run(task: dsl.PipelineTask) -> dsl.PipelineTask:
    """Give a task the id of its run in the environment; return the task.

    As a parameter, the id would keep every run out of Kubeflow's cache.
    """
    return kubernetes.use_field_path_as_env(
        task, RUN_ID_VARIABLE, "metadata.labels['pipeline/runid']"
    )
