"""Example: a pipeline with the component refusal."""

from kfp import components, dsl

refusal = components.load_component_from_file("components/refusal/component.yaml")


@dsl.pipeline(name="guarded")
def guarded(mode: str, reason: str) -> None:
    with dsl.If(mode == "refuse"):
        refusal(reason=reason)
