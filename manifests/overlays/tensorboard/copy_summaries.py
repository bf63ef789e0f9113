"""Bring the event files of every run below $RUNS, and what is added to them, to /summaries."""

import json
import os
import re
import shutil
import time
from pathlib import Path

from stt_model.storage import Store, store_of

# Each save has an index of its own, numbered; in the folder of the pod that saved, likewise.
INDEX = r"(?P<run>.*?)(?P<pod>/[0-9]{10}-[0-9a-f]{16})?/(?P<name>run(-[0-9]{6})?\.json)"


def copy_summaries(store: Store, runs: str, target: Path) -> None:
    """Make ``target`` hold a folder for each run, with its event files as they are now.

    They only grow, and TensorBoard keeps them open: what is new is added to what is there.
    """
    for run, saved in last_saved(store, runs).items():
        with store.open(saved) as stream:
            files = json.load(stream)["files"]
        pod = saved.rpartition("/")[0]
        folder = target / run.removeprefix(runs.rstrip("/")).strip("/")
        for name, digest in files.items():
            if "tfevents" in name:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                with (
                    store.open(f"{pod}/files/{digest}") as new,
                    (folder / name).open("ab") as copy,
                ):
                    new.seek(copy.tell())
                    shutil.copyfileobj(new, copy)


def last_saved(store: Store, runs: str) -> dict[str, str]:
    """Return by run the index of its last save: each pod that trains has a folder of its own."""
    found: dict[str, tuple[str, str, str]] = {}
    for entry in store.list(runs):
        if index := re.fullmatch(INDEX, entry.uri):
            # The highest numbers are the latest; without one it is from before there were any.
            save = (index["pod"] or "", index["name"].replace("run.json", ""), entry.uri)
            found[index["run"]] = max(save, found.get(index["run"], save))
    return {run: uri for run, (_, _, uri) in found.items()}


if __name__ == "__main__":
    while True:
        copy_summaries(store_of(os.environ["RUNS"]), os.environ["RUNS"], Path("/summaries"))
        time.sleep(60)
