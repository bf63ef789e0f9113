"""Runs Coqui's own scripts, and the same with only the programs' names changed; writes the table.

    python -m tests.reference.coqui_scripts CHECKOUT RESULTS run coqui|ours [SCRIPT…]
    python -m tests.reference.coqui_scripts CHECKOUT RESULTS table docs/from-coqui.md

CHECKOUT is a copy of Coqui STT's repository (its ``bin`` and ``data``), which the scripts write to;
they also write to /tmp/ckpt*, /tmp/train* and /tmp/ldc93s1_cache*, which are removed first when no
script is named. STT_REFERENCE_DIR has Coqui STT 1.4.0; ``stt-bootstrap`` is on the PATH. What a run
comes to goes into RESULTS, a folder.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

SCRIPTS = {
    "run-ci-graph_augmentations.sh": (),
    "run-ci-ldc93s1_new.sh": ("2", "16000"),
    "run-ci-ldc93s1_tflite.sh": ("16000",),
    "run-ci-ldc93s1_checkpoint.sh": (),
    "run-ci-ldc93s1_singleshotinference.sh": (),
    "run-ci-ldc93s1_new_bytes.sh": ("2", "16000"),
    "run-ci-ldc93s1_new_bytes_tflite.sh": ("16000",),
    "run-ci-ldc93s1_checkpoint_bytes.sh": (),
    "run-ci-ldc93s1_new_metrics.sh": ("2", "16000"),
    "run-ci-ldc93s1_new_sdb.sh": ("2", "16000"),
    "run-ci-ldc93s1_checkpoint_sdb.sh": (),
    "run-ci-ldc93s1_new_sdb_csv.sh": ("2", "16000"),
    "run-ci-ldc93s1-flac.sh": ("--epochs", "20"),
    "run-ci-lm-opt.sh": (),
    "run-ci-ldc93s1-vorbis.sh": ("--epochs", "20"),
    "run-ci-ldc93s1-webdataset.sh": ("--epochs", "20"),
    "run-ci-transfer.sh": (),
    "run-ci-sample_augmentations.sh": (),
    "run-ldc93s1.sh": ("--epochs", "20"),
}
"""Coqui's scripts in an order in which one finds what it needs of another, and their arguments."""

PROGRAMS = {
    r"python -u train\.py|python -m coqui_stt_training\.train\b": "stt-bootstrap train",
    r"python -u evaluate\.py|python -m coqui_stt_training\.evaluate\b": "stt-bootstrap evaluate",
    r"python -m coqui_stt_training\.util\.lm_optimize": "stt-bootstrap lm_optimize",
    r"python -m coqui_stt_training\.training_graph_inference(_flashlight)?": (
        "stt-bootstrap transcribe"
    ),
}
BEGIN, END = "<!-- scripts: begin -->", "<!-- scripts: end -->"
LEFT = ("ckpt", "train", "ldc93s1_cache", "lm_feature_cache", "resume.log")
LIMIT_SECONDS = 3600


def main(arguments: list[str]) -> int:
    """Do what the command line says."""
    checkout, results = (Path(each).resolve() for each in arguments[:2])
    if arguments[2] == "table":
        page = Path(arguments[3])
        pattern = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
        filled = pattern.sub(lambda _: f"{BEGIN}\n{table(results)}{END}", page.read_text("utf-8"))
        page.write_text(filled, encoding="utf-8")
        return 0
    which, names = arguments[3], arguments[4:]
    if not names:
        clean_up(results / which / "home")
    for name in names or SCRIPTS:
        print(name, run(checkout, results / which, name, which), flush=True)
    return 0


def clean_up(home: Path) -> None:
    """Remove what earlier runs of the scripts left."""
    for path in Path("/tmp").iterdir():
        if path.name.startswith(LEFT):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.rmtree(home, ignore_errors=True)


def run(checkout: Path, folder: Path, name: str, which: str) -> dict[str, object]:
    """Run one script and note what it came to."""
    folder.mkdir(parents=True, exist_ok=True)
    script = (checkout / "bin" / name).read_text(encoding="utf-8")
    if which == "ours":
        for pattern, program in PROGRAMS.items():
            script = re.sub(pattern, program, script)
    place = folder / name
    place.write_text(script, encoding="utf-8")
    environment = {**os.environ, "HOME": str(folder / "home")}
    if which == "coqui":
        reference = Path(os.environ["STT_REFERENCE_DIR"]) / "train" / "bin"
        environment["PATH"] = f"{reference}{os.pathsep}{environment['PATH']}"
    started = time.monotonic()
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        try:
            code = subprocess.run(
                ["sh", str(place), *SCRIPTS[name]],
                cwd=checkout,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=LIMIT_SECONDS,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            code = 124
    text = log.read_text(encoding="utf-8", errors="replace")
    outcome = {
        "code": code,
        "seconds": round(time.monotonic() - started),
        "tests": re.findall(r"^Test on .*", text, re.MULTILINE),
        "last": last_line(text) if code else "",
    }
    (folder / f"{name}.json").write_text(json.dumps(outcome, indent=2), encoding="utf-8")
    return outcome


def last_line(text: str) -> str:
    """Return the line that says why a script ended."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"error: |\w*Error: ", line)]
    return (errors or lines or [""])[-1][:160]


def table(results: Path) -> str:
    """Return the outcomes side by side, as Markdown."""
    rows = ["| script | Coqui STT 1.4.0 | stt-bootstrap |", "| --- | --- | --- |"]
    for name, arguments in SCRIPTS.items():
        cells = [" ".join((f"`{name}`", *arguments))]
        for which in ("coqui", "ours"):
            file = results / which / f"{name}.json"
            cells.append(describe(json.loads(file.read_text())) if file.exists() else "not run")
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def describe(outcome: dict[str, object]) -> str:
    """Return in words what a script came to."""
    if outcome["code"]:
        reason = str(outcome["last"]).replace("|", r"\|")
        return f"ends with {outcome['code']}: {reason}"
    tests = outcome["tests"]
    assert isinstance(tests, list)
    found = re.search(r"WER: ([\d.]+), CER: ([\d.]+)", tests[-1]) if tests else None
    rates = f", last test WER {float(found[1]):.2f}, CER {float(found[2]):.2f}" if found else ""
    return f"runs to its end{rates}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
