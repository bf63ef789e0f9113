from __future__ import annotations

from pathlib import Path

import pytest

from stt_model.corpus.manifests import find_splits
from stt_model.corpus.packing import pack
from stt_model.storage.object_store import ObjectStore
from stt_model.training.trainer import train
from tests.corpora import write_tone_dataset
from tests.stt_model.s3_server import S3Server
from tests.stt_model.training_runs import content, make_config, write_source


def test_weights_do_not_depend_on_where_the_clips_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "served" / "speech").mkdir(parents=True)
    monkeypatch.setenv("STT_BOOTSTRAP_CACHE", str(tmp_path / "cache"))
    loose = write_tone_dataset(tmp_path / "loose", train=4, other=1)
    source = write_source(tmp_path / "source")
    with S3Server(tmp_path / "served") as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        ObjectStore.from_environment().upload_directory(loose, "s3://speech/loose")
        pack(str(loose), str(tmp_path / "packed"))
        pack(str(loose), "s3://speech/packed")
        roots = [str(loose), "s3://speech/loose", str(tmp_path / "packed"), "s3://speech/packed"]
        trained = []
        for number, root in enumerate(roots):
            splits = find_splits(root)
            files = {"train_files": [splits["train"]], "dev_files": []}
            out = tmp_path / f"trained-{number}"
            train(make_config(loose, source, out, epochs=1, train_batch_size=2, **files))
            trained.append(content(out, "last"))
    before = content(source, "best")
    assert all(trained[0][name] != weights for name, weights in before.items())
    for weights in trained[1:]:
        assert weights == trained[0]
