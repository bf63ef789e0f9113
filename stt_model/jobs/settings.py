"""The parameters of jobs whose work has no configuration of its own, and all parameters by name."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stt_model.alignment import AlignmentConfig
from stt_model.base import (
    BootstrapError,
    Parameter,
    choice,
    parameters_of,
    real,
    switch,
    text,
    whole,
)
from stt_model.checkpoint import AUDIO_RANGES
from stt_model.corpus import CHECK_AUDIO, USUAL_AUDIO
from stt_model.decoding import BuildConfig, TuningConfig
from stt_model.evaluation import EvaluationConfig
from stt_model.export import ExportConfig, ModelIdentity
from stt_model.importing import ImportSettings
from stt_model.text import MODES, NUMBERS
from stt_model.training import NO_SPECIFICATION, TrainingConfig


@dataclass(frozen=True)
class ValidationSettings:
    """Settings of validation."""

    strict: bool = switch(
        False, "Stop if any row of the dataset has an error, instead of rejecting it."
    )
    normalise: str = text(
        "",
        "Normalise transcripts by the rules of a language, such as en or pt-BR, by the rules named"
        " generic, or by your own YAML file; empty leaves them unchanged.",
        metavar="LANG",
    )
    numbers: str = choice(
        "set_aside",
        NUMBERS,
        "What normalise does with digits: set the clip aside, spell numbers out if there is only"
        " one way to read them, or keep them.",
    )
    drop_suspects: str = text(
        "",
        "File suspects.csv of an earlier run, as a path or URI: rows of the train and dev splits"
        " that it marks with drop are left out; empty for none.",
        metavar="FILE",
    )
    check_audio: str = choice(
        "header",
        CHECK_AUDIO,
        "How clips in an object store are checked: whole, or by their header alone, which reads far"
        " less but finds no silence, clipping or damage after it.",
    )


@dataclass(frozen=True)
class AlignmentSettings:
    """How often recordings are aligned."""

    rounds: int = whole(
        1,
        "How many times recordings are aligned; each further round uses a model that is trained on"
        " the confident clips of the round before.",
        minimum=1,
        maximum=5,
    )


@dataclass(frozen=True)
class PackSettings:
    """Settings of packing."""

    shard_size: int = whole(
        256,
        "Size of a shard, in MiB; a clip is never divided.",
        minimum=1,
        metavar="MIB",
    )


@dataclass(frozen=True)
class FetchSettings:
    """Limits of a download."""

    size_limit: int = whole(20, "Maximum size of the download, in GiB.", minimum=1, metavar="GIB")
    unpacked_limit: int = whole(
        40, "Maximum size of an archive once unpacked, in GiB.", minimum=1, metavar="GIB"
    )


@dataclass(frozen=True)
class DecisionSettings:
    """The requested mode."""

    mode: str = choice(
        "auto",
        MODES,
        "auto, fine-tune or transfer; auto decides by the characters that the checkpoint's alphabet"
        " lacks.",
    )
    keep_source_labels: bool = switch(
        False,
        "Keep the labels of the checkpoint in an alphabet that is built from the transcripts.",
    )


@dataclass(frozen=True)
class SurgerySettings:
    """Which layers are replaced, and by what."""

    drop_source_layers: int = whole(
        1,
        "Layers to replace when transferring, counted from the output: 1 to 5.",
        minimum=1,
        maximum=5,
    )
    warm_start: bool = switch(
        True,
        "Keep the output weights of characters that both alphabets share, if only the output layer"
        " is replaced.",
    )
    random_seed: int = parameters_of(TrainingConfig)["random_seed"].field()


def _audio(name: str, what: str, usual: int) -> Any:
    lowest, highest = AUDIO_RANGES[name]
    return whole(
        None,
        f"{what}; auto is the checkpoint's, or {usual} from scratch.",
        minimum=lowest,
        maximum=highest,
    )


@dataclass(frozen=True)
class RunOnlySettings:
    """Parameters that a run names differently from the command of the single step."""

    strict_validation: bool = parameters_of(ValidationSettings)["strict"].field()
    drop_suspects_uri: str = text(
        "",
        "File suspects.csv of an earlier run, as a path or URI: rows of the train and dev splits"
        " that it marks with drop are left out; empty for none.",
    )
    checkpoint_sha256: str = text(
        "", "Expected SHA-256 of the checkpoint, in hexadecimal; empty for no check."
    )
    checkpoint_alphabet_uri: str = text(
        "", "The checkpoint's alphabet file, if the checkpoint holds none; empty for none."
    )
    bytes_output_mode: bool = switch(
        False,
        "Whether the checkpoint's labels are the bytes of UTF-8, if the checkpoint does not say"
        " so.",
    )
    list_suspects: bool = switch(
        False,
        "Also transcribe the train and dev splits, and list the clips of all splits whose text and"
        " audio may not match.",
    )


@dataclass(frozen=True)
class ForecastSettings:
    """Whether to forecast error rates."""

    forecast: bool = switch(
        False,
        "Train on parts of the training split too, and forecast the error rate with more speech;"
        " this takes about as long as training again.",
    )


@dataclass(frozen=True)
class UnlabelledSettings:
    """Speech without transcripts."""

    unlabelled_uri: str = text(
        "",
        "Recordings without transcripts: a folder, archive or file, as a path or URI. Clips of"
        " which the trained model is certain are added with its text, and it is trained again; the"
        " second model is kept only if it is significantly better on the dev split, which needs 30"
        " clips or more. Empty for none.",
        metavar="URI",
    )


@dataclass(frozen=True)
class SweepSettings:
    """What a sweep tries, and when it stops the lowest-ranked trainings."""

    drop_depths: str = text(
        "0,1",
        "Numbers of layers to replace that are tried, counted from the output, such as 1..5 or"
        " 0,1,2; 0 fine-tunes, if the source has every character.",
        metavar="DEPTHS",
    )
    learning_rates: str = text(
        "auto",
        "Learning rates that are tried, such as auto,0.001; auto depends on the corpus.",
        metavar="RATES",
    )
    rungs: str = text(
        "5,15",
        "Epochs after which only the best-ranked trainings continue, such as 5,15; empty trains all"
        " of them to the end.",
        metavar="EPOCHS",
    )
    keep: float = real(
        0.5, "Share of the trainings that continue after each rung.", above=0, maximum=1
    )
    choose_by: str = choice("cer", ("cer", "wer"), "Dev error rate by which trainings are ranked.")


@dataclass(frozen=True)
class ScratchSettings:
    """The network of a training from scratch."""

    n_hidden: int | None = whole(
        None,
        "Units per layer; auto is the checkpoint's width, or 2048 from scratch.",
        minimum=1,
    )
    layer_norm: bool = switch(False, "From scratch: normalise the outputs of layers 1, 2, 3 and 5.")
    audio_sample_rate: int | None = _audio(
        "audio_sample_rate", "Sample rate of the model, in Hz", USUAL_AUDIO.audio_sample_rate
    )
    feature_win_len: int | None = _audio(
        "feature_win_len", "Length of a frame, in ms", USUAL_AUDIO.feature_win_len
    )
    feature_win_step: int | None = _audio(
        "feature_win_step",
        "Time between the starts of two frames, in ms",
        USUAL_AUDIO.feature_win_step,
    )


_CONFIGURATIONS = (
    ValidationSettings,
    ImportSettings,
    AlignmentConfig,
    AlignmentSettings,
    PackSettings,
    FetchSettings,
    DecisionSettings,
    SurgerySettings,
    RunOnlySettings,
    ForecastSettings,
    UnlabelledSettings,
    SweepSettings,
    ScratchSettings,
    TrainingConfig,
    EvaluationConfig,
    TuningConfig,
    BuildConfig,
    ExportConfig,
)


@functools.cache
def all_parameters() -> Mapping[str, Parameter]:
    """Return every parameter of every job by its name; the model card's begin with ``export_``."""
    card = {f"export_{name}": each for name, each in parameters_of(ModelIdentity).items()}
    found: dict[str, Parameter] = {}
    for config in reversed(_CONFIGURATIONS):
        found |= parameters_of(config)
    return {**found, **card}


def check_settings(values: Mapping[str, object]) -> None:
    """Refuse settings that a job would refuse later; unknown names are ignored.

    Raises:
        BootstrapError: one line about all invalid values.
    """
    problems = []
    for name, value in values.items():
        parameter = all_parameters().get(name)
        if parameter is None:
            continue
        try:
            if isinstance(value, str) and parameter.type is not str:
                parameter.read(value)
            else:
                parameter.check(value)
            _check_meaning(name, value)
        except (ValueError, BootstrapError) as problem:
            problems.append(f"{name}: {problem}")
    if problems:
        raise BootstrapError("; ".join(problems))


def _check_meaning(name: str, value: object) -> None:
    """Check what a range cannot express."""
    if name == "augment":
        from stt_model.augmentation import parse_augmentations

        if value not in NO_SPECIFICATION:
            parse_augmentations(str(value))
    if name.startswith("export_") and value:
        field = name.removeprefix("export_")
        if field in parameters_of(ModelIdentity):
            ModelIdentity(**{field: str(value)}).check()
