"""Writes the table of flags: ``python -m tests.reference.flags_table docs/from-coqui.md``."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from stt_model.cli.coqui_flags import COMMANDS, FLAGS, REFUSED, SAME, own_options
from stt_model.cli.parser import build_parser

BEGIN, END = "<!-- flags: begin -->", "<!-- flags: end -->"


def table() -> str:
    """Return a row for each flag: the commands that use it, and what happens in the others."""
    commands = build_parser()[1]
    own = {name: own_options(commands.choices[name]) for name in COMMANDS}
    rows = ["| flag | same meaning in | elsewhere |", "| --- | --- | --- |"]
    for flag in FLAGS:
        where = [name for name in COMMANDS if f"--{flag.name}" in own[name]]
        outcome = "refused" if flag.outcome == REFUSED else "no effect"
        but = f" but {flag.default}" if flag.outcome == REFUSED else ""
        elsewhere = "" if len(where) == len(COMMANDS) else f"{outcome}{but}: {flag.why}"
        assert where or flag.outcome != SAME
        rows.append(f"| `--{flag.name}` | {', '.join(where) or '—'} | {elsewhere} |")
    return "\n".join(rows)


def main(path: Path) -> None:
    """Put the table between its marks."""
    text = path.read_text(encoding="utf-8")
    pattern = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    path.write_text(pattern.sub(f"{BEGIN}\n{table()}\n{END}", text), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
