"""The command ``preflight``."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from stt_bootstrap.pipelines.package import package_parameters
from stt_bootstrap.pipelines.preflight.checks import preflight
from stt_bootstrap.pipelines.preflight.cluster import Cluster
from stt_bootstrap.pipelines.preflight.findings import Status, as_json, as_table
from stt_bootstrap.pipelines.preflight.flags import PARAMETERS, size_parameters
from stt_bootstrap.pipelines.preflight.plan import Plan, PreflightError
from stt_model.base import name_hint
from stt_model.jobs import read_settings_file


def main(args: argparse.Namespace) -> int:
    """Print the findings of all checks.

    Raises:
        PreflightError: after printing, if a run would fail.
    """
    findings = preflight(_plan(args), Cluster.connect(args.namespace, args.context))
    print(as_json(findings) if args.output == "json" else as_table(findings))
    bad = [finding.check for finding in findings if finding.status is Status.FAILED]
    if bad:
        checks = ", ".join(dict.fromkeys(bad))
        raise PreflightError(f"a run would fail; see above what to do about: {checks}")
    return 0


def _plan(args: argparse.Namespace) -> Plan:
    """Return the values of the flags, else those of the file, else the defaults."""
    known = package_parameters(args.package)
    asked = [name for name in PARAMETERS if name in known]
    settings: dict[str, Any] = {
        name: known[name].default for name in asked if known[name].default is not None
    }
    given = read_settings_file(args.parameters) if args.parameters else {}
    if unknown := sorted(set(given) - set(known)):
        raise PreflightError(
            f"{args.parameters}: {unknown[0]}: no such parameter ({name_hint(unknown[0], known)})"
        )
    settings.update({name: given[name] for name in asked if name in given})
    for name in (*asked, *(field.name for field in dataclasses.fields(Plan))):
        if getattr(args, name, None) is not None:
            settings[name] = getattr(args, name)
    # The form's name for it, which puts its fields in order.
    if alphabet := settings.pop("model_alphabet_uri", None):
        settings["alphabet_uri"] = alphabet
    names = size_parameters(known)
    sizes = {name: str(given[name]) for name in names if name in given}
    sizes |= {name: flag for name in names if (flag := getattr(args, name, None)) is not None}
    return Plan(**settings, sizes=sizes)
