"""The work of the component: offer a training, run a TrainJob that takes it, collect results."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stt_bootstrap.components.distributed_training.following import TrainJobs, train_on_nodes
from stt_bootstrap.components.distributed_training.train_job import (
    NodeSize,
    Owner,
    TrainJobError,
    describe_train_job,
)
from stt_model import jobs
from stt_model.base import StorageError
from stt_model.training import of_this_run

__all__ = ["NodeSize", "train_distributed"]

log = logging.getLogger(__name__)


def train_distributed(
    dataset: str,
    checkpoint: str,
    model_alphabet: str,
    trained_checkpoint: str,
    report: str,
    *,
    run_state_uri: str,
    nodes: int,
    size: NodeSize,
    training_runtime: str,
    settings: Mapping[str, Any],
    cluster: TrainJobs | None = None,
    environ: Mapping[str, str] = os.environ,
) -> dict[str, float]:
    """Train on several nodes of this pod's cluster; return the metrics.

    ``cluster`` is where the job is created; by default in this pod's namespace.

    Raises:
        StoppedError: on SIGTERM, after the state was saved.
        BootstrapError: any other failure that a person can fix.
    """
    if nodes < 2:
        raise TrainJobError(
            f"nodes={nodes}: expected at least 2; for one, use the component training"
        )
    owner = Owner.from_environment(environ)
    cluster = cluster or TrainJobs.around_this_pod()
    offer = jobs.offer_training(
        of_this_run(run_state_uri, environ),
        dataset=dataset,
        checkpoint=checkpoint,
        model_alphabet=model_alphabet,
        save_checkpoint_dir=trained_checkpoint,
        settings=settings,
    )
    body = describe_train_job(
        offer.uri,
        nodes,
        size,
        owner,
        runtime=training_runtime,
        queue=cluster.queue_of(owner),
        environ=environ,
    )
    train_on_nodes(cluster, body)
    figures = jobs.collect_training(offer, trained_checkpoint, Path(report))
    try:
        jobs.withdraw_offer(offer)
    except StorageError as error:
        log.warning("%s; the offer is no longer needed, but could not be removed", error)
    return figures
