"""Example: a pipeline with the component forced_alignment."""

from kfp import components, dsl

forced_alignment = components.load_component_from_file("components/forced_alignment/component.yaml")


@dsl.pipeline(name="align-only")
def align_only(source_uri: str, checkpoint_uri: str, clips_uri: str) -> None:
    aligned = forced_alignment(
        source_uri=source_uri, checkpoint_uri=checkpoint_uri, clips_uri=clips_uri, rounds=2
    )
    # The content behind a URI can change.
    aligned.set_caching_options(False)
