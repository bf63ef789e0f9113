"""Kubeflow component: one training of a sweep."""

from typing import NamedTuple

from kfp import dsl

from stt_bootstrap.components import images


@dsl.component(base_image=images.MODEL, install_kfp_package=False)
def sweep_member(
    prepared: dsl.Input[dsl.Dataset],
    member: str,
    sweep_uri: str,
    rung: int = 0,
) -> NamedTuple("Outputs", [("done", str)]):  # type: ignore[valid-type]
    """Train one member of a sweep up to an epoch, or to its end, and measure it on the dev split.

    Work that was done before, by this run or another with the same sweep_uri, is not repeated.

    Args:
        prepared: The output of sweep_preparation.
        member: Digest of the training.
        sweep_uri: Folder for the results of all trainings, as a path, file:// or s3:// URI.
        rung: Epoch to stop after; 0 trains to the end.

    Returns:
        done: The same digest, for the steps that wait for this training.
    """
    import sys
    from pathlib import Path

    from stt_model import jobs
    from stt_model.base import StoppedError

    try:
        jobs.train_member(Path(prepared.path), member, rung, sweep_uri)
    except StoppedError as stopped:
        print(stopped, file=sys.stderr)
        sys.exit(stopped.exit_code)
    return (member,)
