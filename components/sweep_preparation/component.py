"""Kubeflow component: the start of a sweep."""

from typing import NamedTuple

from kfp import dsl

from stt_bootstrap.components import images


@dsl.component(base_image=images.MODEL, install_kfp_package=False)
def sweep_preparation(
    dataset_uri: str,
    checkpoint_uris: list,  # type: ignore[type-arg]
    prepared: dsl.Output[dsl.Dataset],
    sweep_plan: dsl.Output[dsl.Markdown],
    drop_depths: str = "0,1",
    learning_rates: str = "auto",
    strict: bool = False,
    normalise: str = "",
    epochs: str = "auto",
    train_batch_size: str = "auto",
    dropout_rate: str = "auto",
    augment: str = "auto",
    random_seed: int = 4568,
    sweep_uri: str = "",
) -> NamedTuple("Outputs", [("members", list)]):  # type: ignore[valid-type]
    """Validate a dataset, fetch sources and compute features once, for all trainings of a sweep.

    Args:
        dataset_uri: Folder with train.csv, dev.csv and test.csv in Coqui's form, as a path,
            file:// or s3:// URI.
        checkpoint_uris: Checkpoint folders, archives or deployed models, as paths or URIs.
        drop_depths: Numbers of layers to replace that are tried, counted from the output, such as
            1..5 or 0,1,2; 0 fine-tunes, if the source has every character.
        learning_rates: Learning rates that are tried, such as auto,0.001; auto depends on the
            corpus.
        strict: Stop if any row of the dataset has an error, instead of rejecting it.
        normalise: Normalise transcripts by the rules of a language, such as en or pt-BR, by the
            rules named generic, or by your own YAML file; empty leaves them unchanged.
        epochs: Passes over the training split; auto stops when the dev split no longer improves.
        train_batch_size: Utterances per training step, over all GPUs; auto depends on the corpus.
        dropout_rate: Share of the units of layers 1, 2, 3 and 5 that each step drops; auto depends
            on the corpus.
        augment: Augmentations of the training split: Coqui's specifications separated by spaces,
            such as volume[p=0.1,dbfs=-10:-40] tempo[factor=1~0.2]; auto depends on the corpus, none
            or empty for no change.
        random_seed: Seed of new weights, of dropout and of the order of batches.
        sweep_uri: Folder for the results of all trainings; if it is an s3:// URI, this step fails
            unless an empty object can be stored there. Empty for none.

    Returns:
        prepared: Clean manifests, sources, alphabets, features, and the plan.
        sweep_plan: The trainings of the sweep, and those left out, with the reasons.
        members: The trainings, by digest.
    """
    from pathlib import Path

    from stt_model import jobs

    plan = jobs.prepare_members(
        [dataset_uri],
        checkpoint_uris,
        Path(prepared.path),
        drop_depths=drop_depths,
        learning_rates=learning_rates,
        strict=strict,
        normalise=normalise,
        epochs=epochs,
        train_batch_size=train_batch_size,
        dropout_rate=dropout_rate,
        augment=augment,
        random_seed=random_seed,
        sweep_uri=sweep_uri,
        report=Path(sweep_plan.path),
    )
    return ([each.key for each in plan.members],)
