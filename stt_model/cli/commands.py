"""What each command of ``stt-bootstrap`` does: from flags to the modules that do the work."""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from stt_model.base import (
    AlphabetError,
    BootstrapError,
    CheckpointError,
    ExportError,
    GateError,
    RefusedError,
    ScorerError,
    SurgeryError,
    TrainingError,
    ValidationError,
    atomic_write,
    redact,
)
from stt_model.checkpoint import Checkpoint, Geometry, open_checkpoint
from stt_model.corpus import find_audio, iter_manifest, iter_utterances
from stt_model.decoding import (
    BuildConfig,
    check_scorer,
    copy_with_weights,
    read_scorer,
    read_words,
    write_package,
)
from stt_model.decoding import build_scorer as run_build_scorer
from stt_model.export import ExportConfig, ModelIdentity
from stt_model.network import import_tensorflow_quietly
from stt_model.storage import put
from stt_model.text import Alphabet, BytesAlphabet, build_alphabet, read_alphabet, write_alphabet
from stt_model.training import find_run

if TYPE_CHECKING:
    from stt_model.evaluation import EvaluationResult, Gate

log = logging.getLogger(__name__)

DEFAULT_N_HIDDEN = 2048


def validate(args: argparse.Namespace) -> int:
    """Check a dataset and write the manifests of what can be used."""
    from stt_model.corpus import find_splits
    from stt_model.corpus import validate as check

    check_output(args.output, is_folder=True)
    result = check(find_splits(args.dataset), alphabet=_given_alphabet(args), strict=args.strict)
    for finding in result.findings:
        print(finding, file=sys.stderr)
    print(result.summary())
    try:
        result.write(args.output)
    except ValidationError as error:
        raise ValidationError(f"{error}; {args.output / 'report.md'} shows them all") from error
    print(f"manifests, rejected.csv and report.md: {args.output}")
    return 0


def pack(args: argparse.Namespace) -> int:
    """Put the clips of a dataset into tar shards."""
    from stt_model.corpus import pack as run_pack

    clips = run_pack(args.dataset, args.target, shard_mib=args.shard_size)
    print(f"{clips} clips packed: {redact(args.target)}")
    return 0


def alphabet(args: argparse.Namespace) -> int:
    """Build an alphabet, or decide what a checkpoint's alphabet means for the transcripts."""
    from stt_model.text import decide

    check_output(args.output)
    manifests = [*args.train_files, *args.dev_files, *args.test_files]
    transcripts = [row.transcript for path in manifests for row in iter_utterances(path)]
    given = _given_alphabet(args)
    if args.checkpoint_dir:
        source = open_checkpoint(args.checkpoint_dir)
        decision = decide(source.alphabet, transcripts, mode=args.mode, alphabet=given)
        print(decision.to_markdown())
        if decision.mode == "refuse":
            raise RefusedError(decision.reason)
        chosen = decision.alphabet
    else:
        chosen = given or build_alphabet(transcripts, order=args.order)
        print("\n".join(repr(label) for label in chosen.labels))
    if args.output and chosen and not chosen.is_bytes:
        write_alphabet(chosen, args.output)
        print(f"alphabet: {args.output}")
    return 0


def fetch(args: argparse.Namespace) -> int:
    """Bring a checkpoint to a folder and say what it is."""
    from stt_model.storage import GIB
    from stt_model.storage import fetch as bring

    def check(folder: Path) -> None:
        try:
            open_checkpoint(folder)
        except CheckpointError as error:
            # The folder that the error names will be gone.
            raise CheckpointError(f"{redact(args.uri)}: fetched, but not kept: {error}") from error

    fetched = bring(
        args.uri,
        args.target,
        sha256=args.sha256,
        size_limit=args.size_limit * GIB,
        unpacked_limit=args.unpacked_limit * GIB,
        check=check,
        progress=sys.stderr.isatty(),
    )
    description = open_checkpoint(args.target).describe()
    _print_json({"sha256": fetched.sha256, "bytes": fetched.bytes, **description})
    return 0


