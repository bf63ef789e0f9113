from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from stt_model.base.errors import BootstrapError
from stt_model.base.parameters import configure, whole


@dataclass
class Settings:
    files: Sequence[Path]
    folder: Path
    report: Path | None = None
    epochs: int = whole(1, "Epochs.", minimum=1)
    note: str = ""


def test_parameters_and_paths_may_be_text():
    made = configure(Settings, files=[], folder="a/b", report="c.md", epochs="3", note="d")
    assert made == Settings([], Path("a/b"), Path("c.md"), 3, "d")
    assert configure(Settings, files=[], folder=Path("a"), report=None).report is None


def test_a_text_that_is_no_value_is_refused_by_name():
    with pytest.raises(BootstrapError, match="--epochs: "):
        configure(Settings, files=[], folder="a", epochs="many")
