"""Example: a pipeline with the component run_settings."""

from kfp import components, dsl

run_settings = components.load_component_from_file("components/run_settings/component.yaml")


@dsl.pipeline(name="settings-of-a-run")
def settings_of_a_run(dataset_uri: str, checkpoint_uri: str, settings: dict[str, str]) -> int:
    chosen = run_settings(
        dataset_uri=dataset_uri, checkpoint_uri=checkpoint_uri, settings=settings
    ).set_caching_options(False)
    return chosen.outputs["es_epochs"]
