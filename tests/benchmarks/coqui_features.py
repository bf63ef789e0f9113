"""Coqui STT's way from wav files to features; runs in the trainer's own Python (3.7).

    python coqui_features.py < PATHS

reads paths, one a line, makes their features in batches by Coqui's own dataset, as in its training,
and prints the seconds that the second of two passes took.
"""

import csv
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import tensorflow.compat.v1 as tfv1
from coqui_stt_training.util.config import initialize_globals_from_args
from coqui_stt_training.util.feeding import create_dataset

BATCH = 16


def main(paths):
    folder = Path(tempfile.mkdtemp())
    manifest = folder / "clips.csv"
    with manifest.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["wav_filename", "wav_filesize", "transcript"])
        writer.writerows([path, Path(path).stat().st_size, "a"] for path in paths)
    alphabet = folder / "alphabet.txt"
    alphabet.write_text("a\n")
    initialize_globals_from_args(
        train_files=[str(manifest)], alphabet_config_path=str(alphabet), checkpoint_dir=str(folder)
    )
    iterator = tfv1.data.make_initializable_iterator(create_dataset([str(manifest)], BATCH))
    element = iterator.get_next()
    with tfv1.Session() as session:
        for _ in range(2):
            session.run(iterator.initializer)
            started = time.time()
            try:
                while True:
                    session.run(element)
            except tfv1.errors.OutOfRangeError:
                pass
            seconds = time.time() - started
    print(seconds)


if __name__ == "__main__":
    main(sys.stdin.read().split("\n"))
