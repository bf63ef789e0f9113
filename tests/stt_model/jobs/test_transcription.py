"""Transcribing files against evaluating a manifest of the same files."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from stt_model.checkpoint.directory import open_checkpoint, read_weights
from stt_model.corpus.audio import read_audio
from stt_model.corpus.manifests import read_manifest
from stt_model.evaluation.config import EvaluationConfig
from stt_model.evaluation.evaluator import evaluate
from stt_model.export.tflite_conversion import RuntimeMetadata, convert
from stt_model.export.tflite_model import fill_up
from stt_model.jobs.transcription import transcribe

GOLDEN = Path(__file__).parents[2] / "golden"


def test_understands_what_evaluation_understands_in_any_batch():
    checkpoint = GOLDEN / "checkpoints" / "alphabet"
    manifest = GOLDEN / "audio" / "latin.csv"
    paths = [utterance.path for utterance in read_manifest(manifest)]
    evaluated = evaluate(EvaluationConfig([manifest], checkpoint, show_progressbar=False))
    expected = {sample.wav_filename: sample.res for sample in evaluated.samples}
    for batch_size in (1, 3):
        texts = transcribe(checkpoint, paths, batch_size=batch_size)
        assert dict(zip(map(str, paths), texts, strict=True)) == expected


def test_a_file_shorter_than_one_frame_is_empty(tmp_path):
    path = tmp_path / "short.wav"
    soundfile.write(path, np.zeros(100), 16000)
    assert list(transcribe(GOLDEN / "checkpoints" / "alphabet", [path])) == [""]


@pytest.mark.parametrize("kind", ["alphabet", "bytes", "layer_norm"])
def test_an_exported_model_hears_clips_filled_up_as_the_runtime_does(kind, tmp_path):
    checkpoint = open_checkpoint(GOLDEN / "checkpoints" / kind)
    metadata = RuntimeMetadata(checkpoint.alphabet, beam_width=500, language="und")
    model = tmp_path / "model.tflite"
    model.write_bytes(
        convert(read_weights(checkpoint), checkpoint.geometry, metadata, quantize=False)
    )
    clips = sorted((GOLDEN / "audio").glob("*16k.*a*"))
    filled = [tmp_path / f"{clip.stem}.wav" for clip in clips]
    for clip, path in zip(clips, filled, strict=True):
        soundfile.write(path, fill_up(read_audio(clip)), 16000, subtype="PCM_16")
    # The file says how wide to search.
    expected = list(transcribe(checkpoint.directory, filled, beam_width=500))
    assert list(transcribe(model, clips)) == expected


def test_a_beam_decodes_what_it_decodes_in_evaluation():
    checkpoint = GOLDEN / "checkpoints" / "layer_norm"
    manifest = GOLDEN / "audio" / "latin_16k.csv"
    config = EvaluationConfig([manifest], checkpoint, beam_width=20, show_progressbar=False)
    expected = {sample.wav_filename: sample.res for sample in evaluate(config).samples}
    paths = [utterance.path for utterance in read_manifest(manifest)]
    texts = transcribe(checkpoint, paths, beam_width=20)
    assert dict(zip(map(str, paths), texts, strict=True)) == expected
