"""Example: a pipeline with the component sweep_preparation."""

from kfp import components, dsl

sweep_preparation = components.load_component_from_file(
    "components/sweep_preparation/component.yaml"
)


@dsl.pipeline(name="sweep-plan-only")
def sweep_plan_only(dataset_uri: str, checkpoint_uris: list[str]) -> list[str]:
    prepared = sweep_preparation(dataset_uri=dataset_uri, checkpoint_uris=checkpoint_uris)
    return prepared.outputs["members"]
