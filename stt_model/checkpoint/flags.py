"""``flags.txt``, the settings that Coqui STT and DeepSpeech leave beside a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stt_model.base import CheckpointError, parse_json


def read_flags(path: Path) -> dict[str, Any]:
    """Flags in JSON (Coqui STT 1.x) or in ``--flag=value`` lines (DeepSpeech); no file, no flags.

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
            # --noNAME is NAME turned off, unless NAME itself begins so: both readings are kept.
            if name.startswith("no"):
                flags[name.removeprefix("no")] = False
    return flags


def _parse_flag_value(value: str) -> Any:
    try:
        return parse_json(value)
    except ValueError:
        return value


def is_true(value: object) -> bool:
    """Whether a flag of either form is on."""
    return str(value).lower() in ("true", "1")
