"""The pipeline: from a dataset and a checkpoint to a model for the dataset's language."""

from kfp import dsl

from stt_bootstrap.components.source_digests.component import source_digests
from stt_bootstrap.pipelines import cluster
from stt_bootstrap.pipelines.graph import add_graph
from stt_bootstrap.pipelines.variant import current_variant


@dsl.pipeline(name="stt-bootstrap")
def bootstrap(
    dataset_uri: str,
    checkpoint_uri: str,
    checkpoint_sha256: str = "",
    checkpoint_alphabet_uri: str = "",
    bytes_output_mode: bool = False,
    mode: str = "auto",
    alphabet_uri: str = "",
    keep_source_labels: bool = False,
    strict_validation: bool = False,
    normalise: str = "",
    numbers: str = "set_aside",
    drop_suspects_uri: str = "",
    check_audio: str = "header",
    drop_source_layers: int = 1,
    warm_start: bool = True,
    epochs: str = "auto",
    train_batch_size: str = "auto",
    dev_batch_size: int = 16,
    test_batch_size: int = 16,
    learning_rate: str = "auto",
    dropout_rate: str = "auto",
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
    run_state_uri: str = "",
    unlabelled_uri: str = "",
    forecast: bool = False,
    beam_width: int = 0,
    random_seed: int = 4568,
    scorer_uri: str = "",
    lm_alpha: str = "auto",
    lm_beta: str = "auto",
    max_wer: float = 0.0,
    must_beat_source: bool = False,
    release_any: bool = False,
    list_suspects: bool = False,
    export_uri: str = "",
    export_quantize: bool = True,
    export_savedmodel: bool = False,
    export_author_id: str = "",
    export_model_name: str = "",
    export_model_version: str = "",
    export_language: str = "",
    export_license: str = "",
    export_contact_info: str = "",
    export_description: str = "",
    data_cpu: str = "500m",
    data_memory: str = "2Gi",
    export_cpu: str = "1",
    export_memory: str = "4Gi",
    training_cpu: str = "8",
    training_memory: str = "32Gi",
    evaluation_cpu: str = "4",
    evaluation_memory: str = "16Gi",
    gpu_type: str = "",
    gpu_count: str = "1",
    node_selector: dict[str, str] = {},  # noqa: B006 (only read)
    tolerations: list[dict[str, str]] = [],  # noqa: B006
) -> None:
    """Bring a pre-trained Coqui STT or DeepSpeech checkpoint to the language of a dataset.

    Args:
        dataset_uri: Folder with train.csv, dev.csv and test.csv in Coqui's form, as a path, file://
            or s3:// URI.
        checkpoint_uri: Checkpoint folder, tar or zip archive, or deployed model (.tflite, .pb,
            .pbmm), as a path, file://, s3:// or http(s):// URI.
        checkpoint_sha256: Expected SHA-256 of the checkpoint, in hexadecimal; empty for no check.
        checkpoint_alphabet_uri: The checkpoint's alphabet file, if the checkpoint holds none; empty
            for none.
        bytes_output_mode: Whether the checkpoint's labels are the bytes of UTF-8, if the checkpoint
            does not say so.
        mode: auto, fine-tune or transfer; auto decides by the characters that the checkpoint's
            alphabet lacks.
        alphabet_uri: Alphabet file to train with, as a path or URI; empty for the checkpoint's, or
            one built from the transcripts.
        keep_source_labels: Keep the labels of the checkpoint in an alphabet that is built from the
            transcripts.
        strict_validation: Stop if any row of the dataset has an error, instead of rejecting it.
        normalise: Normalise transcripts by the rules of a language, such as en or pt-BR, by the
            rules named generic, or by your own YAML file; empty leaves them unchanged.
        numbers: What normalise does with digits: set the clip aside, spell numbers out if there is
            only one way to read them, or keep them.
        drop_suspects_uri: File suspects.csv of an earlier run, as a path or URI: rows of the train
            and dev splits that it marks with drop are left out; empty for none.
        check_audio: How clips in an object store are checked: whole, or by their header alone,
            which reads far less but finds no silence, clipping or damage after it.
        drop_source_layers: Layers to replace when transferring, counted from the output: 1 to 5.
        warm_start: Keep the output weights of characters that both alphabets share, if only the
            output layer is replaced.
        epochs: Passes over the training split; auto stops when the dev split no longer improves.
        train_batch_size: Utterances per training step, over all GPUs; auto depends on the corpus.
        dev_batch_size: Utterances per batch of the dev split.
        test_batch_size: Utterances transcribed at once.
        learning_rate: Step size of Adam; one stored in a checkpoint is ignored. Auto depends on the
            corpus, and lowers it when the dev split stops improving.
        dropout_rate: Share of the units of layers 1, 2, 3 and 5 that each step drops; auto depends
            on the corpus.
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
        run_state_uri: Folder for the state of the training, so that another pod can resume it, as a
            path, file:// or s3:// URI; on a cluster, each run has a folder below it. Empty for
            none.
        unlabelled_uri: Recordings without transcripts: a folder, archive or file, as a path or URI.
            Clips of which the trained model is certain are added with its text, and it is trained
            again; the second model is kept only if it is significantly better on the dev split,
            which needs 30 clips or more. Empty for none.
        forecast: Train on parts of the training split too, and forecast the error rate with more
            speech; this takes about as long as training again.
        beam_width: Candidates kept while decoding; 0 for Coqui's 1024, or what an exported model
            says; 1 without a scorer takes the best label of every frame, which is fastest.
        random_seed: Seed of new weights, of dropout and of the order of batches.
        scorer_uri: Language model for decoding and deployment: a Coqui .scorer package, as a path,
            file://, s3:// or http(s):// URI; empty for none.
        lm_alpha: Weight of the language model; auto takes the scorer's own.
        lm_beta: Reward for each word; auto takes the scorer's own.
        max_wer: Highest word error rate of a model to release, such as 0.2; 0 for no limit.
        must_beat_source: Release the model only if it makes fewer word errors than the source
            checkpoint.
        release_any: If neither max_wer nor must_beat_source is given: release a model even if it is
            worse than the source, or has a WER above 90 %.
        list_suspects: Also transcribe the train and dev splits, and list the clips of all splits
            whose text and audio may not match.
        export_uri: Folder to copy the export to if the model is released, as a path, file:// or
            s3:// URI; empty for none.
        export_quantize: Store the exported weights in 8-bit integers, a quarter of the size.
        export_savedmodel: Export a TensorFlow SavedModel too.
        export_author_id: Author of the model, in one word.
        export_model_name: Name of the model.
        export_model_version: Version of the model, in the form of https://semver.org.
        export_language: Language of the model as a BCP 47 tag, such as sw-Latn-KE.
        export_license: SPDX identifier of the model's license.
        export_contact_info: How to reach the model's authors.
        export_description: Further notes for the model's users, in Markdown.
        data_cpu: Processors that the steps before training may use on a cluster.
        data_memory: Memory that the steps before training may use on a cluster.
        export_cpu: Processors that the export may use on a cluster.
        export_memory: Memory that the export may use on a cluster.
        training_cpu: Processors that training may use on a cluster, such as 8 or 7500m.
        training_memory: Memory that training may use on a cluster, such as 32Gi.
        evaluation_cpu: Processors that evaluation may use on a cluster.
        evaluation_memory: Memory that evaluation may use on a cluster.
        gpu_type: Resource name of the GPUs that training and evaluation get on a cluster, such as
            nvidia.com/gpu; empty for none.
        gpu_count: Number of GPUs for training; evaluation gets one.
        node_selector: Labels of the nodes for training and evaluation on a cluster, as a JSON
            object.
        tolerations: Taints that nodes for training and evaluation may have, as a JSON list of
            Kubernetes tolerations.
    """
    values = dict(locals())
    # The content behind a URI can change. Its digest is taken in every run and passed on, so that
    # later steps come from Kubeflow's cache only if nothing changed.
    digests = source_digests(
        dataset_uri=dataset_uri,
        checkpoint_uri=checkpoint_uri,
        alphabet_uri=alphabet_uri,
        scorer_uri=scorer_uri,
        drop_suspects_uri=drop_suspects_uri,
        checkpoint_alphabet_uri=checkpoint_alphabet_uri,
        unlabelled_uri=unlabelled_uri,
        run_state_uri=run_state_uri,
        export_uri=export_uri,
        forecast=forecast,
        nodes=current_variant().nodes,
    ).set_display_name("Look for changes")
    digests.set_caching_options(False)
    cluster.place(digests, cluster.Budget(data_cpu, data_memory, hours=4, retries=2))
    add_graph({**values, **digests.outputs})
