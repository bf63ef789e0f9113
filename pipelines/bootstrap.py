"""The pipeline: from a dataset and a checkpoint to a model for the dataset's language."""

from typing import NamedTuple

from kfp import dsl

from components.alphabet_analysis.component import alphabet_analysis
from components.checkpoint_fetch.component import checkpoint_fetch
from components.dataset_validation.component import dataset_validation
from components.evaluation.component import evaluation
from components.layer_surgery.component import layer_surgery
from components.refusal.component import refusal
from components.training.component import training


class ErrorRates(NamedTuple):
    """What a run puts out; 0 is perfect."""

    wer: float
    cer: float


@dsl.pipeline(name="adapt")
def adapt(
    dataset: dsl.Input[dsl.Dataset],
    checkpoint: dsl.Input[dsl.Model],
    model_alphabet: dsl.Input[dsl.Artifact],
    epochs: int,
    train_batch_size: int,
    dev_batch_size: int,
    test_batch_size: int,
    learning_rate: float,
    dropout_rate: float,
    beam_width: int,
    random_seed: int,
) -> ErrorRates:
    """Train a checkpoint whose output layer fits the transcripts, and evaluate the result."""
    trained = training(
        dataset=dataset,
        checkpoint=checkpoint,
        model_alphabet=model_alphabet,
        epochs=epochs,
        train_batch_size=train_batch_size,
        dev_batch_size=dev_batch_size,
        learning_rate=learning_rate,
        dropout_rate=dropout_rate,
        random_seed=random_seed,
    ).set_display_name("Train")
    evaluated = evaluation(
        dataset=dataset,
        checkpoint=trained.outputs["trained_checkpoint"],
        test_batch_size=test_batch_size,
        beam_width=beam_width,
    ).set_display_name("Evaluate on the test split")
    return ErrorRates(wer=evaluated.outputs["wer"], cer=evaluated.outputs["cer"])


@dsl.pipeline(name="stt-bootstrap")
def bootstrap(
    dataset_uri: str,
    checkpoint_uri: str,
    checkpoint_sha256: str = "",
    mode: str = "auto",
    alphabet_uri: str = "",
    strict_validation: bool = False,
    drop_source_layers: int = 1,
    warm_start: bool = True,
    epochs: int = 75,
    train_batch_size: int = 16,
    dev_batch_size: int = 16,
    test_batch_size: int = 16,
    learning_rate: float = 0.0001,
    dropout_rate: float = 0.05,
    beam_width: int = 0,
    random_seed: int = 4568,
) -> ErrorRates:
    """Bring a pre-trained Coqui STT or DeepSpeech checkpoint to the language of a dataset.

    Args:
        dataset_uri: Folder with train.csv, dev.csv and test.csv in Coqui's form, as a path or
            file:// URI.
        checkpoint_uri: Checkpoint folder, or tar or zip archive, as a path, file:// or http(s)://
            URI.
        checkpoint_sha256: Digest that it must have, in hexadecimal; empty for no check.
        mode: auto, fine-tune or transfer.
        alphabet_uri: Alphabet file to train with, as a path or file:// URI; empty for the
            checkpoint's, or one built from the transcripts.
        strict_validation: Stop if any row of the dataset has an error, instead of rejecting it.
        drop_source_layers: Layers to replace when transferring, counted from the output: 1 to 5.
        warm_start: Keep the output rows of characters that both alphabets share, where only the
            output layer is replaced.
        epochs: Passes over the training split.
        train_batch_size: Utterances of a training step.
        dev_batch_size: Utterances of a step over the dev split.
        test_batch_size: Utterances of the test split transcribed at once.
        learning_rate: Step size of Adam.
        dropout_rate: Share of units that a step leaves out, 0 to below 1.
        beam_width: Candidates kept while decoding; 0 takes the best label of every frame.
        random_seed: Where new weights, shuffling and dropout come from.

    Returns:
        wer: Word error rate of the model over the test split, 0 is perfect.
        cer: Character error rate of the model over the test split, 0 is perfect.
    """
    validated = dataset_validation(
        dataset_uri=dataset_uri, strict=strict_validation
    ).set_display_name("Validate the dataset")
    fetched = checkpoint_fetch(
        checkpoint_uri=checkpoint_uri, expected_sha256=checkpoint_sha256
    ).set_display_name("Fetch the checkpoint")
    analysed = alphabet_analysis(
        dataset=validated.outputs["clean_dataset"],
        checkpoint=fetched.outputs["checkpoint"],
        mode=mode,
        alphabet_uri=alphabet_uri,
    ).set_display_name("Choose the mode")

    adaptation = {
        "dataset": validated.outputs["clean_dataset"],
        "model_alphabet": analysed.outputs["model_alphabet"],
        "epochs": epochs,
        "train_batch_size": train_batch_size,
        "dev_batch_size": dev_batch_size,
        "test_batch_size": test_batch_size,
        "learning_rate": learning_rate,
        "dropout_rate": dropout_rate,
        "beam_width": beam_width,
        "random_seed": random_seed,
    }
    with dsl.If(analysed.outputs["mode"] == "fine-tune", name="fine-tune"):
        fine_tuned = adapt(checkpoint=fetched.outputs["checkpoint"], **adaptation)
        fine_tuned.set_display_name("Fine-tune")
    with dsl.Elif(analysed.outputs["mode"] == "transfer", name="transfer"):
        grafted = layer_surgery(
            checkpoint=fetched.outputs["checkpoint"],
            model_alphabet=analysed.outputs["model_alphabet"],
            drop_source_layers=drop_source_layers,
            warm_start=warm_start,
            random_seed=random_seed,
        ).set_display_name("Replace the last layers")
        transferred = adapt(checkpoint=grafted.outputs["grafted_checkpoint"], **adaptation)
        transferred.set_display_name("Transfer")
    with dsl.Else(name="refuse"):
        refusal(reason=analysed.outputs["reason"]).set_display_name("Refuse")

    # Values of either branch can be joined; joining artifacts fails under kfp.local.
    return ErrorRates(
        wer=dsl.OneOf(fine_tuned.outputs["wer"], transferred.outputs["wer"]),
        cer=dsl.OneOf(fine_tuned.outputs["cer"], transferred.outputs["cer"]),
    )
