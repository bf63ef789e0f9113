"""Runs Coqui STT 1.4.0, the reference, in its own Python."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ALPHABET = " abcdefghijklmnopqrstuvwxyz'"


def python() -> Path:
    """The interpreter under ``STT_REFERENCE_DIR`` that has ``coqui_stt_training`` 1.4.0."""
    folder = os.environ.get("STT_REFERENCE_DIR")
    if not folder:
        raise SystemExit("error: set STT_REFERENCE_DIR to where Coqui STT 1.4.0 is installed")
    interpreter = Path(folder) / "train" / "bin" / "python"
    if not interpreter.exists():
        raise SystemExit(f"error: STT_REFERENCE_DIR: no {interpreter}")
    return interpreter


def coqui(module: str, flags: Mapping[str, str], cwd: Path, log: Path) -> None:
    """Run ``coqui_stt_training.MODULE`` in ``cwd``; its output is added to ``log``.

    Paths in ``flags`` should be relative: Coqui writes its flags into the checkpoint.
    """
    # TensorFlow 2 leaves a mark in the environment that turns TensorFlow 1 eager.
    environment = {key: value for key, value in os.environ.items() if key != "TF2_BEHAVIOR"}
    command = [str(python()), "-m", f"coqui_stt_training.{module}"]
    for name, value in flags.items():
        command += [f"--{name}", value]
    with log.open("ab") as output:
        subprocess.run(
            command, cwd=cwd, stdout=output, stderr=subprocess.STDOUT, check=True, env=environment
        )


def evaluate(
    folder: Path, manifest: str, checkpoint: str, flags: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Have Coqui evaluate a checkpoint; one object an utterance, as ``--test_output_file`` has it.

    ``manifest`` and ``checkpoint`` are relative to ``folder``.
    """
    output = folder / "evaluation.json"
    coqui(
        "evaluate",
        {
            "test_files": manifest,
            "checkpoint_dir": checkpoint,
            "test_output_file": output.name,
            "show_progressbar": "false",
            **flags,
        },
        cwd=folder,
        log=folder / "evaluate.log",
    )
    samples: list[dict[str, Any]] = json.loads(output.read_text(encoding="utf-8"))
    return samples


def write_alphabet(path: Path) -> None:
    """Write the English alphabet file: space, a to z, apostrophe."""
    path.write_text("".join(f"{label}\n" for label in ALPHABET), encoding="utf-8")


def copy_checkpoint(source: Path, target: Path) -> None:
    """Copy the best checkpoint of ``source``, byte for byte as Coqui wrote it, and no other.

    Training in two steps leaves an older best one beside the one that the state file names.
    """
    state = (source / "best_dev_checkpoint").read_text(encoding="utf-8")
    prefix = re.findall(r'^model_checkpoint_path: "(.+)"$', state, re.MULTILINE)[0]
    names = [f"{prefix}.index", f"{prefix}.data-00000-of-00001"]
    names += ["best_dev_checkpoint", "alphabet.txt", "flags.txt"]
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name in names:
        shutil.copyfile(source / name, target / name)
