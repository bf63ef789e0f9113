"""Example: a pipeline with the component dataset_packing."""

from kfp import components, dsl

dataset_validation = components.load_component_from_file(
    "components/dataset_validation/component.yaml"
)
dataset_packing = components.load_component_from_file("components/dataset_packing/component.yaml")


@dsl.pipeline(name="check-and-pack")
def check_and_pack(dataset_uri: str, packed_uri: str) -> None:
    validated = dataset_validation(dataset_uri=dataset_uri)
    dataset_packing(dataset=validated.outputs["clean_dataset"], packed_uri=packed_uri)
