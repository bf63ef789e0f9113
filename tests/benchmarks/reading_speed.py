"""Reading a dataset from an S3 server, loose against packed: the first pass, with an empty cache.

The two take turns; medians of several rounds. The server is rclone on this machine, so that a
request costs next to nothing: across a network, packing gains more than this shows.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soundfile

from stt_model.corpus.audio import read_audio
from stt_model.corpus.audio_settings import SAMPLE_RATE
from stt_model.corpus.manifests import find_splits, read_manifest
from stt_model.corpus.packing import pack
from stt_model.storage.object_store import ObjectStore
from tests.stt_model.s3_server import S3Server

_THREADS = 8
_SECONDS = 4.0


def main() -> None:
    """Print clips a second of both, and how they compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "served" / "speech").mkdir(parents=True)
        _write_dataset(folder / "loose", args.clips)
        with S3Server(folder / "served") as server:
            os.environ |= server.environment
            ObjectStore.from_environment().upload_directory(folder / "loose", "s3://speech/loose")
            pack(str(folder / "loose"), "s3://speech/packed")
            speeds: dict[str, list[float]] = {"loose": [], "packed": []}
            for number in range(args.rounds):
                for kind, found in speeds.items():
                    os.environ["STT_BOOTSTRAP_CACHE"] = str(folder / f"{kind}-{number}")
                    found.append(_clips_a_second(f"s3://speech/{kind}"))
    for kind, found in speeds.items():
        print(
            f"{kind:6}  {statistics.median(found):7.0f} clips/s"
            f"  ({min(found):.0f} to {max(found):.0f})"
        )
    ratios = [p / q for p, q in zip(speeds["packed"], speeds["loose"], strict=True)]
    median = statistics.median(ratios)
    print(f"packed / loose: {median:.2f}  ({min(ratios):.2f} to {max(ratios):.2f})")


def _clips_a_second(root: str) -> float:
    places = [row.place for row in read_manifest(find_splits(root)["train"])]
    start = time.perf_counter()
    with ThreadPoolExecutor(_THREADS) as pool:
        samples = sum(map(len, pool.map(read_audio, places)))
    assert samples == len(places) * _SECONDS * SAMPLE_RATE
    return len(places) / (time.perf_counter() - start)


def _write_dataset(folder: Path, clips: int) -> None:
    folder.mkdir()
    random = np.random.default_rng(1)
    for split, count in (("train", clips), ("dev", 1)):
        rows = ["wav_filename,wav_filesize,transcript"]
        for number in range(count):
            name = f"{split}-{number}.wav"
            sound = random.integers(-9999, 9999, int(_SECONDS * SAMPLE_RATE)).astype(np.int16)
            soundfile.write(folder / name, sound, SAMPLE_RATE)
            rows.append(f"{name},{(folder / name).stat().st_size},a b")
        (folder / f"{split}.csv").write_text("\n".join(rows) + "\n", "utf-8")


if __name__ == "__main__":
    main()
