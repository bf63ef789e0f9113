"""Example: a pipeline with the component dataset_import."""

from kfp import components, dsl

dataset_import = components.load_component_from_file("components/dataset_import/component.yaml")


@dsl.pipeline(name="import-only")
def import_only(source_uri: str, corpus_uri: str) -> None:
    imported = dataset_import(source_uri=source_uri, corpus_uri=corpus_uri)
    # The content behind a URI can change.
    imported.set_caching_options(False)
