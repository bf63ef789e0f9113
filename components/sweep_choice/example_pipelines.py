"""Example: a pipeline with the component sweep_choice."""

from kfp import components, dsl

sweep_choice = components.load_component_from_file("components/sweep_choice/component.yaml")


@dsl.pipeline(name="better-half")
def better_half(prepared: dsl.Input[dsl.Dataset], members: list[str], sweep_uri: str) -> list[str]:
    chosen = sweep_choice(prepared=prepared, members=members, rung=5, sweep_uri=sweep_uri)
    return chosen.outputs["remaining"]
