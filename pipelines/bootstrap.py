"""The pipeline: from a dataset and a checkpoint to a model for the dataset's language."""

from typing import Any, NamedTuple

from kfp import dsl

from components.alphabet_analysis.component import alphabet_analysis
from components.checkpoint_fetch.component import checkpoint_fetch
from components.dataset_validation.component import dataset_validation
from components.evaluation.component import evaluation
from components.layer_surgery.component import layer_surgery
from components.model_export.component import model_export
from components.refusal.component import refusal
from components.source_digests.component import source_digests
from components.training.component import training
from pipelines import cluster


class Verdict(NamedTuple):
    """What a run puts out: error rates, of which 0 is perfect, and what the gate says of them."""

    wer: float
    cer: float
    passed: bool
    gate: str
    verdict: str


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
    drop_suspects_uri: str = "",
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
    mixed_precision: str = "off",
    best_by: str = "loss",
    early_stop: bool = False,
    es_epochs: int = 25,
    es_min_delta: float = 0.05,
    reduce_lr_on_plateau: bool = False,
    plateau_epochs: int = 10,
    plateau_reduction: float = 0.1,
    run_state_uri: str = "",
    beam_width: int = 0,
    random_seed: int = 4568,
    scorer_uri: str = "",
    lm_alpha: str = "auto",
    lm_beta: str = "auto",
    max_wer: float = 0.0,
    must_beat_source: bool = False,
    release_any: bool = False,
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
    training_cpu: str = "8",
    training_memory: str = "32Gi",
    evaluation_cpu: str = "4",
    evaluation_memory: str = "16Gi",
    gpu_type: str = "",
    gpu_count: str = "1",
    node_selector: dict[str, str] = {},  # noqa: B006 (only read)
    tolerations: list[dict[str, str]] = [],  # noqa: B006
) -> Verdict:
    """Bring a pre-trained Coqui STT or DeepSpeech checkpoint to the language of a dataset.

    Args:
        dataset_uri: Folder with train.csv, dev.csv and test.csv in Coqui's form, as a path, file://
            or s3:// URI.
        checkpoint_uri: Checkpoint folder, tar or zip archive, or deployed model (.tflite, .pb,
            .pbmm), as a path, file://, s3:// or http(s):// URI.
        checkpoint_sha256: Digest that it must have, in hexadecimal; empty for no check.
        checkpoint_alphabet_uri: The checkpoint's alphabet file, where it does not say its own;
            empty for none.
        bytes_output_mode: Whether the checkpoint's labels are the bytes of UTF-8, where it does
            not say so itself.
        mode: auto, fine-tune or transfer.
        alphabet_uri: Alphabet file to train with, as any such URI; empty for the
            checkpoint's, or one built from the transcripts.
        keep_source_labels: Keep the labels of the checkpoint in an alphabet that is built from the
            transcripts.
        strict_validation: Stop if any row of the dataset has an error, instead of rejecting it.
        normalise: Write transcripts by the rules of a language, such as en or pt-BR, or by generic
            rules; empty leaves them as they are.
        drop_suspects_uri: File suspects.csv of an earlier run, as any such URI: rows of the train
            and dev splits that it marks with drop are left out; empty for none.
        drop_source_layers: Layers to replace when transferring, counted from the output: 1 to 5.
        warm_start: Keep the output rows of characters that both alphabets share, where only the
            output layer is replaced.
        epochs: Passes over the training split; auto ends when the dev split has stopped improving.
        train_batch_size: Utterances of a training step, over all GPUs; auto goes by the corpus.
        dev_batch_size: Utterances of a step over the dev split.
        test_batch_size: Utterances that are transcribed at once.
        learning_rate: Step size of Adam; one that is stored in a checkpoint never counts. Auto goes
            by the corpus, and lowers it when the dev split stops improving.
        dropout_rate: Share of the units of layers 1, 2, 3 and 5 that a step drops; auto goes by the
            corpus.
        clip_norm: Largest norm of the gradient of all weights together; 0 for no limit.
        freeze_source_epochs: After replacing layers: first epochs that train only the new layers;
            auto goes by the corpus.
        augment: How the training split is changed anew in each epoch: Coqui's specifications with
            spaces between, such as volume[p=0.1,dbfs=-10:-40] tempo[factor=1~0.2]; auto goes by the
            corpus, none or empty for no change.
        mixed_precision: off, float16 or bfloat16: what to compute in where 16 bits are faster;
            weights stay in 32 bits.
        best_by: loss, cer or wer: the dev figure that the best epoch, plateaus and early stopping
            go by.
        early_stop: Stop when es_epochs epochs bring no improvement of the dev loss.
        es_epochs: Epochs without improvement that early_stop waits for.
        es_min_delta: Fall of the dev loss that counts as an improvement, in nats an utterance.
        reduce_lr_on_plateau: Lower the learning rate when plateau_epochs epochs bring no
            improvement, and go back to the best epoch.
        plateau_epochs: Epochs without improvement that reduce_lr_on_plateau waits for.
        plateau_reduction: Factor by which a plateau lowers the learning rate.
        run_state_uri: Where training is kept while it lasts, so that it goes on in another pod: a
            path, file:// or s3:// URI of a folder, below which each run on a cluster has its own;
            empty for nowhere.
        beam_width: Candidates kept while decoding; 0 takes the best label of every frame, or with a
            scorer Coqui's default width.
        random_seed: Seed of new weights, of dropout and of the order of batches.
        scorer_uri: Language model to decode and to deploy with, a Coqui .scorer package; a path,
            file://, s3:// or http(s):// URI, empty for none.
        lm_alpha: Weight of the language model; auto takes the scorer's own.
        lm_beta: Reward for each word; auto takes the scorer's own.
        max_wer: Highest word error rate of a model to release; 0 for no such limit.
        must_beat_source: Release the model only if it makes fewer word errors than the source
            checkpoint.
        release_any: Where neither max_wer nor must_beat_source is given: release a model that is
            worse than the source, or that makes errors in more than nine of ten words.
        export_uri: Folder to copy the export to if the model is released, as a path, file:// or
            s3:// URI; empty for none.
        export_quantize: Store the exported weights in 8-bit integers, a quarter of the size.
        export_savedmodel: Export a TensorFlow SavedModel too.
        export_author_id: Who made the model, in one word.
        export_model_name: What the model is called.
        export_model_version: Its version, as https://semver.org has it.
        export_language: Its language as a BCP 47 tag, such as sw-Latn-KE.
        export_license: SPDX identifier of its license.
        export_contact_info: Where its authors can be reached.
        export_description: What else its users should know, in Markdown.
        training_cpu: Processors that training may use on a cluster, such as 8 or 7500m.
        training_memory: Memory that training may use on a cluster, such as 32Gi.
        evaluation_cpu: Processors that evaluation may use on a cluster.
        evaluation_memory: Memory that evaluation may use on a cluster.
        gpu_type: GPUs that training and evaluation get on a cluster, by the nodes' name for them,
            such as nvidia.com/gpu; empty for none.
        gpu_count: How many GPUs of gpu_type training gets; evaluation gets one.
        node_selector: Labels of the nodes for training and evaluation on a cluster, as a JSON
            object.
        tolerations: Taints that nodes for training and evaluation may have, as a JSON list of
            Kubernetes' tolerations.

    Returns:
        wer: Word error rate of the model over the test split, 0 is perfect.
        cer: Character error rate of the model over the test split, 0 is perfect.
        passed: Whether the model is as good as max_wer and must_beat_source ask, or where neither
            is given, no worse than the source and not above a WER of 90 %.
        gate: What they ask, and why the model does not pass if it does not.
        verdict: What the model is good for, and what to do next.
    """
    # What lies behind a URI can change while its name stays: looked at in every run, and handed on,
    # so that the steps behind it are taken from an earlier run only where nothing changed.
    sources = source_digests(
        dataset_uri=dataset_uri,
        checkpoint_uri=checkpoint_uri,
        checkpoint_alphabet_uri=checkpoint_alphabet_uri,
        alphabet_uri=alphabet_uri,
        scorer_uri=scorer_uri,
        drop_suspects_uri=drop_suspects_uri,
    ).set_display_name("Look for changes")
    sources.set_caching_options(False)
    validated = dataset_validation(
        dataset_uri=dataset_uri,
        dataset_digest=sources.outputs["dataset_digest"],
        strict=strict_validation,
        normalise=normalise,
        drop_suspects_uri=drop_suspects_uri,
    ).set_display_name("Validate the dataset")
    fetched = checkpoint_fetch(
        checkpoint_uri=checkpoint_uri,
        checkpoint_digest=sources.outputs["checkpoint_digest"],
        expected_sha256=checkpoint_sha256,
        checkpoint_alphabet_uri=checkpoint_alphabet_uri,
        bytes_output_mode=bytes_output_mode,
    ).set_display_name("Fetch the checkpoint")
    analysed = alphabet_analysis(
        dataset=validated.outputs["clean_dataset"],
        checkpoint=fetched.outputs["checkpoint"],
        mode=mode,
        alphabet_uri=alphabet_uri,
        alphabet_digest=sources.outputs["alphabet_digest"],
        keep_source_labels=keep_source_labels,
    ).set_display_name("Choose the mode")
    for task in (sources, validated, fetched, analysed):
        cluster.place(task, cluster.DATA)

    def adapt(checkpoint: Any, freeze_source_epochs: Any = "0") -> dsl.PipelineTask:
        """Train a checkpoint whose output layer fits, evaluate and export it; return evaluation.

        Both branches call this with their own checkpoint. It is no pipeline of its own: the source
        checkpoint would reach that under two names when fine-tuning, and Kubeflow's metadata store
        takes an artifact only once for each task and each DAG.
        """
        trained = training(
            dataset=validated.outputs["clean_dataset"],
            checkpoint=checkpoint,
            model_alphabet=analysed.outputs["model_alphabet"],
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
            run_state_uri=run_state_uri,
        ).set_display_name("Train")
        cluster.name_run(trained)
        evaluated = evaluation(
            dataset=validated.outputs["clean_dataset"],
            checkpoint=trained.outputs["trained_checkpoint"],
            source_checkpoint=fetched.outputs["checkpoint"],
            test_batch_size=test_batch_size,
            beam_width=beam_width,
            scorer_uri=scorer_uri,
            scorer_digest=sources.outputs["scorer_digest"],
            lm_alpha=lm_alpha,
            lm_beta=lm_beta,
            max_wer=max_wer,
            must_beat_source=must_beat_source,
            release_any=release_any,
        ).set_display_name("Evaluate on the test split")
        # A model that misses the gate is exported too, but not marked as released.
        exported = model_export(
            dataset=validated.outputs["clean_dataset"],
            checkpoint=trained.outputs["trained_checkpoint"],
            released=evaluated.outputs["passed"],
            gate=evaluated.outputs["gate"],
            scorer_uri=scorer_uri,
            scorer_digest=sources.outputs["scorer_digest"],
            export_uri=export_uri,
            export_quantize=export_quantize,
            export_savedmodel=export_savedmodel,
            export_author_id=export_author_id,
            export_model_name=export_model_name,
            export_model_version=export_model_version,
            export_language=export_language,
            export_license=export_license,
            export_contact_info=export_contact_info,
            export_description=export_description,
        ).set_display_name("Export for the deployed runtimes")
        cluster.place(
            trained,
            cluster.Budget(training_cpu, training_memory, hours=7 * 24, retries=3),
            cluster.Accelerators(gpu_type, gpu_count, node_selector, tolerations),
        )
        cluster.place(
            evaluated,
            cluster.Budget(evaluation_cpu, evaluation_memory, hours=24, retries=2),
            cluster.Accelerators(gpu_type, "1", node_selector, tolerations),
        )
        cluster.place(exported, cluster.MODEL)
        return evaluated

    with dsl.If(analysed.outputs["mode"] == "fine-tune", name="fine-tune"):
        fine_tuned = adapt(fetched.outputs["checkpoint"])
    with dsl.Elif(analysed.outputs["mode"] == "transfer", name="transfer"):
        grafted = layer_surgery(
            checkpoint=fetched.outputs["checkpoint"],
            model_alphabet=analysed.outputs["model_alphabet"],
            drop_source_layers=drop_source_layers,
            warm_start=warm_start,
            random_seed=random_seed,
        ).set_display_name("Replace the last layers")
        cluster.place(grafted, cluster.MODEL)
        transferred = adapt(grafted.outputs["grafted_checkpoint"], freeze_source_epochs)
    with dsl.Else(name="refuse"):
        refused = refusal(reason=analysed.outputs["reason"]).set_display_name("Refuse")
        refused.set_caching_options(False)
        cluster.place(refused, cluster.REFUSAL)

    # Values of either branch can be joined; joining artifacts fails under kfp.local.
    either = {
        name: dsl.OneOf(fine_tuned.outputs[name], transferred.outputs[name])
        for name in Verdict._fields
    }
    return Verdict(**either)
