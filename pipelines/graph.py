"""The graph that all packages of the pipeline share: analyse, adapt in one of two ways, or refuse.

Both ways are plain branches of the root. Joining their values afterwards would put one more level
around both, which people must click through and for which Kubeflow starts a pod.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kfp import dsl

from stt_bootstrap.components.distributed_training.component import distributed_training
from stt_bootstrap.components.evaluation.component import evaluation
from stt_bootstrap.components.model_export.component import model_export
from stt_bootstrap.components.model_registration.component import model_registration
from stt_bootstrap.components.refusal.component import refusal
from stt_bootstrap.components.source_analysis.component import source_analysis
from stt_bootstrap.components.training.component import training
from stt_bootstrap.pipelines import cluster
from stt_bootstrap.pipelines.tasks import add_task
from stt_bootstrap.pipelines.variant import current_variant


def add_graph(values: Mapping[str, Any]) -> None:
    """Add every step after the first to the pipeline that is being defined.

    ``values`` are the pipeline's parameters and the digests of its sources by name: parameters, or
    outputs of the first step.
    """
    analysed = add_task(
        source_analysis,
        values,
        strict=values["strict_validation"],
        expected_sha256=values["checkpoint_sha256"],
    ).set_display_name("Fine-tune or transfer")
    data = cluster.Budget(values["data_cpu"], values["data_memory"], hours=24, retries=2)
    cluster.place(analysed, data)
    with dsl.If(analysed.outputs["mode"] == "fine-tune", name="fine-tune"):
        _adapt(values, analysed, "source_checkpoint", freeze_source_epochs="0")
    with dsl.If(analysed.outputs["mode"] == "transfer", name="transfer"):
        _adapt(
            values,
            analysed,
            "grafted_checkpoint",
            freeze_source_epochs=values["freeze_source_epochs"],
        )
    with dsl.If(analysed.outputs["mode"] == "refuse", name="refuse"):
        refused = refusal(reason=analysed.outputs["reason"]).set_display_name("Refuse")
        refused.set_caching_options(False)
        cluster.place(refused, cluster.REFUSAL)


def _adapt(
    values: Mapping[str, Any], analysed: dsl.PipelineTask, checkpoint: str, **further: Any
) -> None:
    """Train a checkpoint whose output layer fits, evaluate and export it.

    This is not a nested pipeline: when fine-tuning, it would get the source checkpoint under two
    names, and Kubeflow's metadata store allows an artifact only once per task and DAG.
    """
    dataset = analysed.outputs["clean_dataset"]
    placed = (values.get("node_selector"), values.get("tolerations"))
    trained = _train(
        values,
        placed,
        dataset=dataset,
        checkpoint=analysed.outputs[checkpoint],
        model_alphabet=analysed.outputs["model_alphabet"],
        **further,
    ).set_display_name("Train")
    cluster.name_run(trained)
    evaluated = add_task(
        evaluation,
        values,
        dataset=dataset,
        checkpoint=trained.outputs["trained_checkpoint"],
        source_checkpoint=analysed.outputs["source_checkpoint"],
    ).set_display_name("Evaluate")
    # A model that misses the gate is exported too, but not marked as released.
    exported = add_task(
        model_export,
        values,
        dataset=dataset,
        checkpoint=trained.outputs["trained_checkpoint"],
        released=evaluated.outputs["passed"],
        gate=evaluated.outputs["gate"],
    ).set_display_name("Export")
    cluster.place(
        evaluated,
        cluster.Budget(values["evaluation_cpu"], values["evaluation_memory"], hours=24, retries=2),
        cluster.Accelerators(values["gpu_type"], "1", *placed),
    )
    cluster.place(
        exported, cluster.Budget(values["export_cpu"], values["export_memory"], hours=4, retries=2)
    )
    if registry := current_variant().model_registry:
        registered = add_task(
            model_registration,
            values,
            exported_model=exported.outputs["exported_model"],
            registry_url=registry,
            model_uri=values["export_uri"],
            released=evaluated.outputs["passed"],
            wer=evaluated.outputs["wer"],
            cer=evaluated.outputs["cer"],
        ).set_display_name("Register")
        data = cluster.Budget(values["data_cpu"], values["data_memory"], hours=1, retries=2)
        cluster.place(registered, data)


def _train(values: Mapping[str, Any], placed: tuple[Any, Any], **inputs: Any) -> dsl.PipelineTask:
    """Train in one pod, or on several nodes, with one more pod that follows theirs."""
    size = (values["training_cpu"], values["training_memory"])
    nodes = current_variant().nodes
    if nodes == 1:
        return cluster.place(
            add_task(training, values, **inputs),
            cluster.Budget(*size, hours=7 * 24, retries=3),
            cluster.Accelerators(values["gpu_type"], values["gpu_count"], *placed),
        )
    trained = add_task(
        distributed_training,
        values,
        **inputs,
        nodes=nodes,
        node_cpu=size[0],
        node_memory=size[1],
    )
    data = cluster.Budget(values["data_cpu"], values["data_memory"], hours=7 * 24, retries=3)
    return cluster.place(trained, data)
