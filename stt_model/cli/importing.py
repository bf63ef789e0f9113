"""The commands that make a corpus: import, and Coqui's importers by their names."""

from __future__ import annotations

import argparse

from stt_model import jobs
from stt_model.base import parameters_of, redact
from stt_model.cli.flags import HelpFormatter, add_parameters, values_of
from stt_model.importing import COQUI_IMPORTERS, ImportSettings, known_formats

_SOURCE = "recordings and texts: a folder, a table or an archive (path, http(s):// or s3:// URI)"
_TARGET = "folder for the corpus (path, file:// or s3:// URI); an existing corpus gets new clips"
_WRITTEN = ("normalise", "numbers")


def import_dataset_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``import``."""
    _add_flags(parser, *parameters_of(ImportSettings))
    known = "\n".join(f"  {each.NAME:18} {each.TITLE}" for each in known_formats().values())
    parser.epilog = f"formats:\n{known}"
    parser.formatter_class = _FormatsHelp


def import_dataset(args: argparse.Namespace) -> int:
    """Import recordings and texts into a corpus."""
    result = jobs.import_dataset(
        args.source, args.target, **values_of(args, (*_WRITTEN, *parameters_of(ImportSettings)))
    )
    print(result.summary())
    print(f"train.csv, dev.csv, test.csv, rejected.csv and report.md: {redact(args.target)}")
    return 0


def coqui_flags(parser: argparse.ArgumentParser, name: str) -> None:
    """Add the flags of one of Coqui's importers: those of ``import`` except the format."""
    parser.set_defaults(format=COQUI_IMPORTERS[name])
    parser.description = (
        f"Does what stt-bootstrap import --format {COQUI_IMPORTERS[name]} does; it does not"
        " download."
    )
    _add_flags(parser, *(each for each in parameters_of(ImportSettings) if each != "format"))


def _add_flags(parser: argparse.ArgumentParser, *names: str) -> None:
    parser.add_argument("source", help=_SOURCE)
    parser.add_argument("target", help=_TARGET)
    add_parameters(parser, jobs.ValidationSettings, *_WRITTEN)
    add_parameters(parser, ImportSettings, *names)


class _FormatsHelp(HelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keeps the line breaks of the list of formats."""
