"""Kubeflow component: a rung of a sweep."""

from typing import NamedTuple

from kfp import dsl

from stt_bootstrap.components import images


@dsl.component(base_image=images.LIGHT, install_kfp_package=False)
def sweep_choice(
    prepared: dsl.Input[dsl.Dataset],
    members: list,  # type: ignore[type-arg]
    rung: int,
    sweep_uri: str,
    keep: float = 0.5,
    choose_by: str = "cer",
) -> NamedTuple("Outputs", [("remaining", list)]):  # type: ignore[valid-type]
    """Choose the best-ranked trainings of those that have reached a rung.

    Args:
        prepared: The output of sweep_preparation.
        members: Digests of the trainings.
        rung: Epoch that the trainings have reached.
        sweep_uri: Folder for the results of all trainings, as a path, file:// or s3:// URI.
        keep: Share of the trainings that continue after each rung.
        choose_by: Dev error rate by which trainings are ranked.

    Returns:
        remaining: Digests of the trainings that continue, the best first.
    """
    from pathlib import Path

    from stt_model import jobs

    remaining = jobs.choose_members(
        Path(prepared.path), members, rung, sweep_uri, keep=keep, choose_by=choose_by
    )
    return (remaining,)
