"""The commands ``transcribe`` and ``evaluate_export``."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path

from stt_model import jobs
from stt_model.base import DataError, ExportError, atomic_write, whole
from stt_model.cli.coqui_flags import add_coqui_flags
from stt_model.cli.evaluation import by_file, decoding_flags, decoding_of
from stt_model.cli.flags import (
    AUDIO_FLAGS,
    add_aggressiveness,
    add_parameter,
    add_parameters,
    add_path,
    add_switch,
    check_audio_flags,
    print_json,
    show_log,
    show_tensorflow,
)
from stt_model.evaluation import EvaluationConfig

_TLOG = ".tlog"


def transcribe_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``transcribe``."""
    parser.add_argument(
        "audio", nargs="*", type=Path, metavar="FILE|DIR", help="audio, or folders of it"
    )
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument(
        "--checkpoint_dir",
        "--load_checkpoint_dir",
        dest="checkpoint_dir",
        type=Path,
        metavar="DIR",
        help="checkpoint to use",
    )
    model.add_argument("--model", type=Path, metavar="FILE", help="exported .tflite to use")
    parser.add_argument("--n_hidden", type=int, metavar="N", help=argparse.SUPPRESS)
    add_parameters(parser, jobs.ScratchSettings, *AUDIO_FLAGS, help=argparse.SUPPRESS)
    add_path(parser, "--one_shot_infer", "FILE", "print only the text of this recording")
    add_parameters(
        parser,
        EvaluationConfig,
        "test_batch_size",
        help="recordings transcribed at once",
    )
    decoding_flags(parser.add_argument_group("decoding"))
    add_switch(parser, "--json", False, "print a JSON list instead of lines")
    _tlog_flags(parser.add_argument_group("long recordings, cut at silence"))
    add_coqui_flags(parser)


def _tlog_flags(group: argparse._ArgumentGroup) -> None:
    add_path(
        group,
        "--src",
        "PATH",
        "recording, folder of .wav files, or .catalog file of DSAlign; texts go to .tlog files",
    )
    add_path(group, "--dst", "FILE", "the .tlog of a single recording; by default beside it")
    add_switch(group, "--recursive", False, "also search the folders below --src")
    add_switch(group, "--force", False, "overwrite existing .tlog files")
    add_aggressiveness(group)
    batch = whole(40, "Pieces of speech transcribed at once.", minimum=1)
    add_parameter(group, batch.metadata["parameter"], flag="--batch_size")
    for name in ("outlier_duration_ms", "outlier_batch_size"):
        group.add_argument(f"--{name}", type=int, help=argparse.SUPPRESS)


def _exported_model(place: Path) -> Path:
    """Return the model at a path: the file itself, or the only one in an exported folder."""
    from stt_model.checkpoint import find_model

    if found := find_model(place):
        return found
    raise ExportError(f"{place}: expected an exported .tflite, found no file")


def transcribe(args: argparse.Namespace) -> int:
    """Print the text of audio files, or write it to .tlog files."""
    from stt_model.corpus import find_audio

    if args.model:
        args.model = _exported_model(args.model)
    check_audio_flags(args, args.model or args.checkpoint_dir)
    if args.src:
        return _transcribe_long(args)
    if args.one_shot_infer:
        args.audio = [args.one_shot_infer]
    if not args.audio:
        raise DataError("expected audio files, folders of them, or --src, found none")
    files = find_audio(args.audio)
    show_tensorflow(args)
    texts = jobs.transcribe(
        args.model or args.checkpoint_dir,
        files,
        batch_size=args.test_batch_size,
        scorer_path=args.scorer_path,
        **decoding_of(args),
    )
    # A file's name need not be UTF-8.
    names = [str(path).encode(errors="backslashreplace").decode() for path in files]
    pairs = zip(names, texts, strict=True)
    if args.one_shot_infer:
        print(next(pairs)[1])
    elif args.json:
        print_json([{"wav_filename": name, "transcript": text} for name, text in pairs])
    else:
        for name, text in pairs:
            print(f"{name}\t{' '.join(text.splitlines())}", flush=True)
    return 0


def _transcribe_long(args: argparse.Namespace) -> int:
    show_log()
    tasks = list(_tasks(args))
    for _, target in tasks:
        if target.exists() and not args.force:
            raise DataError(f"{target}: exists already; use --force to overwrite it")
        if not target.parent.is_dir():
            raise DataError(f"{target.parent}: expected a folder to write to, found none")
    show_tensorflow(args)
    transcripts = jobs.transcribe_long(
        args.model or args.checkpoint_dir,
        [source for source, _ in tasks],
        aggressiveness=args.vad_aggressiveness,
        batch_size=args.batch_size,
        scorer_path=args.scorer_path,
        **decoding_of(args),
    )
    for number, ((source, target), found) in enumerate(zip(tasks, transcripts, strict=True), 1):
        with atomic_write(target) as beside:
            beside.write_text(json.dumps(found, ensure_ascii=False), encoding="utf-8")
        print(f'[{number}]: "{os.path.relpath(source)}" -> "{os.path.relpath(target)}"', flush=True)
    return 0


def _tasks(args: argparse.Namespace) -> Iterator[tuple[Path, Path]]:
    """Yield recordings and the files for their texts."""
    source: Path = args.src
    if not source.exists():
        raise DataError(f"{source}: expected a recording, a folder or a .catalog, found nothing")
    if args.dst and (source.is_dir() or source.suffix == ".catalog"):
        raise DataError("--dst is for a single recording; leave it out for folders and catalogs")
    if source.suffix == ".catalog":
        yield from _catalog(source)
    elif source.is_dir():
        found = sorted(source.rglob("*.wav") if args.recursive else source.glob("*.wav"))
        if not found:
            raise DataError(f"{source}: expected .wav files, found none")
        yield from ((path, path.with_suffix(_TLOG)) for path in found)
    else:
        yield source, args.dst or source.with_suffix(_TLOG)


def _catalog(path: Path) -> Iterator[tuple[Path, Path]]:
    try:
        for entry in json.loads(path.read_text(encoding="utf-8")):
            target = path.parent / entry["tlog"]
            target.parent.mkdir(parents=True, exist_ok=True)
            yield path.parent / entry["audio"], target
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"{path}: expected a JSON list with audio and tlog, found {error}"
        ) from error


def evaluate_export_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``evaluate_export``."""
    add_path(parser, "--model", "FILE", "exported .tflite", required=True)
    add_path(parser, "--csv", "FILE", "manifest to test on", required=True)
    add_path(parser, "--scorer", "FILE", "language model to use")
    parser.add_argument(
        "--proc",
        type=int,
        metavar="N",
        help="processes that decode; the default is one per processor",
    )
    add_path(parser, "--dump", "NAME", "write references to NAME.txt and texts to NAME.out")


def evaluate_export(args: argparse.Namespace) -> int:
    """Test an exported model on a manifest."""
    show_log()
    show_tensorflow(args)
    samples = jobs.evaluate_export(args.model, args.csv, scorer_path=args.scorer, workers=args.proc)
    print(next(iter(by_file([args.csv], samples))))
    if args.dump:
        for suffix, field in ((".txt", "src"), (".out", "res")):
            with atomic_write(args.dump.with_name(args.dump.name + suffix)) as beside:
                lines = [f"{each.wav_filename} {getattr(each, field)}\n" for each in samples]
                beside.write_text("".join(lines), encoding="utf-8")
    return 0
