"""Transcribing files against evaluating a manifest of the same files."""

from pathlib import Path

from stt_model.corpus import read_manifest
from stt_model.evaluation import EvaluationConfig, evaluate
from stt_model.transcription import transcribe

GOLDEN = Path(__file__).parents[1] / "golden"


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
    import numpy as np
    import soundfile

    path = tmp_path / "short.wav"
    soundfile.write(path, np.zeros(100), 16000)
    assert list(transcribe(GOLDEN / "checkpoints" / "alphabet", [path])) == [""]
