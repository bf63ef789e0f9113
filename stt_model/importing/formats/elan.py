"""ELAN: ``.eaf`` files with time-aligned annotations of long recordings, read by pympi."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from stt_model.importing.clip import Found, ImportSourceError, Notes, Options, needs
from stt_model.importing.layout import beside, parent
from stt_model.importing.segments import Recording
from stt_model.importing.tree import Tree, reason_of

NAME = "elan"
TITLE = "ELAN annotations"


def recognise(tree: Tree) -> bool:
    """Tell by the suffix ``.eaf``."""
    return bool(tree.seen(".eaf"))


def read(tree: Tree, options: Options, notes: Notes) -> Iterator[Found]:
    """Yield the annotations of every file: those of ``options.tier``, or of the top tiers."""
    pympi = needs("pympi", "pympi-ling", TITLE)
    for name in tree.find(".eaf"):
        path = tree.local(name)
        try:
            file = pympi.Eaf(str(path), suppress_version_warning=True)
        except Exception as error:  # damaged XML can make the library raise anything
            raise ImportSourceError(
                f"{path}: expected an ELAN file, found: {reason_of(error)}"
            ) from error
        tiers = _tiers(name, path, file, options)
        notes.add(f"{name}: transcripts from the tiers {', '.join(tiers)}")
        missing = "expected the recording that it belongs to beside it, found none"
        recording = Recording(tree, name, _audio(tree, name, file), missing)
        for tier in tiers:
            speaker = file.get_parameters_for_tier(tier).get("PARTICIPANT") or ""
            if not speaker and len(tiers) > 1:
                speaker = tier
            for start, end, text in _annotations(path, file, tier):
                where = f"tier {tier}, {start:.3f} s"
                yield recording.segment(start, end, text, where=where, tier=tier, speaker=speaker)


def _annotations(path: Path, file: Any, tier: str) -> list[tuple[float, float, str]]:
    """Return start and end in seconds and the text of each annotation, in order."""
    try:
        return sorted(
            (each[0] / 1000, each[1] / 1000, each[2] or "")
            for each in file.get_annotation_data_for_tier(tier)
        )
    except (LookupError, TypeError) as error:
        raise ImportSourceError(
            f"{path}: expected annotations with times in the tier {tier}, found one without"
            f" ({error!r})"
        ) from error


def _is_on_top(path: Path, file: Any, tier: str) -> bool:
    is_part = "PARENT_REF" in file.get_parameters_for_tier(tier)
    return not is_part and bool(_annotations(path, file, tier))


def _tiers(name: str, path: Path, file: Any, options: Options) -> list[str]:
    """Return the tiers to read: the given one, or all time-aligned ones without a parent."""
    tiers = list(file.get_tier_names())
    if options.tier:
        if options.tier not in tiers:
            raise ImportSourceError(
                f"{path}: expected the tier {options.tier!r}, found {', '.join(tiers)}"
            )
        return [options.tier]
    top = [tier for tier in tiers if _is_on_top(path, file, tier)]
    if not top:
        raise ImportSourceError(
            f"{path}: expected a tier with annotations, found {', '.join(tiers) or 'no tier'}"
        )
    return top


def _audio(tree: Tree, name: str, file: Any) -> str:
    """Return the recording: the linked one, even if it was moved, or the one of the same name."""
    folder = parent(name)
    linked = []
    for media in file.get_linked_files():
        for address in (media.get("RELATIVE_MEDIA_URL"), media.get("MEDIA_URL")):
            if address:
                path = unquote(_path_of(address))
                # A Windows path in a URL is /C:/…; elsewhere only its last part is useful.
                linked += [path.removeprefix("./"), PurePosixPath(path.replace("\\", "/")).name]
    for candidate in (*linked, PurePosixPath(name).stem):
        found = beside(tree, folder, candidate)
        if tree.exists(found):
            return found
    return ""


def _path_of(address: str) -> str:
    try:
        return urlsplit(address).path if "://" in address else address
    except ValueError:
        return address
