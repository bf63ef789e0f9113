"""What the commands of ``stt-bootstrap`` do that run or write the pipeline."""

from __future__ import annotations

import argparse
import sys

from components import images
from stt_model.errors import BootstrapError


class RunError(BootstrapError):
    """A run of the pipeline that did not come to its end."""


def run(args: argparse.Namespace) -> int:
    """Run the pipeline here; exit with 1 if a task failed."""
    from pipelines.local import run as run_locally
    from pipelines.package import package_parameters

    outcome = run_locally(
        {name: getattr(args, name) for name in package_parameters()},
        output_dir=args.output,
        runner=args.runner,
        verbose=args.verbose,
    )
    if outcome.mode:
        print(f"mode: {outcome.mode} ({outcome.reason})")
    for name, path in outcome.reports.items():
        print(f"report of {name}: {path}")
    if not outcome.succeeded:
        raise RunError(f"{'; '.join(outcome.errors)} (logs: {outcome.run_dir / 'logs'})")
    print(f"model: {outcome.model}")
    print(f"WER {outcome.wer:.4f}, CER {outcome.cer:.4f}; samples: {outcome.samples}")
    return 0


def compile_packages(args: argparse.Namespace) -> int:
    """Write the packages."""
    from pipelines.compile import compile_all

    written = compile_all(
        args.output, registry=args.registry or images.REGISTRY, tag=args.tag or images.TAG
    )
    for path in written:
        print(path)
    sys.stdout.flush()
    return 0
