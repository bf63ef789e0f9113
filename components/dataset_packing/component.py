"""Kubeflow component: packing a dataset."""

from kfp import dsl

from stt_bootstrap.components import images


@dsl.component(base_image=images.LIGHT, install_kfp_package=False)
def dataset_packing(
    dataset: dsl.Input[dsl.Dataset],
    packed_uri: str,
    shard_size: int = 256,
) -> str:
    """Put the clips of a dataset into tar shards, which are read faster than single files.

    Args:
        dataset: Manifests whose audio this step can reach, such as dataset_validation's.
        packed_uri: Empty folder for manifests and shards, as a path, file:// or s3:// URI.
        shard_size: Size of a shard, in MiB; a clip is never divided.

    Returns:
        Output: The packed dataset.
    """
    from stt_model import jobs

    jobs.pack(dataset.path, packed_uri, shard_size=shard_size)
    return packed_uri