def surgery(args: argparse.Namespace) -> int:
    """Replace a checkpoint's last layers."""
    from stt_model.checkpoint import operate

    check_output(args.save_checkpoint_dir, is_folder=True)
    source = open_checkpoint(args.load_checkpoint_dir)
    target = read_alphabet(args.alphabet_config_path)
    _start_tensorflow(args)
    report = operate(
        source.directory,
        args.save_checkpoint_dir,
        target_alphabet=target,
        mode="transfer",
        drop_source_layers=args.drop_source_layers,
        seed=args.random_seed,
        warm_start=args.warm_start,
    )
    _print_json(report.to_dict())
    return 0


def inspect(args: argparse.Namespace) -> int:
    """Show what a checkpoint is."""
    given = _given_alphabet(args)
    _print_json(open_checkpoint(args.checkpoint_dir, which=args.which, alphabet=given).describe())
    return 0


def train(args: argparse.Namespace) -> int:
    """Fine-tune or transfer as Coqui STT's flags say it, then test the model that came out."""
    _show_log()
    _settle_directories(args)
    _check_files(args, args.train_files, args.dev_files, args.test_files)
    source = None if args.load_train == "init" else _open_source(args)
    target = _target_alphabet(args, source)
    if args.test_files:
        _check_scorer(args.scorer_path, target, args.vocab_file)
    if args.augment:
        from stt_model.augmentation import parse_augmentations

        parse_augmentations(" ".join(args.augment))
    _start_tensorflow(args)
    from stt_model.corpus import read_samples
    from stt_model.training import TrainingConfig
    from stt_model.training import train as run_training

    if args.test_files:
        # Now, and not after hours of training.
        read_samples(args.test_files, target)
    origin = _describe_origin(args, source, target)
    with _starting_point(args, source, target) as start:
        result = run_training(
            TrainingConfig(
                train_files=args.train_files,
                dev_files=args.dev_files,
                load_checkpoint_dir=start.directory,
                load_train=start.which,
                alphabet=start.alphabet,
                save_checkpoint_dir=args.save_checkpoint_dir,
                epochs=args.epochs,
                train_batch_size=args.train_batch_size,
                dev_batch_size=args.dev_batch_size,
                learning_rate=args.learning_rate,
                dropout_rate=args.dropout_rate,
                random_seed=args.random_seed,
                show_progressbar=args.show_progressbar,
                clip_norm=args.clip_norm,
                freeze_source_epochs=args.freeze_source_epochs,
                mixed_precision=args.mixed_precision,
                augment=" ".join(args.augment),
                early_stop=args.early_stop,
                es_epochs=args.es_epochs,
                es_min_delta=args.es_min_delta,
                reduce_lr_on_plateau=args.reduce_lr_on_plateau,
                plateau_epochs=args.plateau_epochs,
                plateau_reduction=args.plateau_reduction,
                max_non_finite_steps=args.max_non_finite_steps,
                checkpoint_secs=args.checkpoint_secs,
                feature_cache=args.feature_cache,
                feature_cache_size=args.feature_cache_size,
                summary_dir=args.summary_dir,
                restart=args.restart,
                origin=origin,
            )
        )
    if not result.is_chief:
        return 0
    if not args.test_files:
        _write_report(args.report_file, result.to_markdown())
        print(f"checkpoint: {args.save_checkpoint_dir}")
        return 0
    # The checkpoint just trained, never the one it came from: without a dev set no epoch is the
    # best, and a best one that lies in the folder is the source's.
    tested = _test(args, args.save_checkpoint_dir, "auto" if args.dev_files else "last", None)
    _write_report(args.report_file, f"{result.to_markdown()}\n{tested.to_markdown()}")
    print(f"checkpoint: {args.save_checkpoint_dir}")
    _check_gate(tested.gate)
    return 0


def evaluate(args: argparse.Namespace) -> int:
    """Test a checkpoint."""
    _show_log()
    _check_files(args, args.test_files)
    given = _given_alphabet(args)
    source = open_checkpoint(args.checkpoint_dir, which=args.load_evaluate, alphabet=given)
    _check_n_hidden(args.n_hidden, source)
    _check_scorer(args.scorer_path, source.alphabet, args.vocab_file)
    _start_tensorflow(args)
    result = _test(args, args.checkpoint_dir, args.load_evaluate, given)
    _write_report(args.report_file, result.to_markdown())
    _check_gate(result.gate)
    return 0


