"""Example: a pipeline with the component checkpoint_fetch."""

from kfp import components, dsl

checkpoint_fetch = components.load_component_from_file("components/checkpoint_fetch/component.yaml")


@dsl.pipeline(name="fetch-only")
def fetch_only(checkpoint_uri: str) -> None:
    fetched = checkpoint_fetch(checkpoint_uri=checkpoint_uri)
    fetched.outputs["checkpoint"]  # a Model for the next step
