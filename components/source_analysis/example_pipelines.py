"""Example: a pipeline with the component source_analysis."""

from kfp import components, dsl

source_analysis = components.load_component_from_file("components/source_analysis/component.yaml")


@dsl.pipeline(name="look-before-training")
def look_before_training(dataset_uri: str, checkpoint_uri: str) -> str:
    analysed = source_analysis(dataset_uri=dataset_uri, checkpoint_uri=checkpoint_uri)
    return analysed.outputs["mode"]
