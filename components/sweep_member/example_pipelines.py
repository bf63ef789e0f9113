"""Example: a pipeline with the component sweep_member."""

from kfp import components, dsl

sweep_member = components.load_component_from_file("components/sweep_member/component.yaml")


@dsl.pipeline(name="all-to-the-end")
def all_to_the_end(prepared: dsl.Input[dsl.Dataset], members: list[str], sweep_uri: str) -> None:
    with dsl.ParallelFor(members, parallelism=2) as member:
        sweep_member(prepared=prepared, member=member, sweep_uri=sweep_uri)
