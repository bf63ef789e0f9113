"""Coqui STT's native decoder as a process; runs in the runtime's own Python (NumPy, no more).

    python coqui_decoder.py LOGITS

LOGITS is an .npz: ``logits`` float64 [batch, frames, classes] and ``frames`` int32 [batch]. Each
line of JSON on standard input is a job: ``labels`` (none for bytes output mode), ``scorer``,
``alpha``, ``beta``, ``beam_width``, ``workers``. Each is answered with a line of JSON: ``texts``,
and the ``seconds`` that the decoding alone took.
"""

import json
import sys
import time

import numpy as np
from coqui_stt_ctcdecoder import Alphabet, Scorer, UTF8Alphabet, ctc_beam_search_decoder_batch


def open_scorer(job):
    alphabet = UTF8Alphabet()
    if job["labels"]:
        alphabet = Alphabet()
        alphabet.InitFromLabels(job["labels"])
    return alphabet, Scorer(job["alpha"], job["beta"], job["scorer"], alphabet)


def main(path):
    with np.load(path) as arrays:
        logits, frames = arrays["logits"], [int(count) for count in arrays["frames"]]
    probabilities = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities /= probabilities.sum(axis=-1, keepdims=True)
    for line in sys.stdin:
        job = json.loads(line)
        alphabet, scorer = open_scorer(job)
        started = time.perf_counter()
        results = ctc_beam_search_decoder_batch(
            probabilities,
            frames,
            alphabet,
            beam_size=job["beam_width"],
            num_processes=job["workers"],
            scorer=scorer,
        )
        seconds = time.perf_counter() - started
        texts = [result[0].transcript for result in results]
        print(json.dumps({"texts": texts, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
