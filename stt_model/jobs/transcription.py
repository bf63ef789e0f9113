"""The job of transcribing audio."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stt_model.base import DataError, ExportError
from stt_model.checkpoint import open_checkpoint
from stt_model.corpus import SAMPLE_RATE, read_audio, read_manifest, resample
from stt_model.jobs import startup
from stt_model.jobs.checkpoints import check_scorer_fits

if TYPE_CHECKING:
    from stt_model.evaluation.samples import EvaluatedSample

Audio = str | Path | NDArray[Any]


def transcribe(
    model: str | Path,
    audio: Iterable[Audio],
    *,
    sample_rate: int = SAMPLE_RATE,
    batch_size: int = 16,
    scorer_path: str | Path | None = None,
    vocab_file: str | Path | None = None,
    **decoding: Any,
) -> Iterator[str]:
    """Yield the text of each recording, processed in batches.

    Args:
        model: a checkpoint directory, whose best checkpoint is used, or else the last; or a
            ``.tflite`` file, which is run as by Coqui STT's runtime.
        audio: files of any rate and channel count; or arrays of samples, [n] or [n, channels], as
            floats in [-1, 1] or 16-bit integers.
        sample_rate: of the arrays, in Hz.
        batch_size: recordings that go through the network together.
        scorer_path: language model and vocabulary.
        vocab_file: words that the scorer may write, if its file has none or others.
        decoding: further arguments of ``decoding.open_decoder``, such as ``beam_width``.

    Raises:
        BootstrapError: the model, the scorer or a file cannot be read.
    """
    path = Path(model)
    scorer, words = (Path(each) if each else None for each in (scorer_path, vocab_file))
    if not path.is_file():
        # Before TensorFlow starts.
        check_scorer_fits(scorer, open_checkpoint(path).alphabet, words)
    startup.start_tensorflow()
    from stt_model.decoding import open_decoder
    from stt_model.jobs.recognition import open_model

    alphabet, audio_settings, beam_width, infer = open_model(path)
    # Coqui STT's runtime uses the beam width of the file.
    decoding["beam_width"] = decoding.get("beam_width") or beam_width
    decoder = open_decoder(alphabet, scorer_path=scorer, vocab_file=words, **decoding)
    wanted = audio_settings.audio_sample_rate
    recordings = iter(audio)
    while batch := list(itertools.islice(recordings, batch_size)):
        yield from decoder.decode(*infer([_samples(each, sample_rate, wanted) for each in batch]))


def _samples(audio: Audio, sample_rate: int, wanted: int) -> NDArray[np.float32]:
    """Return float32 [n] at the model's rate, in [-1, 1]."""
    if isinstance(audio, (str, Path)):
        return read_audio(Path(audio), sample_rate=wanted)
    samples = np.asarray(audio)
    if samples.ndim == 2:
        samples = samples.mean(axis=1).astype(samples.dtype)
    if samples.ndim != 1:
        raise DataError(f"expected samples of shape [n] or [n, channels], found {np.shape(audio)}")
    if samples.dtype == np.int16:
        samples = samples.astype(np.float32) / 32768
    elif not np.issubdtype(samples.dtype, np.floating):
        raise DataError(f"expected samples as floats in [-1, 1] or as int16, found {samples.dtype}")
    return resample(samples.astype(np.float32), sample_rate, wanted)


def transcribe_long(
    model: str | Path,
    recordings: Sequence[Path],
    *,
    aggressiveness: int = 3,
    batch_size: int = 40,
    **decoding: Any,
) -> Iterator[list[dict[str, Any]]]:
    """Yield for each recording the text of its pieces of speech.

    Args:
        model: see ``transcribe``.
        recordings: files of any length; a voice activity detector cuts them.
        aggressiveness: 0 to 3: how readily a sound counts as silence.
        batch_size: pieces that go through the network together.
        decoding: further arguments of ``transcribe``.

    Returns:
        objects with ``start`` and ``end`` in milliseconds, and ``transcript``.
    """
    from stt_model.jobs.speech_pieces import find_speech

    cut: list[list[tuple[int, int]]] = []

    def pieces() -> Iterator[NDArray[np.float32]]:
        for path in recordings:
            cut.append([])
            for piece in find_speech(read_audio(path), aggressiveness):
                cut[-1].append((piece.start, piece.end))
                yield piece.samples

    texts = iter(list(transcribe(model, pieces(), batch_size=batch_size, **decoding)))
    for found in cut:
        yield [{"start": start, "end": end, "transcript": next(texts)} for start, end in found]


def evaluate_export(
    model: Path, manifest: Path, *, scorer_path: Path | None = None, workers: int | None = None
) -> list[EvaluatedSample]:
    """Transcribe a manifest with an exported model, and compare with its transcripts.

    Losses are 0, since an exported model does not provide them.

    Raises:
        BootstrapError: the model, the scorer or an utterance cannot be read.
    """
    if not model.is_file():
        raise ExportError(f"{model}: expected an exported .tflite, found no file")
    rows = read_manifest(manifest)
    if not rows:
        raise DataError(f"{manifest}: expected at least one utterance, found none")
    texts = transcribe(model, [row.place for row in rows], scorer_path=scorer_path, workers=workers)
    from stt_model.evaluation.samples import compare

    return [compare(row, text, 0.0, 0.0) for row, text in zip(rows, texts, strict=True)]
