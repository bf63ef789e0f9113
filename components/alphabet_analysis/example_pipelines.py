"""Example: a pipeline with the component alphabet_analysis."""

from kfp import components, dsl

alphabet_analysis = components.load_component_from_file(
    "components/alphabet_analysis/component.yaml"
)


@dsl.pipeline(name="decide-only")
def decide_only(dataset: dsl.Input[dsl.Dataset], checkpoint: dsl.Input[dsl.Model]) -> str:
    return alphabet_analysis(dataset=dataset, checkpoint=checkpoint).outputs["mode"]
