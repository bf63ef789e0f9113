"""Features, logits and CTC losses from Coqui STT 1.4.0's own graph; run by ``make_parity.py``.

For the reference's Python 3.7. Everything is read from and written to the current folder:

    coqui_parity.py CHECKPOINT MANIFEST SAMPLES OUTPUT BYTES_OUTPUT_MODE LAYER_NORM

``SAMPLES`` is an .npz of ready 16 kHz samples by clip; clips that it lacks are read by Coqui.
"""

import csv
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow.compat.v1 as tfv1
from coqui_stt_training.deepspeech_model import create_model
from coqui_stt_training.util.audio import AUDIO_TYPE_NP
from coqui_stt_training.util.checkpoints import load_graph_for_evaluation
from coqui_stt_training.util.config import Config, initialize_globals_from_args
from coqui_stt_training.util.feeding import audio_to_features
from coqui_stt_training.util.sample_collections import load_sample
from coqui_stt_training.util.text import text_to_char_array


def read_clips(manifest, samples_path):
    """Clip name, samples [n, 1] at 16 kHz, transcript of every row."""
    ready = np.load(samples_path)
    with Path(manifest).open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            path = Path(manifest).with_name(row["wav_filename"])
            name = path.stem
            if name in ready:
                samples = ready[name][:, np.newaxis]
            else:
                sample = load_sample(str(path), label=row["transcript"]).unpack()
                sample.change_audio_type(AUDIO_TYPE_NP)
                assert sample.audio_format.rate == 16000, name
                samples = sample.audio
            yield name, samples, row["transcript"]


def main():
    """Run every clip through the graph, one at a time."""
    checkpoint, manifest, samples_path, output, bytes_output_mode, layer_norm = sys.argv[1:]
    initialize_globals_from_args(
        test_files=[manifest],
        load_checkpoint_dir=checkpoint,
        save_checkpoint_dir=checkpoint,
        bytes_output_mode=bytes_output_mode == "true",
        layer_norm=layer_norm == "true",
    )
    samples_in = tfv1.placeholder(tf.float32, [None, 1])
    labels_in = tfv1.sparse_placeholder(tf.int32)
    features, frames = audio_to_features(samples_in, 16000)
    length = tf.expand_dims(frames, 0)
    logits, _ = create_model(tf.expand_dims(features, 0), length, dropout=[None] * 6)
    loss = tfv1.nn.ctc_loss(labels=labels_in, inputs=logits, sequence_length=length)
    tfv1.train.get_or_create_global_step()

    numbers = {}
    with tfv1.Session() as session:
        load_graph_for_evaluation(session, silent=True)
        for name, samples, transcript in read_clips(manifest, samples_path):
            labels = text_to_char_array(transcript, Config.alphabet)
            indices = [(0, position) for position in range(len(labels))]
            values = session.run(
                {"features": features, "logits": logits, "loss": loss},
                {samples_in: samples, labels_in: (indices, labels, (1, len(labels)))},
            )
            numbers[name + "/features"] = values["features"]
            numbers[name + "/logits"] = values["logits"][:, 0]
            numbers[name + "/loss"] = values["loss"][0]
    np.savez(output, **numbers)


if __name__ == "__main__":
    main()
