"""Kubeflow component: the first step of the pipeline that is started from a form.

Made by ``make compile`` from the parameters of both pipelines; change them there.
"""

from typing import NamedTuple

from kfp import dsl

from stt_bootstrap.components import images


@dsl.component(base_image=images.LIGHT, install_kfp_package=False)
def run_settings(
    dataset_uri: str,
    checkpoint_uri: str,
    alphabet_uri: str = "",
    scorer_uri: str = "",
    settings: dict = {},  # type: ignore[type-arg]  # noqa: B006
    settings_uri: str = "",
    run_state_uri: str = "",
    export_uri: str = "",
    nodes: int = 1,
) -> NamedTuple(  # type: ignore[valid-type]
    "Outputs",
    [
        ("dataset_digest", str),
        ("checkpoint_digest", str),
        ("alphabet_digest", str),
        ("scorer_digest", str),
        ("unlabelled_digest", str),
        ("augment", str),
        ("beam_width", int),
        ("best_by", str),
        ("bytes_output_mode", bool),
        ("check_audio", str),
        ("checkpoint_alphabet_uri", str),
        ("checkpoint_sha256", str),
        ("clip_norm", float),
        ("dev_batch_size", int),
        ("drop_source_layers", int),
        ("drop_suspects_uri", str),
        ("dropout_rate", str),
        ("early_stop", bool),
        ("es_epochs", int),
        ("es_min_delta", float),
        ("export_author_id", str),
        ("export_contact_info", str),
        ("export_description", str),
        ("export_language", str),
        ("export_license", str),
        ("export_model_name", str),
        ("export_model_version", str),
        ("export_quantize", bool),
        ("export_savedmodel", bool),
        ("forecast", bool),
        ("freeze_source_epochs", str),
        ("keep_source_labels", bool),
        ("learning_rate", str),
        ("list_suspects", bool),
        ("lm_alpha", str),
        ("lm_beta", str),
        ("max_wer", float),
        ("mixed_precision", str),
        ("must_beat_source", bool),
        ("normalise", str),
        ("numbers", str),
        ("plateau_epochs", int),
        ("plateau_reduction", float),
        ("random_seed", int),
        ("reduce_lr_on_plateau", bool),
        ("release_any", bool),
        ("strict_validation", bool),
        ("test_batch_size", int),
        ("train_batch_size", str),
        ("unlabelled_uri", str),
        ("warm_start", bool),
    ],
):
    """Detect the versions behind URIs, and check the settings of a run.

    Args:
        dataset_uri: Folder with train.csv, dev.csv and test.csv in Coqui's form, as a path, file://
            or s3:// URI.
        checkpoint_uri: Checkpoint folder, archive or deployed model, as a path, file://, s3:// or
            http(s):// URI.
        alphabet_uri: Alphabet file, as a path or URI; empty for none.
        scorer_uri: Language model, as a path or URI; empty for none.
        settings: Values other than the defaults, by the names of the parameters.
        settings_uri: JSON or YAML file with more settings, as a path or URI; settings takes
            precedence.
        run_state_uri: Folder for the state of the training; if it is an s3:// URI, this step fails
            unless an empty object can be stored there. Empty for none.
        export_uri: Folder that the export is copied to, checked in the same way; empty for none.
        nodes: Number of nodes that training uses; with more than one, this step refuses settings
            that need one node, or that lack what several nodes need.

    Returns:
        dataset_digest: Digest of the manifests and of the versions of all clips that they name.
        checkpoint_digest: Digest of the checkpoint's files, or of their versions.
        alphabet_digest: Digest of the alphabet file; empty if none is given.
        scorer_digest: Digest of the scorer; empty if none is given.
        unlabelled_digest: Digest of the recordings without transcripts; empty if none are given.
        augment: Augmentations of the training split: Coqui's specifications separated by spaces,
            such as volume[p=0.1,dbfs=-10:-40] tempo[factor=1~0.2]; auto depends on the corpus, none
            or empty for no change.
        beam_width: Candidates kept while decoding; 0 for Coqui's 1024, or what an exported model
            says; 1 without a scorer takes the best label of every frame, which is fastest.
        best_by: loss, cer or wer: the measure on the dev split that decides the best epoch,
            plateaus and early stopping.
        bytes_output_mode: Whether the checkpoint's labels are the bytes of UTF-8, if the checkpoint
            does not say so.
        check_audio: How clips in an object store are checked: whole, or by their header alone,
            which reads far less but finds no silence, clipping or damage after it.
        checkpoint_alphabet_uri: The checkpoint's alphabet file, if the checkpoint holds none; empty
            for none.
        checkpoint_sha256: Expected SHA-256 of the checkpoint, in hexadecimal; empty for no check.
        clip_norm: Maximum norm of the gradient of all weights; 0 for no limit.
        dev_batch_size: Utterances per batch of the dev split.
        drop_source_layers: Layers to replace when transferring, counted from the output: 1 to 5.
        drop_suspects_uri: File suspects.csv of an earlier run, as a path or URI: rows of the train
            and dev splits that it marks with drop are left out; empty for none.
        dropout_rate: Share of the units of layers 1, 2, 3 and 5 that each step drops; auto depends
            on the corpus.
        early_stop: Stop after es_epochs epochs without improvement on the dev split.
        es_epochs: Epochs without improvement that early_stop waits for.
        es_min_delta: Smallest fall of the dev loss that counts as an improvement, in nats per
            utterance.
        export_author_id: Author of the model, in one word.
        export_contact_info: How to reach the model's authors.
        export_description: Further notes for the model's users, in Markdown.
        export_language: Language of the model as a BCP 47 tag, such as sw-Latn-KE.
        export_license: SPDX identifier of the model's license.
        export_model_name: Name of the model.
        export_model_version: Version of the model, in the form of https://semver.org.
        export_quantize: Store the exported weights in 8-bit integers, a quarter of the size.
        export_savedmodel: Export a TensorFlow SavedModel too.
        forecast: Train on parts of the training split too, and forecast the error rate with more
            speech; this takes about as long as training again.
        freeze_source_epochs: If layers are replaced: first epochs, in which only the new layers are
            trained; auto depends on the corpus.
        keep_source_labels: Keep the labels of the checkpoint in an alphabet that is built from the
            transcripts.
        learning_rate: Step size of Adam; one stored in a checkpoint is ignored. Auto depends on the
            corpus, and lowers it when the dev split stops improving.
        list_suspects: Also transcribe the train and dev splits, and list the clips of all splits
            whose text and audio may not match.
        lm_alpha: Weight of the language model; auto takes the scorer's own.
        lm_beta: Reward for each word; auto takes the scorer's own.
        max_wer: Highest word error rate of a model to release, such as 0.2; 0 for no limit.
        mixed_precision: Precision of the computation: auto, off (32 bits), float16 or bfloat16;
            weights stay in 32 bits. Auto takes bfloat16 if it is clearly faster on this machine,
            otherwise off.
        must_beat_source: Release the model only if it makes fewer word errors than the source
            checkpoint.
        normalise: Normalise transcripts by the rules of a language, such as en or pt-BR, by the
            rules named generic, or by your own YAML file; empty leaves them unchanged.
        numbers: What normalise does with digits: set the clip aside, spell numbers out if there is
            only one way to read them, or keep them.
        plateau_epochs: Epochs without improvement that reduce_lr_on_plateau waits for.
        plateau_reduction: Factor by which a plateau lowers the learning rate.
        random_seed: Seed of new weights, of dropout and of the order of batches.
        reduce_lr_on_plateau: Lower the learning rate when plateau_epochs epochs bring no
            improvement, and go back to the best epoch.
        release_any: If neither max_wer nor must_beat_source is given: release a model even if it is
            worse than the source, or has a WER above 90 %.
        strict_validation: Stop if any row of the dataset has an error, instead of rejecting it.
        test_batch_size: Utterances transcribed at once.
        train_batch_size: Utterances per training step, over all GPUs; auto depends on the corpus.
        unlabelled_uri: Recordings without transcripts: a folder, archive or file, as a path or URI.
            Clips of which the trained model is certain are added with its text, and it is trained
            again; the second model is kept only if it is significantly better on the dev split,
            which needs 30 clips or more. Empty for none.
        warm_start: Keep the output weights of characters that both alphabets share, if only the
            output layer is replaced.
    """
    from stt_model import jobs

    digests, chosen = jobs.begin_run(
        dataset_uri,
        checkpoint_uri=checkpoint_uri,
        alphabet_uri=alphabet_uri,
        scorer_uri=scorer_uri,
        settings=settings,
        settings_uri=settings_uri,
        run_state_uri=run_state_uri,
        export_uri=export_uri,
        nodes=nodes,
        names=[
            "augment",
            "beam_width",
            "best_by",
            "bytes_output_mode",
            "check_audio",
            "checkpoint_alphabet_uri",
            "checkpoint_sha256",
            "clip_norm",
            "dev_batch_size",
            "drop_source_layers",
            "drop_suspects_uri",
            "dropout_rate",
            "early_stop",
            "es_epochs",
            "es_min_delta",
            "export_author_id",
            "export_contact_info",
            "export_description",
            "export_language",
            "export_license",
            "export_model_name",
            "export_model_version",
            "export_quantize",
            "export_savedmodel",
            "forecast",
            "freeze_source_epochs",
            "keep_source_labels",
            "learning_rate",
            "list_suspects",
            "lm_alpha",
            "lm_beta",
            "max_wer",
            "mixed_precision",
            "must_beat_source",
            "normalise",
            "numbers",
            "plateau_epochs",
            "plateau_reduction",
            "random_seed",
            "reduce_lr_on_plateau",
            "release_any",
            "strict_validation",
            "test_batch_size",
            "train_batch_size",
            "unlabelled_uri",
            "warm_start",
        ],
    )
    return (*digests, *chosen.values())
