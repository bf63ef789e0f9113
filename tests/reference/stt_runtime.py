"""Has Coqui STT's runtime transcribe; runs in the runtime's own Python, which has no more than it.

    python stt_runtime.py JOB RESULT

JOB is JSON: ``model`` and ``clips``, paths of a .tflite and of 16-bit wav files at 16 kHz. RESULT
gets a list: of each clip ``whole`` and ``streamed``, the transcripts of the clip at once and in
small pieces, with surrogates for bytes that are no characters; and ``confidence``, the natural
logarithm of the probability of the first.
"""

import json
import sys
import wave
from pathlib import Path

import numpy as np
import stt

PIECE = 3000
"""Samples; no multiple of a window or a stride."""


def read(path):
    with wave.open(path) as file:
        assert (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (16000, 2, 1)
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


def transcribe(model, samples):
    best = model.sttWithMetadata(samples, 1).transcripts[0]
    stream = model.createStream()
    for start in range(0, len(samples), PIECE):
        stream.feedAudioContent(samples[start : start + PIECE])
    return {
        "whole": "".join(token.text for token in best.tokens),
        "streamed": stream.finishStream(),
        "confidence": best.confidence,
    }


if __name__ == "__main__":
    job_file, result_file = map(Path, sys.argv[1:])
    job = json.loads(job_file.read_text(encoding="utf-8"))
    model = stt.Model(job["model"])
    results = [transcribe(model, read(path)) for path in job["clips"]]
    result_file.write_text(json.dumps(results), encoding="utf-8")
