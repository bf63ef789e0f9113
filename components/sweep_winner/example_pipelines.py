"""Example: a pipeline with the component sweep_winner."""

from kfp import components, dsl

sweep_winner = components.load_component_from_file("components/sweep_winner/component.yaml")


@dsl.pipeline(name="winner-only")
def winner_only(prepared: dsl.Input[dsl.Dataset], finished: list[str], sweep_uri: str) -> dsl.Model:
    best = sweep_winner(prepared=prepared, finished=finished, sweep_uri=sweep_uri)
    return best.outputs["trained_checkpoint"]
