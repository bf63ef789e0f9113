"""Example: a pipeline with the component dataset_validation."""

from kfp import components, dsl

dataset_validation = components.load_component_from_file(
    "components/dataset_validation/component.yaml"
)


@dsl.pipeline(name="check-only")
def check_only(dataset_uri: str) -> None:
    dataset_validation(dataset_uri=dataset_uri, strict=True)
