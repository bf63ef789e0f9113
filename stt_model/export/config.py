"""Settings of an export, which are checked before TensorFlow starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from stt_model.base import ExportError, check_parameters, real, switch, text, whole
from stt_model.export.model_card import ModelIdentity, check_name

if TYPE_CHECKING:
    from stt_model.text import Alphabet


N_STEPS = 16
"""Frames that a call of an exported model takes, in every published one."""
DESCRIPTION = "export.json"
"""The file in every export that describes it."""


@dataclass(frozen=True)
class ExportConfig:
    """Settings of an export. Names are Coqui STT's, where it has them.

    ``test_files`` hold the utterances to compare on. There the word error rate of a quantised model
    may be higher by ``max_wer_change``, by one error if that is less than one, or by what may be
    chance: the 95 % confidence interval of the increase, over utterances, includes 0.
    ``released`` and its reason ``gate`` are written into the model card.
    """

    load_checkpoint_dir: Path
    export_dir: Path
    test_files: Sequence[Path] = ()
    load_evaluate: str = "auto"
    alphabet: Alphabet | None = None
    export_file_name: str = text("output_graph", "Name of the .tflite file, without its suffix.")
    export_tflite: bool = switch(True, "Write a .tflite file for Coqui STT's runtime 1.4.")
    export_quantize: bool = switch(
        True, "Store the exported weights in 8-bit integers, a quarter of the size."
    )
    export_savedmodel: bool = switch(False, "Export a TensorFlow SavedModel too.")
    remove_export: bool = switch(False, "Replace an earlier export in that folder.")
    export_beam_width: int = whole(
        500, "Beam width that the deployed runtime starts with.", minimum=1
    )
    n_steps: int = whole(
        N_STEPS,
        "Frames that the exported model processes per call: with fewer, results come sooner; more"
        " take less time in total.",
        minimum=2,
        maximum=256,
    )
    max_wer_change: float = real(
        0.02,
        "How much quantising may raise the word error rate on the test split; more is an error.",
        minimum=0,
    )
    released: bool = switch(True, "Whether the model card says that the model may be used.")
    zip_path: Path | None = None
    scorer_path: Path | None = None
    identity: ModelIdentity = field(default_factory=ModelIdentity)
    gate: str = ""

    def check(self) -> None:
        """Refuse impossible settings, before anything is read or made."""
        check_parameters(self, ExportError)
        self.identity.check()
        check_name("--export_file_name", self.export_file_name)
        if not self.export_tflite and not self.export_savedmodel:
            raise ExportError(
                "expected --export_tflite or --export_savedmodel, found both false: nothing to"
                " export; Coqui STT's runtime 1.4 takes a .tflite"
            )
        if self.scorer_path and not self.scorer_path.is_file():
            raise ExportError(f"{self.scorer_path}: no such scorer; check --scorer_path")
        check_place(self.export_dir, self.remove_export)
        if self.zip_path and self.zip_path.exists() and not self.remove_export:
            raise ExportError(
                f"{self.zip_path}: exists already; remove it, or let --remove_export replace it"
            )


def check_place(folder: Path, replace: bool) -> None:
    """Raise ExportError unless an export can be written there without losing other files."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ExportError(f"{folder}: expected a folder to export to, found a file")
    if not any(folder.iterdir()):
        return
    if not replace:
        raise ExportError(
            f"{folder}: expected an empty folder to export to, found files in it; give another"
            " --export_dir, or let --remove_export replace an earlier export"
        )
    if not (folder / DESCRIPTION).is_file():
        raise ExportError(
            f"{folder}: --remove_export replaces only what has an {DESCRIPTION}, and this folder"
            " has none; give another --export_dir"
        )
