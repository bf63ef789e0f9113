"""Example: a pipeline with the component training."""

from kfp import components, dsl

training = components.load_component_from_file("components/training/component.yaml")


@dsl.pipeline(name="train-only")
def train_only(
    dataset: dsl.Input[dsl.Dataset],
    checkpoint: dsl.Input[dsl.Model],
    alphabet: dsl.Input[dsl.Artifact],
) -> dsl.Model:
    trained = training(dataset=dataset, checkpoint=checkpoint, model_alphabet=alphabet, epochs="20")
    return trained.outputs["trained_checkpoint"]
