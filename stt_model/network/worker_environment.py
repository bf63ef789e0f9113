"""The processes that train together, as the environment of each of them names them.

Nothing here loads TensorFlow, which reads ``TF_CONFIG`` when its strategy is made.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, MutableMapping
from typing import Any

from stt_model.base import TrainingError, parse_json

_FIRST_HOST = re.compile(r"(?P<job>[a-z0-9]([-a-z0-9]*[a-z0-9])?)-0(?P<domain>(\.[-a-z0-9]+)*)")
"""Of an indexed job: the first pod's name ends with its index, before the service's domain."""


def join_workers(environ: MutableMapping[str, str]) -> None:
    """Set ``TF_CONFIG`` where Kubeflow Trainer has set its variables, and it is not set yet."""
    if not environ.get("TF_CONFIG") and (config := worker_config(environ)):
        environ["TF_CONFIG"] = json.dumps(config)


def worker_config(environ: Mapping[str, str]) -> dict[str, Any] | None:
    """Return ``TF_CONFIG`` of this process, None where it is the only one.

    It is made from the variables of Kubeflow Trainer's policy for torch, since there is none for
    TensorFlow: how many nodes there are, which of them this is, the first one's address and port.
    The others have the same address but for their index.

    Raises:
        TrainingError: one of the variables is not there, or not as Trainer writes it.
    """
    count = _number(environ, "PET_NNODES", 1)
    if count < 2:
        return None
    index = _number(environ, "PET_NODE_RANK")
    port = _number(environ, "PET_MASTER_PORT")
    first = environ.get("PET_MASTER_ADDR", "")
    match = _FIRST_HOST.fullmatch(first)
    if not match or not 0 <= index < count:
        raise TrainingError(
            f"PET_MASTER_ADDR={first} and PET_NODE_RANK={index}: expected the address of the first"
            f" of {count} nodes, NAME-0.DOMAIN, and an index below {count}, as Kubeflow Trainer"
            " sets them"
        )
    hosts = [f"{match['job']}-{node}{match['domain']}:{port}" for node in range(count)]
    return {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}


def is_chief() -> bool:
    """Return whether this process is the one of several that writes, by ``TF_CONFIG`` alone.

    What is not as TensorFlow expects it there, TensorFlow refuses later.
    """
    try:
        config = parse_json(os.environ.get("TF_CONFIG") or "{}")
        task, cluster = config.get("task", {}), config.get("cluster", {})
        kind, index = task.get("type", "worker"), int(task.get("index", 0))
        return bool(kind == "chief" or (index == 0 and "chief" not in cluster))
    except (ValueError, TypeError, AttributeError):
        return True


def _number(environ: Mapping[str, str], name: str, default: int | None = None) -> int:
    text = environ.get(name, "")
    if not text and default is not None:
        return default
    if not re.fullmatch(r"\d{1,5}", text):
        raise TrainingError(
            f"{name}={text}: expected a number, as Kubeflow Trainer sets it; run this under a"
            " runtime with the policy torch"
        )
    return int(text)
