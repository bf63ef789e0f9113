"""The steps of the pipeline, one function each: folders and files in, folders and files out.

A step reads what earlier steps wrote, has one module do the work, and leaves a Markdown report.
TensorFlow is imported only by the steps that need it.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from stt_model.base import BootstrapError, RefusedError, atomic_write, cell
from stt_model.checkpoint import Checkpoint, open_checkpoint
from stt_model.corpus import find_splits, read_manifest
from stt_model.storage import fetch, local_file, put
from stt_model.text import Alphabet, BytesAlphabet, format_alphabet, read_alphabet, write_alphabet

if TYPE_CHECKING:
    from stt_model.evaluation import EvaluationResult
    from stt_model.export import ExportResult
    from stt_model.text import Decision


log = logging.getLogger(__name__)


class SourceDigests(NamedTuple):
    """What lies behind the URIs of a run; see ``stt_model.corpus.source_digest``."""

    dataset_digest: str
    checkpoint_digest: str
    alphabet_digest: str
    scorer_digest: str


def digest_sources(
    dataset_uri: str, *, checkpoint_uri: str, alphabet_uri: str = "", scorer_uri: str = ""
) -> SourceDigests:
    """Look which version of everything lies behind these URIs; an empty one has the digest "".

    What cannot be read gets an unknown digest, and is reported by the step that needs it.
    """
    from stt_model.corpus import digest_dataset, digest_source, unknown_digest

    def known_or_not(digest: Callable[[str], str], uri: str) -> str:
        try:
            return digest(uri)
        except BootstrapError as error:
            log.warning("%s", error)
            return unknown_digest()

    return SourceDigests(
        known_or_not(digest_dataset, dataset_uri),
        *(known_or_not(digest_source, uri) for uri in (checkpoint_uri, alphabet_uri, scorer_uri)),
    )


def validate_dataset(
    dataset_uri: str, clean_dataset: Path, report: Path, *, strict: bool = False
) -> dict[str, float]:
    """Check a dataset, write its clean manifests and the report; return counts by name.

    Raises:
        ValidationError: nothing may be trained on the dataset; the report is written even so.
    """
    from stt_model.corpus import validate

    result = validate(find_splits(dataset_uri), strict=strict)
    try:
        result.write(clean_dataset)
    finally:
        _write(report, (clean_dataset / "report.md").read_text(encoding="utf-8"))
    return result.metrics()


@dataclass(frozen=True)
class FetchedCheckpoint:
    """The digest of what was fetched, and what the checkpoint says of itself."""

    sha256: str
    metadata: dict[str, str | int | bool]


def fetch_checkpoint(
    checkpoint_uri: str, checkpoint: Path, report: Path, *, expected_sha256: str = ""
) -> FetchedCheckpoint:
    """Bring a checkpoint to the folder ``checkpoint`` and open it, so that a foreign one fails."""
    fetched = fetch(checkpoint_uri, checkpoint, sha256=expected_sha256, check=open_checkpoint)
    found = open_checkpoint(checkpoint)
    metadata: dict[str, str | int | bool] = {
        "sha256": fetched.sha256,
        "name": found.prefix.name,
        "step": found.step,
        "n_hidden": found.geometry.n_hidden,
        "layer_norm": found.geometry.layer_norm,
        "bytes_output_mode": found.alphabet.is_bytes,
        "labels": found.alphabet.size,
    }
    _write(report, _table("Checkpoint", metadata))
    return FetchedCheckpoint(fetched.sha256, metadata)


def analyse_alphabet(
    dataset: Path,
    checkpoint: Path,
    model_alphabet: Path,
    report: Path,
    *,
    mode: str = "auto",
    alphabet_uri: str = "",
) -> Decision:
    """Decide between fine-tuning and transfer, and write the alphabet that the model will have.

    A refusal is a decision too: its report says why, and the alphabet is then the checkpoint's.
    """
    from stt_model.text import decide

    source = open_checkpoint(checkpoint)
    transcripts = [
        utterance.transcript
        for manifest in find_splits(dataset).values()
        for utterance in read_manifest(manifest)
    ]
    with _given_file(alphabet_uri) as path:
        given = read_alphabet(path) if path else None
    decision = decide(source.alphabet, transcripts, mode=mode, alphabet=given)
    write_alphabet(decision.alphabet or source.alphabet, model_alphabet)
    _write(report, decision.to_markdown())
    return decision


def graft_layers(
    checkpoint: Path,
    model_alphabet: Path,
    grafted_checkpoint: Path,
    report: Path,
    *,
    drop_source_layers: int = 1,
    warm_start: bool = True,
    random_seed: int = 4568,
) -> None:
    """Replace the last layers of a checkpoint by new ones for another alphabet."""
    from stt_model.checkpoint import operate

    surgery = operate(
        checkpoint,
        grafted_checkpoint,
        target_alphabet=_read_model_alphabet(model_alphabet),
        mode="transfer",
        drop_source_layers=drop_source_layers,
        seed=random_seed,
        warm_start=warm_start,
    )
    # In quotes, so that a space is seen.
    warm_started = tuple(map(repr, surgery.warm_started))
    _write(report, _table("Layer surgery", {**surgery.to_dict(), "warm_started": warm_started}))


def train(
    dataset: Path,
    checkpoint: Path,
    model_alphabet: Path,
    trained_checkpoint: Path,
    report: Path,
    *,
    run_state_uri: str = "",
    **settings: Any,
) -> dict[str, float]:
    """Train from a checkpoint, labels in the order of ``model_alphabet``; return figures.

    A run that was broken off goes on from what it saved at ``run_state_uri``, a path, ``file://``
    or ``s3://`` URI. ``settings`` are further fields of ``TrainingConfig``.
    """
    from stt_model import training
    from stt_model.training import of_this_run, run_folder

    splits = find_splits(dataset)
    with (
        _in_label_order(checkpoint, _read_model_alphabet(model_alphabet)) as source,
        run_folder(of_this_run(run_state_uri), trained_checkpoint) as (folder, after_save),
    ):
        config = training.TrainingConfig(
            train_files=[splits["train"]],
            dev_files=[splits["dev"]],
            load_checkpoint_dir=source.directory,
            load_train=source.which,
            save_checkpoint_dir=folder,
            origin={"checkpoint": source.digest()},
            **settings,
        )
        result = training.train(config, after_save)
    _write(report, result.to_markdown())
    return result.metrics()


def evaluate(
    dataset: Path,
    checkpoint: Path,
    samples: Path,
    report: Path,
    html_report: Path,
    *,
    test_batch_size: int,
    beam_width: int = 0,
    scorer_uri: str = "",
    lm_alpha: float = 0.0,
    lm_beta: float = 0.0,
    source_checkpoint: Path | None = None,
    max_wer: float = 0.0,
    must_beat_source: bool = False,
) -> EvaluationResult:
    """Test a checkpoint on the test split, or on the dev split of a dataset that has no other.

    With ``lm_alpha`` or ``lm_beta`` at 0 the scorer's own counts, as it does in production.
    """
    from stt_model import evaluation

    splits = find_splits(dataset)
    with _given_file(scorer_uri) as scorer:
        result = evaluation.evaluate(
            evaluation.EvaluationConfig(
                test_files=[splits.get("test", splits["dev"])],
                load_checkpoint_dir=checkpoint,
                test_batch_size=test_batch_size,
                beam_width=beam_width,
                scorer_path=scorer,
                lm_alpha=lm_alpha or None,
                lm_beta=lm_beta or None,
                source_checkpoint_dir=source_checkpoint,
                max_wer=max_wer,
                must_beat_source=must_beat_source,
                test_output_file=samples,
                html_report=html_report,
                note="" if "test" in splits else _NO_TEST_SPLIT,
            )
        )
    _write(report, result.to_markdown())
    return result


_NO_TEST_SPLIT = (
    "The dataset has no test split. These figures are of the dev split, on which the best epoch was"
    " chosen: expect worse on other speech."
)


def _given_file(uri: str) -> AbstractContextManager[Path | None]:
    """Yield where the file that a URI names lies on this machine, or None for an empty URI."""
    return local_file(uri) if uri else nullcontext()


def export_model(
    dataset: Path,
    checkpoint: Path,
    exported_model: Path,
    package: Path,
    report: Path,
    *,
    released: bool,
    gate: str,
    scorer_uri: str,
    export_uri: str = "",
    export_quantize: bool,
    export_savedmodel: bool,
    export_beam_width: int,
    max_wer_change: float,
    identity: Mapping[str, str],
) -> ExportResult:
    """Export a checkpoint and compare it on the split that it was tested on.

    ``identity`` has the model card's fields by name; those that are empty keep their defaults.
    ``export_uri`` is where the export is copied to, but for one that is not released: what lies
    there may be in use.
    """
    from stt_model.export import ExportConfig, ModelIdentity, export

    splits = find_splits(dataset)
    with _given_file(scorer_uri) as scorer:
        result = export(
            ExportConfig(
                load_checkpoint_dir=checkpoint,
                export_dir=exported_model,
                test_files=[splits.get("test", splits["dev"])],
                export_quantize=export_quantize,
                export_savedmodel=export_savedmodel,
                zip_path=package,
                export_beam_width=export_beam_width,
                scorer_path=scorer,
                identity=ModelIdentity(**{name: text for name, text in identity.items() if text}),
                max_wer_change=max_wer_change,
                released=released,
                gate=gate,
            )
        )
    if export_uri and released:
        put(exported_model, export_uri)
    _write(report, result.to_markdown())
    return result


def refuse(reason: str) -> None:
    """Raise RefusedError with the reason, so that the run ends as failed and says why."""
    raise RefusedError(reason)


def _read_model_alphabet(path: Path) -> Alphabet:
    # In bytes mode the file holds a comment and nothing else, as the labels cannot be lines.
    data = path.read_bytes()
    return BytesAlphabet() if data == format_alphabet(BytesAlphabet()) else read_alphabet(path)


@contextmanager
def _in_label_order(checkpoint: Path, alphabet: Alphabet) -> Iterator[Checkpoint]:
    """Yield the checkpoint with its output columns in the order of ``alphabet``."""
    source = open_checkpoint(checkpoint)
    if source.alphabet == alphabet:
        yield source
        return
    from stt_model.checkpoint import operate

    with tempfile.TemporaryDirectory(prefix="stt-bootstrap-") as folder:
        permuted = Path(folder) / "checkpoint"
        operate(checkpoint, permuted, target_alphabet=alphabet, mode="fine-tune")
        yield open_checkpoint(permuted)


def _table(title: str, values: Mapping[str, object]) -> str:
    rows = [f"# {title}", "", "| | |", "| --- | --- |"]
    for name, value in values.items():
        shown = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
        rows.append(f"| {name.replace('_', ' ')} | {cell(shown)} |")
    return "\n".join(rows) + "\n"


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as beside:
        beside.write_text(text, encoding="utf-8")