def _test(
    args: argparse.Namespace, checkpoint_dir: Path, which: str, given: Alphabet | None
) -> EvaluationResult:
    from stt_model.evaluation import EvaluationConfig
    from stt_model.evaluation import evaluate as run_evaluation

    result = run_evaluation(
        EvaluationConfig(
            test_files=args.test_files,
            load_checkpoint_dir=checkpoint_dir,
            load_evaluate=which,
            alphabet=given,
            test_batch_size=args.test_batch_size,
            beam_width=args.beam_width,
            scorer_path=args.scorer_path,
            vocab_file=args.vocab_file,
            lm_alpha=args.lm_alpha,
            lm_beta=args.lm_beta,
            cutoff_prob=args.cutoff_prob,
            cutoff_top_n=args.cutoff_top_n,
            test_output_file=args.test_output_file,
            report_count=args.report_count,
            show_progressbar=args.show_progressbar,
            source_checkpoint_dir=args.source_checkpoint_dir,
            max_wer=args.max_wer,
            must_beat_source=args.must_beat_source,
            html_report=args.html_report_file,
        )
    )
    print(
        f"{len(result.samples)} utterances: WER {result.wer:.4f}, CER {result.cer:.4f},"
        f" loss {result.loss:.4f}"
    )
    if args.html_report_file:
        print(f"page: {args.html_report_file}")
    return result


def lm_optimize(args: argparse.Namespace) -> int:
    """Search for a scorer's best weights."""
    _show_log()
    for path in args.test_files:
        next(iter_manifest(path), None)
    check_output(args.package)
    given = _given_alphabet(args)
    checkpoint = open_checkpoint(args.checkpoint_dir, which=args.load_evaluate, alphabet=given)
    _check_n_hidden(args.n_hidden, checkpoint)
    _check_scorer(args.scorer_path, checkpoint.alphabet, args.vocab_file)
    _start_tensorflow(args)
    from stt_model.decoding import TuningConfig, tune

    result = tune(
        TuningConfig(
            test_files=args.test_files,
            load_checkpoint_dir=args.checkpoint_dir,
            load_evaluate=args.load_evaluate,
            alphabet=given,
            scorer_path=args.scorer_path,
            vocab_file=args.vocab_file,
            test_batch_size=args.test_batch_size,
            beam_width=args.beam_width,
            cutoff_prob=args.cutoff_prob,
            cutoff_top_n=args.cutoff_top_n,
            lm_alpha_max=args.lm_alpha_max,
            lm_beta_max=args.lm_beta_max,
            n_trials=args.n_trials,
            random_seed=args.random_seed,
            show_progressbar=args.show_progressbar,
        )
    )
    print(
        f"--lm_alpha {result.lm_alpha} --lm_beta {result.lm_beta}: {result.measure.upper()}"
        f" {result.rate:.4f}, with the scorer's own weights {result.rate_before:.4f}"
    )
    if args.package:
        copy_with_weights(args.scorer_path, args.package, result.lm_alpha, result.lm_beta)
        print(f"scorer: {args.package}")
    return 0


def build_scorer(args: argparse.Namespace) -> int:
    """Make a scorer package."""
    check_output(args.package)
    given = _given_alphabet(args)
    if given is None and args.checkpoint_dir is None:
        raise ScorerError(
            "expected --checkpoint, --alphabet_config_path or --bytes_output_mode, found none;"
            " say which model the scorer is for"
        )
    alphabet = given or open_checkpoint(args.checkpoint_dir).alphabet
    if args.lm and args.vocab and not args.input_txt:
        count = write_package(
            args.package,
            args.lm,
            read_words(args.vocab),
            alphabet,
            lm_alpha=args.default_alpha,
            lm_beta=args.default_beta,
        )
    elif args.input_txt and not args.lm and not args.vocab:
        count = run_build_scorer(
            BuildConfig(
                input_txt=args.input_txt,
                package=args.package,
                alphabet=alphabet,
                kenlm_bins=args.kenlm_bins,
                top_k=args.top_k,
                arpa_order=args.arpa_order,
                max_arpa_memory=args.max_arpa_memory,
                arpa_prune=args.arpa_prune,
                binary_a_bits=args.binary_a_bits,
                binary_q_bits=args.binary_q_bits,
                binary_type=args.binary_type,
                discount_fallback=args.discount_fallback,
                default_alpha=args.default_alpha,
                default_beta=args.default_beta,
            )
        )
    else:
        raise ScorerError("expected either --input_txt, or --lm and --vocab; give one of the two")
    print(f"{count} words: {args.package}")
    return 0


