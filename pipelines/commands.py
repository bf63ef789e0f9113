"""What the commands of ``stt-bootstrap`` do that run or write the pipeline."""

from __future__ import annotations

import argparse

from stt_bootstrap.components import images
from stt_model.base import BootstrapError, GateError, StorageError, check_output
from stt_model.corpus import find_splits
from stt_model.storage import check_readable, local_file
from stt_model.text import read_alphabet


class RunError(BootstrapError):
    """A run of the pipeline that did not come to its end."""


def run(args: argparse.Namespace) -> int:
    """Run the pipeline here; exit with 1 if a task failed or the model is not good enough."""
    _check_inputs(args)
    from stt_bootstrap.pipelines.local import run as run_locally
    from stt_bootstrap.pipelines.package import CLUSTER_ONLY, package_parameters

    outcome = run_locally(
        {name: getattr(args, name) for name in package_parameters() if name not in CLUSTER_ONLY},
        output_dir=args.output,
        runner=args.runner,
        verbose=args.verbose,
    )
    if outcome.mode:
        print(f"mode: {outcome.mode} ({outcome.reason})")
    for name, path in outcome.reports.items():
        print(f"report of {name}: {path}")
    if outcome.page:
        print(f"page on the evaluation: {outcome.page}")
    if outcome.suspects and outcome.suspects.stat().st_size:
        print(f"suspects, for the next run's --drop_suspects_uri: {outcome.suspects}")
    if not outcome.succeeded:
        raise RunError(f"{'; '.join(outcome.errors)} (logs: {outcome.run_dir / 'logs'})")
    print(f"model: {outcome.model}")
    print(f"export: {outcome.export}, the same in a zip: {outcome.package}")
    print(f"WER {outcome.wer:.4f}, CER {outcome.cer:.4f}; samples: {outcome.samples}")
    print(f"released: {'yes' if outcome.passed else 'no'}")
    print(f"verdict: {outcome.verdict}")
    if not outcome.passed:
        raise GateError(f"the model was exported, but is not released: {outcome.gate}")
    return 0


def _check_inputs(args: argparse.Namespace) -> None:
    """Refuse what is plainly not there, before a run is begun that would leave its traces."""
    check_output(args.output, is_folder=True)
    find_splits(args.dataset_uri)
    if args.alphabet_uri:
        with local_file(args.alphabet_uri) as path:
            read_alphabet(path)
    for name in ("checkpoint_uri", "checkpoint_alphabet_uri", "scorer_uri"):
        if uri := getattr(args, name):
            try:
                check_readable(uri)
            except StorageError as error:
                raise RunError(f"--{name}: {error}") from error


def compile_packages(args: argparse.Namespace) -> int:
    """Write the packages."""
    from stt_bootstrap.pipelines.compile import compile_all, parse_images
    from stt_bootstrap.pipelines.component_readme import write_readmes
    from stt_bootstrap.pipelines.variant import Variant

    written = compile_all(
        args.output,
        registry=args.registry or images.REGISTRY,
        tag=args.tag or images.TAG,
        overrides=parse_images(args.image),
        cache_claim=args.cache_claim,
        queue=args.queue,
        variant=Variant(nodes=args.nodes, model_registry=args.model_registry),
    )
    for path in [*written, *write_readmes(args.output)]:
        print(path)
    return 0
