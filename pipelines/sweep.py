"""The sweep as a pipeline: all trainings side by side, fewer of them after each rung."""

from kfp import dsl

from stt_bootstrap.components.sweep_choice.component import sweep_choice
from stt_bootstrap.components.sweep_member.component import sweep_member
from stt_bootstrap.components.sweep_preparation.component import sweep_preparation
from stt_bootstrap.components.sweep_winner.component import sweep_winner
from stt_bootstrap.pipelines import cluster

AT_ONCE = 4
"""Trainings that run at the same time; in Kubeflow this cannot be a parameter."""


@dsl.pipeline(name="stt-bootstrap-sweep-rung")
def train_all(
    prepared: dsl.Input[dsl.Dataset],
    members: list,  # type: ignore[type-arg]
    sweep_uri: str,
    rung: int,
    training_cpu: str,
    training_memory: str,
    gpu_type: str,
    gpu_count: str,
) -> None:
    """Train all remaining members, a few at a time.

    This is a nested pipeline because kfp.local finds a loop's items only among the inputs of the
    DAG around it.
    """
    with dsl.ParallelFor(members, name="members", parallelism=AT_ONCE) as member:
        trained = sweep_member(
            prepared=prepared, member=member, sweep_uri=sweep_uri, rung=rung
        ).set_display_name("Train")
        # Finished trainings are looked up at sweep_uri.
        trained.set_caching_options(False)
        cluster.place(
            trained,
            cluster.Budget(training_cpu, training_memory, hours=7 * 24, retries=3),
            cluster.Accelerators(gpu_type, gpu_count),
        )


@dsl.pipeline(name="stt-bootstrap-sweep")
def sweep(
    dataset_uri: str,
    checkpoint_uris: list,  # type: ignore[type-arg]
    sweep_uri: str,
    drop_depths: str = "0,1",
    learning_rates: str = "auto",
    first_rung: int = 5,
    second_rung: int = 15,
    keep: float = 0.5,
    choose_by: str = "cer",
    strict_validation: bool = False,
    normalise: str = "",
    epochs: str = "auto",
    train_batch_size: str = "auto",
    dropout_rate: str = "auto",
    augment: str = "auto",
    random_seed: int = 4568,
    data_cpu: str = "500m",
    data_memory: str = "2Gi",
    training_cpu: str = "8",
    training_memory: str = "32Gi",
    gpu_type: str = "",
    gpu_count: str = "1",
) -> None:
    """Train several sources, depths and rates on a dataset, rank them, and export the winner.

    Args:
        dataset_uri: Folder with train.csv, dev.csv and test.csv in Coqui's form, as a path,
            file:// or s3:// URI.
        checkpoint_uris: Checkpoint folders, archives or deployed models, as a JSON list of paths or
            URIs.
        sweep_uri: Folder for the results of all trainings, as a path, file:// or s3:// URI;
            a run with the same folder repeats no finished training.
        drop_depths: Numbers of layers to replace that are tried, counted from the output, such as
            1..5 or 0,1,2; 0 fine-tunes, if the source has every character.
        learning_rates: Learning rates that are tried, such as auto,0.001; auto depends on the
            corpus.
        first_rung: Epoch after which the first trainings are stopped.
        second_rung: Epoch after which the next trainings are stopped.
        keep: Share of the trainings that continue after each rung.
        choose_by: Dev error rate by which trainings are ranked.
        strict_validation: Stop if any row of the dataset has an error, instead of rejecting it.
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
        data_cpu: Processors that the steps that rank trainings may use on a cluster.
        data_memory: Memory that the steps that rank trainings may use on a cluster.
        training_cpu: Processors that each other step may use on a cluster, such as 8 or 7500m.
        training_memory: Memory that each other step may use on a cluster, such as 32Gi.
        gpu_type: Resource name of the GPUs that each training gets on a cluster, such as
            nvidia.com/gpu; empty for none.
        gpu_count: Number of GPUs per training.
    """
    data = cluster.Budget(data_cpu, data_memory, hours=4, retries=2)
    work = cluster.Budget(training_cpu, training_memory, hours=24, retries=2)
    started = sweep_preparation(
        dataset_uri=dataset_uri,
        checkpoint_uris=checkpoint_uris,
        drop_depths=drop_depths,
        learning_rates=learning_rates,
        strict=strict_validation,
        normalise=normalise,
        epochs=epochs,
        train_batch_size=train_batch_size,
        dropout_rate=dropout_rate,
        augment=augment,
        random_seed=random_seed,
        sweep_uri=sweep_uri,
    ).set_display_name("Validate and fetch")
    # The content behind a URI can change.
    started.set_caching_options(False)
    cluster.place(started, work)
    prepared, remaining = started.outputs["prepared"], started.outputs["members"]
    for name, rung in (("First rung", first_rung), ("Second rung", second_rung), ("End", 0)):
        reached = train_all(
            prepared=prepared,
            members=remaining,
            sweep_uri=sweep_uri,
            rung=rung,
            training_cpu=training_cpu,
            training_memory=training_memory,
            gpu_type=gpu_type,
            gpu_count=gpu_count,
        ).set_display_name(name)
        reached.set_caching_options(False)
        if name == "End":
            break
        chosen = sweep_choice(
            prepared=prepared,
            members=remaining,
            rung=rung,
            sweep_uri=sweep_uri,
            keep=keep,
            choose_by=choose_by,
        ).set_display_name("Choose the best")
        chosen.after(reached)
        chosen.set_caching_options(False)
        cluster.place(chosen, data)
        remaining = chosen.outputs["remaining"]
    finished = sweep_winner(
        prepared=prepared,
        finished=remaining,
        sweep_uri=sweep_uri,
        first_rung=first_rung,
        second_rung=second_rung,
        choose_by=choose_by,
    ).set_display_name("Export the winner")
    finished.after(reached)
    finished.set_caching_options(False)
    cluster.place(finished, work)
