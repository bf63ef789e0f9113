"""Kubeflow component: registration."""

from typing import NamedTuple

from kfp import dsl

from stt_bootstrap.components import images


@dsl.component(base_image=images.LIGHT, install_kfp_package=False)
def model_registration(
    exported_model: dsl.Input[dsl.Model],
    registry_url: str,
    model_uri: str = "",
    released: bool = True,
    wer: float = -1.0,
    cer: float = -1.0,
) -> NamedTuple("Outputs", [("model", str), ("version", str)]):  # type: ignore[valid-type]
    """Register an export in Kubeflow's Model Registry (alpha, as is the registry's interface).

    Registering an export again creates no new version. A model that is not released is not
    registered.

    Args:
        exported_model: Folder that model_export wrote.
        registry_url: Address of the registry, such as http://model-registry-service.kubeflow:8080.
        model_uri: Where users of the registry find the export, such as the export_uri of
            model_export; empty for the artifact's own place.
        released: Whether the model card says that the model may be used.
        wer: Word error rate on the test split, such as 0.2; below 0 if not known.
        cer: Character error rate on the test split, such as 0.05; below 0 if not known.

    Returns:
        model: Name of the registered model; empty if nothing was registered.
        version: Name of the model's version.
    """
    from stt_model import jobs

    registered = jobs.register_model(
        exported_model.path,
        model_uri or exported_model.uri,
        registry_url,
        released=released,
        wer=wer,
        cer=cer,
    )
    return (registered.model, registered.version)
