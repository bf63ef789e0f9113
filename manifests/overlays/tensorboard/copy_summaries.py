"""Bring the event files of every run below $RUNS, and what is added to them, to /summaries."""

import json
import os
import shutil
import time
from pathlib import Path

from stt_model.storage import ObjectStore

INDEX = "/run.json"


def copy_summaries(store: ObjectStore, runs: str, target: Path) -> None:
    """Make ``target`` hold a folder for each run, with its event files as they are now.

    They only grow, and TensorBoard keeps them open: what is new is added to what is there.
    """
    for index in store.list(runs):
        if not index.uri.endswith(INDEX):
            continue
        run = index.uri.removesuffix(INDEX)
        with store.open(index.uri) as stream:
            files = json.load(stream)["files"]
        folder = target / run.removeprefix(runs.rstrip("/")).strip("/")
        for name, digest in files.items():
            if "tfevents" in name:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                with store.open(f"{run}/files/{digest}") as new, (folder / name).open("ab") as copy:
                    new.seek(copy.tell())
                    shutil.copyfileobj(new, copy)


if __name__ == "__main__":
    while True:
        copy_summaries(ObjectStore.from_environment(), os.environ["RUNS"], Path("/summaries"))
        time.sleep(60)
