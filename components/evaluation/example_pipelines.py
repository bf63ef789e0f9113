"""Example: a pipeline with the component evaluation."""

from kfp import components, dsl

evaluation = components.load_component_from_file("components/evaluation/component.yaml")


@dsl.pipeline(name="evaluate-only")
def evaluate_only(dataset: dsl.Input[dsl.Dataset], checkpoint: dsl.Input[dsl.Model]) -> float:
    return evaluation(dataset=dataset, checkpoint=checkpoint).outputs["wer"]
