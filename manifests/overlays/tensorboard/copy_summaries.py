"""Bring the event files of every run below $RUNS, and what is added to them, to /summaries."""

import json
import os
import re
import shutil
import time
from pathlib import Path

from stt_model.storage import ObjectStore

INDEX = "/run.json"
POD = r"/[0-9]{10}-[0-9a-f]{16}$"


def copy_summaries(store: ObjectStore, runs: str, target: Path) -> None:
    """Make ``target`` hold a folder for each run, with its event files as they are now.

    They only grow, and TensorBoard keeps them open: what is new is added to what is there.
    """
    for run, saved in last_saved(store, runs).items():
        with store.open(f"{saved}{INDEX}") as stream:
            files = json.load(stream)["files"]
        folder = target / run.removeprefix(runs.rstrip("/")).strip("/")
        for name, digest in files.items():
            if "tfevents" in name:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                with (
                    store.open(f"{saved}/files/{digest}") as new,
                    (folder / name).open("ab") as copy,
                ):
                    new.seek(copy.tell())
                    shutil.copyfileobj(new, copy)


def last_saved(store: ObjectStore, runs: str) -> dict[str, str]:
    """Return by run the folder that it was last saved in: each pod that trains has its own."""
    folders: dict[str, str] = {}
    for index in store.list(runs):
        if index.uri.endswith(INDEX):
            folder = index.uri.removesuffix(INDEX)
            run = re.sub(POD, "", folder)
            # The highest number is the latest; without one it is from before there were any.
            folders[run] = max(folder, folders.get(run, ""))
    return folders


if __name__ == "__main__":
    while True:
        copy_summaries(ObjectStore.from_environment(), os.environ["RUNS"], Path("/summaries"))
        time.sleep(60)
