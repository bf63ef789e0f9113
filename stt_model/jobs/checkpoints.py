"""Jobs on a checkpoint: fetch, inspect, choose the mode, replace the last layers."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stt_model.base import AlphabetError, RefusedError, ScorerError, check_output
from stt_model.checkpoint import (
    Checkpoint,
    Surgery,
    fetch_checkpoint,
    imports_in,
    open_checkpoint,
    operate,
)
from stt_model.corpus import find_splits, iter_utterances
from stt_model.jobs.reports import as_table, given_file, write_report
from stt_model.storage import GIB
from stt_model.text import (
    Alphabet,
    BytesAlphabet,
    Decision,
    format_alphabet,
    read_alphabet,
    write_alphabet,
)
from stt_model.text import decide as make_decision

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FetchedCheckpoint:
    """A fetched checkpoint."""

    sha256: str
    """Digest of the archive, or of the folder."""
    bytes: int
    checkpoint: Checkpoint

    @property
    def metadata(self) -> dict[str, str | int | bool]:
        """Metadata that a pipeline keeps with the artifact."""
        found = self.checkpoint
        return {
            "sha256": self.sha256,
            "name": found.prefix.name,
            "step": found.step,
            "n_hidden": found.geometry.n_hidden,
            "layer_norm": found.geometry.layer_norm,
            "bytes_output_mode": found.alphabet.is_bytes,
            "labels": found.alphabet.size,
            **({"imported_from": self._origin} if self._origin else {}),
        }

    @property
    def _origin(self) -> str:
        """The deployed model that the checkpoint, or its nearest such ancestor, was read from."""
        for each in imports_in(self.checkpoint.lineage):
            bits = ", 8-bit" if each.get("quantised") else ""
            return f"{each.get('file')} ({each.get('format')}{bits}, sha256 {each.get('sha256')})"
        return ""


def fetch(
    uri: str | Path,
    target: str | Path,
    *,
    sha256: str = "",
    size_limit: int = 20,
    unpacked_limit: int = 40,
    progress: bool = False,
    alphabet: Alphabet | None = None,
    alphabet_uri: str = "",
    bytes_output_mode: bool = False,
    report: str | Path | None = None,
) -> FetchedCheckpoint:
    """Fetch a checkpoint to the folder ``target``, and check that it is one by opening it.

    A deployed model (``.tflite``, ``.pb``, ``.pbmm``) becomes a checkpoint.

    Args:
        uri: folder, archive or deployed model: a path, ``file://``, ``s3://`` or ``http(s)://``.
        target: folder to create.
        sha256: expected digest, in hexadecimal; empty for no check.
        size_limit: maximum to fetch, in GiB.
        unpacked_limit: maximum to unpack from an archive, in GiB.
        progress: show a progress bar on a terminal.
        alphabet: the labels of its classes, if it does not hold them.
        alphabet_uri: alphabet file with these labels, as a path or URI; empty for none.
        bytes_output_mode: the labels are the bytes of UTF-8.
        report: where the report is written.

    Raises:
        StorageError: it cannot be fetched.
        CheckpointError: it is not a checkpoint; ``target`` is not created.
    """
    with given_file(alphabet_uri) as path:
        given = read_alphabet(path) if path else alphabet
    if bytes_output_mode:
        if given is not None:
            raise AlphabetError(
                "expected an alphabet file or bytes_output_mode, found both; leave one out"
            )
        given = BytesAlphabet()
    fetched = fetch_checkpoint(
        str(uri),
        Path(target),
        sha256=sha256,
        size_limit=size_limit * GIB,
        unpacked_limit=unpacked_limit * GIB,
        progress=progress,
        alphabet=given,
    )
    result = FetchedCheckpoint(fetched.sha256, fetched.bytes, open_checkpoint(target))
    write_report(report, as_table("Checkpoint", result.metadata))
    return result


def inspect(
    checkpoint: str | Path, *, which: str = "auto", alphabet: Alphabet | None = None
) -> dict[str, Any]:
    """Describe a checkpoint: geometry, alphabet, mode and lineage.

    ``which`` is best, last or auto; ``alphabet`` is the checkpoint's, if it is stored elsewhere.
    """
    return open_checkpoint(checkpoint, which=which, alphabet=alphabet).describe()


def transcripts_of(manifests: Iterable[str | Path]) -> list[str]:
    """Return the transcripts of all rows of some manifests."""
    return [row.transcript for path in manifests for row in iter_utterances(Path(path))]


def decide(
    transcripts: Sequence[str],
    checkpoint: str | Path,
    *,
    mode: str = "auto",
    alphabet: Alphabet | None = None,
    keep_source_labels: bool = False,
) -> Decision:
    """Decide between fine-tuning a checkpoint and transferring it to another alphabet.

    A refusal is a decision too: its mode is ``refuse``, and its reason explains why.
    """
    source = open_checkpoint(checkpoint)
    return make_decision(
        source.alphabet,
        transcripts,
        mode=mode,
        alphabet=alphabet,
        keep_source_labels=keep_source_labels,
    )


def analyse_alphabet(
    dataset: str | Path,
    checkpoint: str | Path,
    model_alphabet: Path,
    report: Path,
    *,
    mode: str = "auto",
    alphabet_uri: str = "",
    keep_source_labels: bool = False,
    scorer_uri: str = "",
) -> Decision:
    """Choose the mode for a dataset, and write the model's future alphabet and the reasons.

    After a refusal that alphabet is the checkpoint's. ``scorer_uri`` is the language model that the
    new model will be tested with: if it does not fit, it is refused here, before training.
    """
    with given_file(alphabet_uri) as path:
        given = read_alphabet(path) if path else None
    transcripts = transcripts_of(find_splits(str(dataset)).values())
    decision = decide(
        transcripts,
        checkpoint,
        mode=mode,
        alphabet=given,
        keep_source_labels=keep_source_labels,
    )
    for warning in decision.warnings:
        log.warning("%s", warning)
    chosen = decision.alphabet or decision.source
    log.info("mode: %s (%s)", decision.mode, decision.reason)
    if decision.mode != "refuse":
        check_scorer_fits(scorer_uri, chosen)
    write_alphabet(chosen, model_alphabet)
    write_report(report, decision.to_markdown())
    return decision


def check_scorer_fits(
    scorer_uri: str | Path | None, alphabet: Alphabet, vocab_file: str | Path | None = None
) -> None:
    """Refuse a scorer that cannot be read, or that is for another alphabet.

    ``vocab_file`` has the words that it may write, if its own file has none or others.

    Raises:
        StorageError: it cannot be fetched.
        ScorerError: there is none at a path, or it does not fit the model.
    """
    from stt_model.decoding import check_scorer, read_scorer

    with given_file(str(scorer_uri or "")) as scorer:
        if scorer:
            if not scorer.exists():
                raise ScorerError(f"{scorer}: no such scorer; give the path of a .scorer package")
            opened = read_scorer(scorer, alphabet, Path(vocab_file) if vocab_file else None)
            # The light image has no decoder: only the package itself is checked there.
            if importlib.util.find_spec("flashlight"):
                check_scorer(opened)


def replace_layers(
    checkpoint: str | Path,
    output: str | Path,
    *,
    alphabet: Alphabet,
    drop_source_layers: int = 1,
    warm_start: bool = True,
    random_seed: int = 4568,
    report: str | Path | None = None,
) -> Surgery:
    """Replace the last layers of a checkpoint by new ones for another alphabet.

    Args:
        checkpoint: folder in Coqui's layout.
        output: folder to create; it must be empty or missing.
        alphabet: of the new output layer.
        drop_source_layers: how many layers, counted from the output: 1 to 5.
        warm_start: keep the output rows of characters that both alphabets share, if only the
            output layer is replaced.
        random_seed: of the new weights.
        report: where the report is written.
    """
    check_output(Path(output), is_folder=True)
    surgery = operate(
        checkpoint,
        output,
        target_alphabet=alphabet,
        mode="transfer",
        drop_source_layers=drop_source_layers,
        seed=random_seed,
        warm_start=warm_start,
    )
    # In quotes, so that a space is visible.
    warm_started = tuple(map(repr, surgery.warm_started))
    table = as_table("Layer surgery", {**surgery.to_dict(), "warm_started": warm_started})
    write_report(report, table)
    return surgery


def refuse(reason: str) -> None:
    """Raise RefusedError with the reason, so that the run fails with it."""
    raise RefusedError(reason)


def read_model_alphabet(path: str | Path) -> Alphabet:
    """Read an alphabet file as ``analyse_alphabet`` writes it.

    For a model in bytes output mode it is only a comment, since its labels cannot be lines.
    """
    is_bytes = Path(path).read_bytes() == format_alphabet(BytesAlphabet())
    return BytesAlphabet() if is_bytes else read_alphabet(path)
