"""Example: a pipeline with the component model_export."""

from kfp import components, dsl

model_export = components.load_component_from_file("components/model_export/component.yaml")


@dsl.pipeline(name="export-only")
def export_only(dataset: dsl.Input[dsl.Dataset], checkpoint: dsl.Input[dsl.Model]) -> dsl.Model:
    exported = model_export(dataset=dataset, checkpoint=checkpoint, export_language="sw")
    return exported.outputs["exported_model"]