def _check_scorer(path: Path | None, alphabet: Alphabet, vocab_file: Path | None) -> None:
    """Refuse a scorer that is of no use to the model, before TensorFlow starts."""
    if path:
        check_scorer(read_scorer(path, alphabet, vocab_file))


def _check_gate(gate: Gate) -> None:
    if not gate.passed:
        raise GateError(f"the model does not pass: {'; '.join(gate.reasons)}")


def export(args: argparse.Namespace) -> int:
    """Write a checkpoint as what deployed runtimes load."""
    _show_log()
    config = _export_config(args)
    config.check()
    for path in args.test_files:
        next(iter_manifest(path), None)
    check_output(args.export_dir, is_folder=True)
    source = open_checkpoint(
        args.checkpoint_dir, which=args.load_evaluate, alphabet=config.alphabet
    )
    _check_n_hidden(args.n_hidden, source)
    _check_scorer(args.scorer_path, source.alphabet, None)
    _start_tensorflow(args)
    from stt_model.export import export as run_export

    result = run_export(config)
    for name, comparison in result.comparisons.items():
        print(f"{name}: {comparison}")
    print(f"export: {result.directory}")
    if args.export_uri:
        put(result.directory, args.export_uri)
        print(f"copied to {args.export_uri}")
    return 0


def _export_config(args: argparse.Namespace) -> ExportConfig:
    folder = args.export_dir.absolute()
    fields = [field.name for field in dataclasses.fields(ModelIdentity)]
    return ExportConfig(
        load_checkpoint_dir=args.checkpoint_dir,
        load_evaluate=args.load_evaluate,
        alphabet=_given_alphabet(args),
        test_files=args.test_files,
        export_dir=args.export_dir,
        remove_export=args.remove_export,
        export_file_name=args.export_file_name,
        export_tflite=args.export_tflite,
        export_quantize=args.export_quantize,
        export_savedmodel=args.export_savedmodel,
        # Where Coqui STT puts it.
        zip_path=folder.with_name(f"{folder.name}.zip") if args.export_zip else None,
        export_beam_width=args.export_beam_width,
        scorer_path=args.scorer_path,
        identity=ModelIdentity(**{name: getattr(args, f"export_{name}") for name in fields}),
        max_wer_change=args.max_wer_change,
        released=args.released,
    )


def transcribe(args: argparse.Namespace) -> int:
    """Print what is understood in audio files."""
    files = find_audio(args.audio)
    model = args.model or args.checkpoint_dir
    if args.model and not args.model.is_file():
        raise ExportError(f"{args.model}: expected an exported .tflite, found no file")
    if args.checkpoint_dir:
        alphabet = open_checkpoint(args.checkpoint_dir).alphabet
        _check_scorer(args.scorer_path, alphabet, args.vocab_file)
    _start_tensorflow(args)
    from stt_model.jobs import transcribe as run_transcription

    texts = run_transcription(
        model,
        files,
        batch_size=args.test_batch_size,
        beam_width=args.beam_width,
        scorer_path=args.scorer_path,
        vocab_file=args.vocab_file,
        lm_alpha=args.lm_alpha,
        lm_beta=args.lm_beta,
        cutoff_prob=args.cutoff_prob,
        cutoff_top_n=args.cutoff_top_n,
    )
    # A file's name need not be UTF-8.
    names = [str(path).encode(errors="backslashreplace").decode() for path in files]
    pairs = zip(names, texts, strict=True)
    if args.json:
        _print_json([{"wav_filename": name, "transcript": text} for name, text in pairs])
    else:
        for name, text in pairs:
            print(f"{name}\t{' '.join(text.splitlines())}", flush=True)
    return 0


