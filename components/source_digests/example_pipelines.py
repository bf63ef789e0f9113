"""Example: a pipeline with the component source_digests."""

from kfp import components, dsl

source_digests = components.load_component_from_file("components/source_digests/component.yaml")
fetch = components.load_component_from_file("components/checkpoint_fetch/component.yaml")


@dsl.pipeline(name="fetch-what-changed")
def fetch_what_changed(dataset_uri: str, checkpoint_uri: str) -> None:
    sources = source_digests(dataset_uri=dataset_uri, checkpoint_uri=checkpoint_uri)
    sources.set_caching_options(False)
    digest = sources.outputs["checkpoint_digest"]
    fetch(checkpoint_uri=checkpoint_uri, checkpoint_digest=digest)
