"""``flags.txt``, the settings that Coqui STT and DeepSpeech write beside a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from stt_model.base import CheckpointError, parse_json
from stt_model.corpus import AudioSettings


def read_flags(path: Path) -> dict[str, Any]:
    """Read flags in JSON (Coqui STT 1.x) or ``--flag=value`` lines (DeepSpeech); empty if no file.

    Raises:
        CheckpointError: not text, or damaged JSON.
    """
    if not path.is_file():
        return {}
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path}: cannot be read as text ({error})") from error
    if not text.lstrip().startswith("{"):
        return _parse_flag_lines(text)
    try:
        return dict(parse_json(text))
    except ValueError as error:
        raise CheckpointError(f"{path}: damaged JSON ({error}); correct or remove it") from error


def _parse_flag_lines(text: str) -> dict[str, Any]:
    flags: dict[str, Any] = {}
    for line in text.splitlines():
        name, equals, value = line.strip().removeprefix("--").partition("=")
        if equals:
            flags[name] = _parse_flag_value(value)
        elif name:
            flags[name] = True
            # --noNAME turns NAME off, unless "no" is part of the name: both readings are kept.
            if name.startswith("no"):
                flags[name.removeprefix("no")] = False
    return flags


def _parse_flag_value(value: str) -> Any:
    try:
        return parse_json(value)
    except ValueError:
        return value


def is_true(value: object) -> bool:
    """Whether a flag in either format is on."""
    return str(value).lower() in ("true", "1")


AUDIO_RANGES = {
    "audio_sample_rate": (4000, 192_000),
    "feature_win_len": (5, 200),
    "feature_win_step": (1, 200),
}
"""Beyond these a number is a slip, or the features are none that speech has."""


def read_audio_settings(
    flags: Mapping[str, Any],
    where: str,
    remedy: str = "correct it to what the model was trained with",
) -> AudioSettings:
    """Return the model's audio settings; missing flags have the usual values.

    Raises:
        CheckpointError: impossible numbers.
    """
    found: dict[str, int] = {}
    for field in fields(AudioSettings):
        value = flags.get(field.name, field.default)
        lowest, highest = AUDIO_RANGES[field.name]
        if not isinstance(value, (int, float)) or value != int(value):
            value = -1
        if not lowest <= value <= highest:
            raise CheckpointError(
                f"{where}: --{field.name}: expected a whole number from {lowest} to {highest},"
                f" found {flags.get(field.name)!r}; {remedy}"
            )
        found[field.name] = int(value)
    for name in ("feature_win_len", "feature_win_step"):
        if found[name] * found["audio_sample_rate"] % 1000:
            raise CheckpointError(
                f"{where}: --{name}: expected a whole number of samples, found {found[name]} ms at"
                f" {found['audio_sample_rate']} Hz; {remedy}"
            )
    return AudioSettings(**found)


def settle_audio(
    asked: Mapping[str, int | None], own: AudioSettings | None, where: str
) -> AudioSettings:
    """Return a model's audio settings: its own, or for a new one those that were asked for.

    Args:
        asked: the names of ``AudioSettings``; None and what is missing was not asked for.
        own: of the model that is there; None for training from scratch.
        where: what the model lies in, for the message.

    Raises:
        CheckpointError: the model's own are others, or they are none that can be.
    """
    given = {name: value for name, value in asked.items() if value is not None}
    if own is None:
        return read_audio_settings(given, "training from scratch", "give a number that fits")
    for name, value in given.items():
        if value != getattr(own, name):
            raise CheckpointError(
                f"{where}: --{name} says {value}, the checkpoint was trained with"
                f" {getattr(own, name)}, and its weights fit no other; leave --{name} out, or train"
                " from scratch"
            )
    return own
