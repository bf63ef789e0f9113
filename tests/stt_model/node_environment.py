"""What Kubeflow Trainer and JobSet make of a TrainJob and its runtime, for each of its nodes.

As Trainer 2.3 does it: `pkg/runtime/framework/plugins/torch` and `plugins/jobset` of its source.
"""

from __future__ import annotations

from typing import Any


def node_command(train_job: dict[str, Any], runtime: dict[str, Any]) -> list[str]:
    """Return what the container of a node runs."""
    container = _container(runtime)
    return [*container["command"], *train_job["spec"]["trainer"]["args"]]


def node_environment(
    train_job: dict[str, Any], runtime: dict[str, Any], index: int
) -> dict[str, str]:
    """Return the variables of a node, without those from secrets and config maps."""
    assert runtime["spec"]["mlPolicy"]["torch"] == {}
    name, trainer = train_job["metadata"]["name"], train_job["spec"]["trainer"]
    own = {each["name"]: each["value"] for each in _container(runtime)["env"] if "value" in each}
    job_env = {each["name"]: each["value"] for each in trainer.get("env", [])}
    # What is counted of processors and GPUs here is of no concern to TensorFlow.
    return {
        **own,
        **job_env,
        "PET_NNODES": str(trainer["numNodes"]),
        "PET_NPROC_PER_NODE": "1",
        "PET_NODE_RANK": str(index),
        "PET_MASTER_ADDR": node_host(name, 0),
        "PET_MASTER_PORT": "29500",
        "JOB_COMPLETION_INDEX": str(index),
    }


def node_host(job: str, index: int) -> str:
    """Return the name under which a node is found: of the pod, in the job's headless service."""
    return f"{job}-node-0-{index}.{job}"


def _container(runtime: dict[str, Any]) -> dict[str, Any]:
    [job] = runtime["spec"]["template"]["spec"]["replicatedJobs"]
    assert job["name"] == "node"
    [container] = job["template"]["spec"]["template"]["spec"]["containers"]
    assert container["name"] == "node"
    return dict(container)