def check_output(path: Path | None, *, is_folder: bool = False) -> None:
    """Refuse a place that nothing can be written to, before the work is done that belongs there."""
    if path is None:
        return
    if not is_folder and path.is_dir():
        raise BootstrapError(f"{path}: expected the name of a file, found a folder; add a name")
    places = (path, *path.absolute().parents) if is_folder else path.absolute().parents
    existing = next(place for place in places if place.exists())
    if not existing.is_dir():
        raise BootstrapError(f"{existing}: expected a folder, found a file; give another place")
    if not os.access(existing, os.W_OK):
        raise BootstrapError(f"{existing}: expected a folder to write to, found it locked")


def _check_files(args: argparse.Namespace, *manifests: Iterable[Path]) -> None:
    """Look at the head of each manifest and at the places of the reports, which takes no time."""
    for path in (path for paths in manifests for path in paths):
        next(iter_manifest(path), None)
    check_output(args.test_output_file)
    check_output(args.report_file)
    check_output(args.html_report_file)
    if args.source_checkpoint_dir:
        open_checkpoint(args.source_checkpoint_dir)
    elif args.must_beat_source:
        raise GateError(
            "--must_beat_source: expected --source_checkpoint_dir beside it, found none;"
            " say which checkpoint the model has to be better than"
        )


def _settle_directories(args: argparse.Namespace) -> None:
    """Work out where to load from and save to, and refuse what would lose somebody's checkpoint."""
    if args.checkpoint_dir:
        args.load_checkpoint_dir = args.save_checkpoint_dir = args.checkpoint_dir
    if not args.save_checkpoint_dir:
        raise TrainingError(
            "expected --checkpoint_dir or --save_checkpoint_dir, found neither;"
            " say where the model goes"
        )
    if args.load_checkpoint_dir is None:
        args.load_checkpoint_dir = args.save_checkpoint_dir
    for flag in ("train_cudnn", "load_cudnn"):
        if getattr(args, flag) is not None:
            log.info("--%s is no longer needed and changes nothing: see --help", flag)
    check_output(args.save_checkpoint_dir, is_folder=True)
    if args.load_train == "init":
        _check_start_from_scratch(args)
    elif args.drop_source_layers and _same(args.load_checkpoint_dir, args.save_checkpoint_dir):
        raise TrainingError(
            f"{args.save_checkpoint_dir}: --drop_source_layers would write over its own source;"
            " give --save_checkpoint_dir another folder than --load_checkpoint_dir"
        )
    _check_gate_can_be_held(args)


def _check_gate_can_be_held(args: argparse.Namespace) -> None:
    if (args.max_wer or args.must_beat_source) and not args.test_files:
        raise GateError(
            "--max_wer and --must_beat_source are about the test set, but there is none; give"
            " --test_files"
        )
    source = args.source_checkpoint_dir
    if source and _same(source, args.save_checkpoint_dir):
        raise GateError(
            f"{source}: --source_checkpoint_dir would hold the trained model by the time of the"
            " test; train into another folder, or give a copy"
        )


def _check_start_from_scratch(args: argparse.Namespace) -> None:
    if args.drop_source_layers:
        raise TrainingError(
            "--load_train init starts without a checkpoint, but --drop_source_layers needs one;"
            " leave one of them out"
        )
    goes_on = args.restart or find_run(args.save_checkpoint_dir)
    if any(args.save_checkpoint_dir.glob("*.index")) and not goes_on:
        raise TrainingError(
            f"{args.save_checkpoint_dir}: holds a checkpoint, which training from scratch would"
            " replace; give --save_checkpoint_dir another folder, or leave --load_train init out"
        )


def _same(first: Path, second: Path) -> bool:
    return first.resolve() == second.resolve()


def _open_source(args: argparse.Namespace) -> Checkpoint:
    folder = args.load_checkpoint_dir
    if not folder.is_dir() or not any(folder.iterdir()):
        raise CheckpointError(
            f"{folder}: expected a checkpoint, found none; check the path, or train from scratch"
            " with --load_train init"
        )
    # A checkpoint without an alphabet of its own is fine-tuned with the one given.
    bare = not args.drop_source_layers and not (folder / "alphabet.txt").exists()
    given = _given_alphabet(args) if bare else None
    source = open_checkpoint(folder, which=args.load_train, alphabet=given)
    _check_n_hidden(args.n_hidden, source)
    return source


