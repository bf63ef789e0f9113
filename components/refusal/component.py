"""Kubeflow component: a refusal."""

from kfp import dsl

from stt_bootstrap.components import images


@dsl.component(base_image=images.LIGHT, install_kfp_package=False)
def refusal(reason: str) -> None:
    """Fail with a reason: the run asked for something that its dataset and checkpoint do not allow.

    Args:
        reason: What was asked for and what is possible, in one line.
    """
    from stt_model import jobs

    jobs.refuse(reason)
