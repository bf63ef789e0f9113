"""Example: a pipeline with the component layer_surgery."""

from kfp import components, dsl

layer_surgery = components.load_component_from_file("components/layer_surgery/component.yaml")


@dsl.pipeline(name="graft-only")
def graft_only(checkpoint: dsl.Input[dsl.Model], alphabet: dsl.Input[dsl.Artifact]) -> dsl.Model:
    grafted = layer_surgery(checkpoint=checkpoint, model_alphabet=alphabet, drop_source_layers=2)
    return grafted.outputs["grafted_checkpoint"]
