"""The commands ``run`` and ``compile``."""

from __future__ import annotations

import argparse
from pathlib import Path

from stt_bootstrap.components import images
from stt_model.base import BootstrapError, GateError, StorageError, check_output
from stt_model.corpus import SPLITS, find_splits
from stt_model.storage import check_readable, is_remote, local_file, local_path
from stt_model.text import read_alphabet

SHARES = ("dev_share", "test_share")
"""Flags of ``run`` that divide a single manifest."""


class RunError(BootstrapError):
    """A run of the pipeline that failed."""


def run(args: argparse.Namespace) -> int:
    """Run the pipeline here; exit with 1 if a task failed or the model is not good enough."""
    manifest = _check_inputs(args)
    if manifest:
        from stt_model.jobs import divide_manifest

        made = divide_manifest(manifest, args.output / "corpus", **_shares(args))
        args.dataset_uri = str(made["train"].parent)
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


def _shares(args: argparse.Namespace) -> dict[str, float]:
    return {name: getattr(args, name) for name in SHARES if getattr(args, name) is not None}


def _manifest_to_divide(args: argparse.Namespace) -> Path | None:
    """Return the single manifest that is to be divided; None if there is none."""
    manifest, shares = _only_manifest(args.dataset_uri), _shares(args)
    if manifest and manifest.suffix.lower() != ".csv":
        raise RunError(
            f"{args.dataset_uri}: expected a folder with train.csv, dev.csv and test.csv, or one"
            f" CSV file, found neither; to make such a folder: stt-bootstrap import"
            f" {args.dataset_uri} my-corpus"
        )
    if manifest and not shares:
        raise RunError(
            f"{args.dataset_uri}: expected train.csv and dev.csv, found only {manifest.name}; to"
            " divide it, with no text and no speaker in two splits, add --dev_share 0.1"
            " --test_share 0.1"
        )
    if shares and not manifest:
        raise RunError(
            f"--{next(iter(shares))}: expected one CSV file to divide, or a folder with one, in"
            f" --dataset_uri, found {args.dataset_uri}; leave the flag out"
        )
    return manifest


def _only_manifest(dataset_uri: str) -> Path | None:
    """Return the manifest, if a local dataset has only one."""
    if is_remote(dataset_uri):
        return None
    path = local_path(dataset_uri)
    if path.is_file():
        return path
    found = [each for each in path.glob("*.csv") if each.is_file()] if path.is_dir() else []
    return found[0] if len(found) == 1 else None


def _check_inputs(args: argparse.Namespace) -> Path | None:
    """Refuse inputs that do not exist, before a run leaves any files.

    Returns the single manifest to divide, if there is one.
    """
    check_output(args.output, is_folder=True)
    _check_output_folder(args.output)
    manifest = _manifest_to_divide(args)
    if manifest is None:
        find_splits(args.dataset_uri)
    if args.alphabet_uri:
        with local_file(args.alphabet_uri) as path:
            read_alphabet(path)
    for name in ("checkpoint_uri", "checkpoint_alphabet_uri", "scorer_uri", "unlabelled_uri"):
        if uri := getattr(args, name):
            try:
                check_readable(uri)
            except StorageError as error:
                raise RunError(f"--{name}: {error}") from error
    return manifest


def _check_output_folder(folder: Path) -> None:
    """Refuse a folder that holds something else than runs: their results would be among it."""
    try:
        # Hidden files are the system's, as lost+found is where a whole disk was given.
        held = sorted(
            each.name
            for each in (folder.iterdir() if folder.exists() else ())
            if not each.name.startswith(".") and each.name != "lost+found"
        )
        if not held or _holds_runs(folder) or _holds_divided_corpus(folder, held):
            return
    except OSError as error:
        raise RunError(f"--output: {folder}: cannot be read: {error.strerror}") from error
    more = f" and {len(held) - 1} more" if len(held) > 1 else ""
    raise RunError(
        f"--output: {folder}: expected a new or empty folder, or that of earlier runs, found"
        f" {held[0]}{more}; give another folder, such as {folder / 'run'}"
    )


def _holds_runs(folder: Path) -> bool:
    """Return whether an earlier run was begun there; tools of others name a folder runs too."""
    runs = folder / "runs"
    made = list(runs.iterdir()) if runs.is_dir() else []
    return any((each / "tasks").is_dir() and (each / "logs").is_dir() for each in made)


def _holds_divided_corpus(folder: Path, held: list[str]) -> bool:
    """Return whether all there is are the splits of a run that came no further."""
    corpus, splits = folder / "corpus", {f"{split}.csv" for split in SPLITS}
    is_alone = held == [corpus.name] and corpus.is_dir()
    return is_alone and {each.name for each in corpus.iterdir()} <= splits


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
