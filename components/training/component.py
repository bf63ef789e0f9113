"""Kubeflow component: training."""

from kfp import dsl

from stt_bootstrap.components import images


@dsl.component(base_image=images.MODEL, install_kfp_package=False)
def training(
    dataset: dsl.Input[dsl.Dataset],
    checkpoint: dsl.Input[dsl.Model],
    model_alphabet: dsl.Input[dsl.Artifact],
    trained_checkpoint: dsl.Output[dsl.Model],
    training_report: dsl.Output[dsl.Markdown],
    training_metrics: dsl.Output[dsl.Metrics],
    epochs: str = "auto",
    train_batch_size: str = "auto",
    dev_batch_size: int = 16,
    learning_rate: str = "auto",
    dropout_rate: str = "auto",
    random_seed: int = 4568,
    clip_norm: float = 0.0,
    freeze_source_epochs: str = "auto",
    augment: str = "auto",
    mixed_precision: str = "auto",
    best_by: str = "loss",
    early_stop: bool = False,
    es_epochs: int = 25,
    es_min_delta: float = 0.05,
    reduce_lr_on_plateau: bool = False,
    plateau_epochs: int = 10,
    plateau_reduction: float = 0.1,
    checkpoint_secs: float = 600.0,
    run_state_uri: str = "",
    unlabelled_uri: str = "",
    unlabelled_digest: str = "",
    scorer_uri: str = "",
    scorer_digest: str = "",
    forecast: bool = False,
) -> None:
    """Train from a checkpoint on every GPU of the node, or on the CPU.

    If it is restarted with the same run_state_uri, it resumes the training. On SIGTERM it saves its
    state and exits with code 75.

    Args:
        dataset: Clean manifests, as dataset_validation writes them.
        checkpoint: Checkpoint folder in Coqui's layout to start from.
        model_alphabet: Alphabet file with the checkpoint's labels, in the order of its output
            layer.
        epochs: Passes over the training split; auto stops when the dev split no longer improves.
        train_batch_size: Utterances per training step, over all GPUs; auto depends on the corpus.
        dev_batch_size: Utterances per batch of the dev split.
        learning_rate: Step size of Adam; one stored in a checkpoint is ignored. Auto depends on the
            corpus, and lowers it when the dev split stops improving.
        dropout_rate: Share of the units of layers 1, 2, 3 and 5 that each step drops; auto depends
            on the corpus.
        random_seed: Seed of new weights, of dropout and of the order of batches.
        clip_norm: Maximum norm of the gradient of all weights; 0 for no limit.
        freeze_source_epochs: If layers are replaced: first epochs, in which only the new layers are
            trained; auto depends on the corpus.
        augment: Augmentations of the training split: Coqui's specifications separated by spaces,
            such as volume[p=0.1,dbfs=-10:-40] tempo[factor=1~0.2]; auto depends on the corpus, none
            or empty for no change.
        mixed_precision: Precision of the computation: auto, off (32 bits), float16 or bfloat16;
            weights stay in 32 bits. Auto takes bfloat16 if it is clearly faster on this machine,
            otherwise off.
        best_by: loss, cer or wer: the measure on the dev split that decides the best epoch,
            plateaus and early stopping.
        early_stop: Stop after es_epochs epochs without improvement on the dev split.
        es_epochs: Epochs without improvement that early_stop waits for.
        es_min_delta: Smallest fall of the dev loss that counts as an improvement, in nats per
            utterance.
        reduce_lr_on_plateau: Lower the learning rate when plateau_epochs epochs bring no
            improvement, and go back to the best epoch.
        plateau_epochs: Epochs without improvement that reduce_lr_on_plateau waits for.
        plateau_reduction: Factor by which a plateau lowers the learning rate.
        checkpoint_secs: Seconds between saves within an epoch; 0 saves after each epoch only.
        run_state_uri: Folder for the state of the training, so that another pod can resume it, as a
            path, file:// or s3:// URI. It is for this run alone; with STT_BOOTSTRAP_RUN_ID in the
            environment, each run has a folder below it. Empty for none.
        unlabelled_uri: Recordings without transcripts: a folder, archive or file, as a path or URI.
            Clips of which the trained model is certain are added with its text, and it is trained
            again; the second model is kept only if it is significantly better on the dev split,
            which needs 30 clips or more. Empty for none.
        unlabelled_digest: Digest of these recordings, from source_digests; recorded with the
            checkpoint.
        scorer_uri: Language model to transcribe these recordings with: a Coqui .scorer package, as
            a path, file://, s3:// or http(s):// URI; empty for none.
        scorer_digest: Digest of the scorer, from source_digests; recorded with the checkpoint.
        forecast: Train on parts of the training split too, and forecast the error rate with more
            speech; this takes about as long as training again.

    Returns:
        trained_checkpoint: Checkpoint folder in the same layout, with the best and the last epoch.
        training_report: Loss and speed of each epoch, the second training, and the forecast.
        training_metrics: Epochs and the best loss.
    """
    import sys
    from pathlib import Path

    from stt_model import jobs
    from stt_model.base import StoppedError
    from stt_model.corpus import find_splits

    splits = find_splits(dataset.path)
    try:
        result = jobs.train_and_forecast(
            [splits["train"]],
            [splits["dev"]],
            jobs.test_split(splits)[0],
            save_checkpoint_dir=trained_checkpoint.path,
            run_state_uri=run_state_uri,
            report=Path(training_report.path),
            is_wanted=forecast,
            unlabelled_uri=unlabelled_uri,
            unlabelled_digest=unlabelled_digest,
            scorer_uri=scorer_uri,
            scorer_digest=scorer_digest,
            load_checkpoint_dir=checkpoint.path,
            alphabet=jobs.read_model_alphabet(model_alphabet.path),
            epochs=epochs,
            train_batch_size=train_batch_size,
            dev_batch_size=dev_batch_size,
            learning_rate=learning_rate,
            dropout_rate=dropout_rate,
            random_seed=random_seed,
            clip_norm=clip_norm,
            freeze_source_epochs=freeze_source_epochs,
            augment=augment,
            mixed_precision=mixed_precision,
            best_by=best_by,
            early_stop=early_stop,
            es_epochs=es_epochs,
            es_min_delta=es_min_delta,
            reduce_lr_on_plateau=reduce_lr_on_plateau,
            plateau_epochs=plateau_epochs,
            plateau_reduction=plateau_reduction,
            checkpoint_secs=checkpoint_secs,
        )
    except StoppedError as stopped:
        print(stopped, file=sys.stderr)
        sys.exit(stopped.exit_code)
    for name, value in result.metrics().items():
        training_metrics.log_metric(name, value)
