"""Example: a pipeline with the component model_registration."""

from kfp import components, dsl

model_registration = components.load_component_from_file(
    "components/model_registration/component.yaml"
)


@dsl.pipeline(name="register-only")
def register_only(exported_model: dsl.Input[dsl.Model], model_uri: str) -> None:
    model_registration(
        exported_model=exported_model,
        model_uri=model_uri,
        registry_url="http://model-registry-service.kubeflow:8080",
    )