def _target_alphabet(args: argparse.Namespace, source: Checkpoint | None) -> Alphabet:
    """Return the alphabet of the model to be trained."""
    given = _given_alphabet(args)
    if given is not None:
        return given
    if source is not None and not args.drop_source_layers:
        return source.alphabet
    manifests = [*args.train_files, *args.dev_files, *args.test_files]
    built = build_alphabet(row.transcript for path in manifests for row in iter_utterances(path))
    log.info("alphabet built from the transcripts: %d labels", built.size)
    return built


@contextmanager
def _starting_point(
    args: argparse.Namespace, source: Checkpoint | None, target: Alphabet
) -> Iterator[Checkpoint]:
    """Yield the checkpoint to train: the source as it is or after surgery, or a new one."""
    from stt_model.checkpoint import surgery

    run = None if args.restart else find_run(args.save_checkpoint_dir)
    if run:
        # It has been through surgery, and goes on from where it stands.
        yield run[0]
        return
    if source is not None and source.alphabet == target and not args.drop_source_layers:
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="stt-bootstrap-") as temporary:
        made = Path(temporary) / "source"
        if source is None:
            n_hidden = args.n_hidden or DEFAULT_N_HIDDEN
            geometry = Geometry(n_hidden, target.classes, layer_norm=args.layer_norm)
            surgery.start_from_scratch(made, target, geometry, seed=args.random_seed)
        else:
            _operate(args, source, target, made)
        yield open_checkpoint(made)


def _describe_origin(
    args: argparse.Namespace, source: Checkpoint | None, target: Alphabet
) -> dict[str, str]:
    """Return how the starting point is made, which must be the same for a run to go on."""
    if source is None:
        made_from = f"n_hidden {args.n_hidden or DEFAULT_N_HIDDEN}, layer_norm {args.layer_norm}"
    elif _same(args.load_checkpoint_dir, args.save_checkpoint_dir):
        # The run has changed what lies there.
        made_from = "the same folder as --save_checkpoint_dir"
    else:
        made_from = source.digest()
    return {
        "load_train": args.load_train,
        "load_checkpoint_dir": made_from,
        "drop_source_layers": str(args.drop_source_layers),
        "warm_start": str(args.warm_start),
        "alphabet_config_path": target.digest,
    }


def _operate(
    args: argparse.Namespace, source: Checkpoint, target: Alphabet, output_dir: Path
) -> None:
    from stt_model.checkpoint import surgery

    try:
        surgery.operate(
            source.directory,
            output_dir,
            which=source.which,
            source_alphabet=source.alphabet,
            target_alphabet=target,
            mode="transfer" if args.drop_source_layers else "fine-tune",
            drop_source_layers=args.drop_source_layers,
            seed=args.random_seed,
            warm_start=args.warm_start,
        )
    except SurgeryError as error:
        raise SurgeryError(f"{source.prefix}: {error}") from error


def _given_alphabet(args: argparse.Namespace) -> Alphabet | None:
    """Return the alphabet that the flags name, if they name one."""
    if args.bytes_output_mode and args.alphabet_config_path:
        raise AlphabetError(
            "expected --alphabet_config_path or --bytes_output_mode, found both; leave one out"
        )
    if args.bytes_output_mode:
        return BytesAlphabet()
    return read_alphabet(args.alphabet_config_path) if args.alphabet_config_path else None


def _check_n_hidden(n_hidden: int | None, source: Checkpoint) -> None:
    if n_hidden is not None and n_hidden != source.geometry.n_hidden:
        raise CheckpointError(
            f"{source.prefix}: --n_hidden says {n_hidden}, the checkpoint's layers are"
            f" {source.geometry.n_hidden} wide; leave --n_hidden out"
        )


def _write_report(path: Path | None, report: str) -> None:
    if path:
        with atomic_write(path) as beside:
            beside.write_text(report, encoding="utf-8")
        print(f"report: {path}")


def _print_json(value: object) -> None:
    print(json.dumps(value, ensure_ascii=False, indent=2))


def _show_log() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)


def _start_tensorflow(args: argparse.Namespace) -> None:
    if args.debug:
        return
    import_tensorflow_quietly()
    # What concerns its own insides, such as retracing or how a loop is split over devices.
    for name in ("tensorflow", "absl"):
        logging.getLogger(name).setLevel(logging.ERROR)
