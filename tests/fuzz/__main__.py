"""``python -m tests.fuzz``: every target in a process of its own, so that a crash is seen too.

Prints a table of what was tried, and what went wrong, the input of which lies in ``build/fuzz``
afterwards, to be tried again with ``--again FILE``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from tests.fuzz.campaign import SECONDS_A_CASE, run
from tests.fuzz.targets import TARGETS

FOUND = Path("build/fuzz")


def main() -> int:
    """Return 1 if a target made a mistake."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", help=f"of {', '.join(TARGETS)}; all by default")
    parser.add_argument("--seconds", type=float, default=60, help="for each target")
    parser.add_argument("--cases", type=int, default=10**9, help="for each target, at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--again", type=Path, metavar="FILE", help="give this file to the target")
    args = parser.parse_args()
    if args.again:
        return _again(args.targets[0], args.again)
    if args.one:
        outcome = run(args.targets[0], seed=args.seed, cases=args.cases, seconds=args.seconds)
        failures = [(each.message, each.case, each.data.hex()) for each in outcome.failures]
        print(json.dumps({**asdict(outcome), "failures": failures}))
        return 0
    unknown = set(args.targets) - set(TARGETS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    print("| target | cases | refused | seconds | peak MiB | mistakes |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    failures = [_campaign(name, args) for name in args.targets or TARGETS]
    return int(any(failures))


def _campaign(name: str, args: argparse.Namespace) -> bool:
    command = [sys.executable, "-m", "tests.fuzz", name, "--one", "--seed", str(args.seed)]
    command += ["--seconds", str(args.seconds), "--cases", str(args.cases)]
    limit = args.seconds + 10 * SECONDS_A_CASE
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        print(f"| {name} | | | {limit:.0f} | | did not end |", flush=True)
        return True
    if done.returncode:
        problem = (done.stderr.strip().splitlines() or [""])[-1]
        print(f"| {name} | | | | | ended with {done.returncode}: {problem} |", flush=True)
        return True
    found = json.loads(done.stdout.splitlines()[-1])
    print(
        f"| {name} | {found['cases']} | {found['refused']} | {found['seconds']:.0f} |"
        f" {found['peak'] / 2**20:.0f} | {len(found['failures']) or ''} |",
        flush=True,
    )
    for message, case, data in found["failures"]:
        FOUND.mkdir(parents=True, exist_ok=True)
        file = FOUND / f"{name}-{args.seed}-{case}.bin"
        file.write_bytes(bytes.fromhex(data))
        print(f"{file}: {message}", file=sys.stderr, flush=True)
    return bool(found["failures"])


def _again(name: str, file: Path) -> int:
    with (
        tempfile.TemporaryDirectory() as folder,
        TARGETS[name].opened(Path(folder)) as (_, read),
    ):
        print(read(file.read_bytes()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
