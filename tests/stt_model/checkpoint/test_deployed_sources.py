"""Deployed models wherever a checkpoint is taken, and what their descendants say of them."""

import hashlib
import json
import tarfile

import pytest

from stt_model import jobs
from stt_model.base.errors import AlphabetError, CheckpointError
from stt_model.checkpoint.directory import (
    has_own_alphabet,
    open_checkpoint,
    read_moments,
    read_weights,
    weights_digest,
)
from stt_model.checkpoint.geometry import Geometry
from stt_model.checkpoint.lineage import imports_in, was_quantised
from stt_model.checkpoint.surgery import operate
from stt_model.corpus.source_digest import digest_source
from stt_model.storage.cache_folder import CACHE_VARIABLE
from tests.stt_model.checkpoint.formats.deployed_models import TocoModel, frozen_graph
from tests.stt_model.checkpoints import (
    BYTES,
    ENGLISH,
    GERMAN,
    make_checkpoint,
    random_weights,
    write_alphabet,
)
from tests.stt_model.http_server import FileServer, Resource
from tests.stt_model.s3_server import S3Server

N_HIDDEN = 16
WEIGHTS = random_weights(Geometry(N_HIDDEN, ENGLISH.classes))
WIDE = random_weights(Geometry(32, ENGLISH.classes))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A float file with its alphabet in it."""
    path = tmp_path_factory.mktemp("deployed") / "english.tflite"
    path.write_bytes(TocoModel(WEIGHTS, ENGLISH, steps=2).to_bytes())
    return path


@pytest.fixture(scope="module")
def quantised(tmp_path_factory):
    path = tmp_path_factory.mktemp("deployed") / "small.tflite"
    path.write_bytes(TocoModel(WIDE, ENGLISH, quantize=True, steps=2).to_bytes())
    return path


@pytest.fixture(scope="module")
def frozen(tmp_path_factory):
    """A graph that does not say what its classes are."""
    path = tmp_path_factory.mktemp("deployed") / "output_graph.pb"
    path.write_bytes(frozen_graph(WEIGHTS).SerializeToString())
    return path


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_model_is_opened_as_a_checkpoint(model):
    found = open_checkpoint(model)
    assert (found.geometry, found.alphabet) == (Geometry(N_HIDDEN, ENGLISH.classes), ENGLISH)
    assert found.digest() == weights_digest(WEIGHTS)
    description = found.describe()
    assert (description["format"], description["quantised"]) == ("tflite", False)
    json.dumps(description)


def test_a_deployed_model_has_no_step_and_no_moments(model):
    found = open_checkpoint(model)
    assert (found.step, found.has_adam) == (0, False)
    with pytest.raises(CheckpointError, match="no moments"):
        read_moments(found)


def test_a_folder_that_holds_one_model_is_as_good_as_the_model(model, tmp_path):
    place = tmp_path / "src" / "model"
    place.mkdir(parents=True)
    (place / "m.tflite").write_bytes(model.read_bytes())
    (tmp_path / "README").write_text("A package.")
    assert open_checkpoint(tmp_path).digest() == weights_digest(WEIGHTS)


def test_of_several_models_one_has_to_be_named(model, tmp_path):
    for name in ("a.tflite", "b.tflite"):
        (tmp_path / name).write_bytes(model.read_bytes())
    with pytest.raises(CheckpointError, match=r"a\.tflite, b\.tflite; give the path of one"):
        open_checkpoint(tmp_path)
    assert open_checkpoint(tmp_path / "b.tflite").prefix.name == "b.tflite"


def test_a_checkpoint_comes_before_a_model_in_the_same_folder(model, tmp_path):
    weights = make_checkpoint(tmp_path)
    (tmp_path / "m.tflite").write_bytes(model.read_bytes())
    assert open_checkpoint(tmp_path).digest() == weights_digest(weights)


class TestWithoutAnAlphabet:
    def test_is_refused(self, frozen):
        with pytest.raises(CheckpointError, match="which 28 labels its 29 classes are"):
            open_checkpoint(frozen)
        assert not has_own_alphabet(frozen)

    def test_a_bytes_model_needs_its_flag(self, tmp_path):
        path = tmp_path / "bytes.pb"
        weights = random_weights(Geometry(4, BYTES.classes))
        path.write_bytes(frozen_graph(weights).SerializeToString())
        with pytest.raises(CheckpointError, match="--bytes_output_mode"):
            open_checkpoint(path)
        assert open_checkpoint(path, alphabet=BYTES).alphabet.is_bytes

    def test_takes_the_one_given(self, frozen):
        found = open_checkpoint(frozen, alphabet=ENGLISH)
        assert (found.alphabet, found.digest()) == (ENGLISH, weights_digest(WEIGHTS))

    def test_takes_the_one_beside_it(self, frozen, tmp_path):
        (tmp_path / "m.pb").write_bytes(frozen.read_bytes())
        write_alphabet(ENGLISH, tmp_path / "alphabet.txt")
        assert open_checkpoint(tmp_path / "m.pb").alphabet == ENGLISH
        assert has_own_alphabet(tmp_path)

    def test_refuses_one_that_does_not_fit(self, frozen):
        with pytest.raises(CheckpointError, match="has 31 labels, but"):
            open_checkpoint(frozen, alphabet=GERMAN)

    def test_fetching_keeps_the_one_given(self, frozen, tmp_path):
        write_alphabet(ENGLISH, tmp_path / "english.txt")
        uri = (tmp_path / "english.txt").as_uri()
        jobs.fetch(frozen, tmp_path / "out", alphabet_uri=uri)
        assert open_checkpoint(tmp_path / "out").alphabet == ENGLISH

    def test_is_not_fetched(self, frozen, tmp_path):
        with pytest.raises(CheckpointError, match="fetched, but not kept"):
            jobs.fetch(frozen, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_takes_not_two_alphabets(self, frozen, tmp_path):
        write_alphabet(ENGLISH, tmp_path / "english.txt")
        uri = str(tmp_path / "english.txt")
        with pytest.raises(AlphabetError, match="found both"):
            jobs.fetch(frozen, tmp_path / "out", alphabet_uri=uri, bytes_output_mode=True)


class TestFetching:
    def check(self, fetched, folder, model):
        found = open_checkpoint(folder)
        assert found.model is None
        assert found.digest() == open_checkpoint(model).digest()
        assert {path.suffix for path in folder.iterdir()} >= {".index", ".json"}
        assert found.lineage["sha256"] == sha256(model)
        assert model.name in fetched.metadata["imported_from"]

    def test_a_file(self, model, tmp_path):
        fetched = jobs.fetch(model, tmp_path / "out", sha256=sha256(model))
        self.check(fetched, tmp_path / "out", model)
        assert fetched.sha256 == sha256(model)

    def test_an_archive_that_holds_one(self, model, tmp_path):
        with tarfile.open(tmp_path / "package.tar.gz", "w:gz") as archive:
            archive.add(model, f"package-0.1/src/{model.name}")
            archive.add(__file__, "package-0.1/setup.py")
        fetched = jobs.fetch(tmp_path / "package.tar.gz", tmp_path / "out")
        self.check(fetched, tmp_path / "out", model)

    def test_over_http_whatever_it_is_called(self, model, tmp_path):
        with FileServer({}) as server:
            server.resources["/download"] = Resource(model.read_bytes())
            jobs.fetch(server.url("/download?id=5"), tmp_path / "out")
        found = open_checkpoint(tmp_path / "out")
        assert found.lineage["sha256"] == sha256(model)

    def test_from_an_object_store(self, model, tmp_path, monkeypatch):
        (tmp_path / "s3").mkdir()
        with S3Server(tmp_path / "s3") as server:
            (server.folder / "models").mkdir(parents=True)
            (server.folder / "models" / model.name).write_bytes(model.read_bytes())
            for name, value in {**server.environment, "NO_PROXY": "127.0.0.1"}.items():
                monkeypatch.setenv(name, value)
            monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
            fetched = jobs.fetch(f"s3://models/{model.name}", tmp_path / "out")
        self.check(fetched, tmp_path / "out", model)

    def test_its_digest_changes_when_the_file_does(self, model, tmp_path):
        path = tmp_path / "m.tflite"
        path.write_bytes(model.read_bytes())
        before = digest_source(str(path)), open_checkpoint(path).lineage["sha256"]
        weights = {**WEIGHTS, "layer_1/bias": WEIGHTS["layer_1/bias"] + 1}
        path.write_bytes(TocoModel(weights, ENGLISH, steps=2).to_bytes())
        after = digest_source(str(path)), open_checkpoint(path).lineage["sha256"]
        assert not {*before} & {*after}


def test_descendants_know_that_an_ancestor_was_quantised(quantised, model, tmp_path):
    jobs.fetch(quantised, tmp_path / "fetched")
    operate(tmp_path / "fetched", tmp_path / "child", target_alphabet=GERMAN, mode="transfer")
    operate(tmp_path / "child", tmp_path / "grandchild", target_alphabet=GERMAN, mode="fine-tune")
    lineage = open_checkpoint(tmp_path / "grandchild").lineage
    assert was_quantised(lineage)
    (found,) = imports_in(lineage)
    expected = {"file": "small.tflite", "format": "tflite", "sha256": sha256(quantised)}
    assert expected.items() <= found.items()
    operate(model, tmp_path / "other", target_alphabet=GERMAN, mode="transfer")
    assert not was_quantised(open_checkpoint(tmp_path / "other").lineage)


def test_surgery_takes_a_model_as_it_is(model, tmp_path):
    operate(model, tmp_path / "out", target_alphabet=GERMAN, mode="transfer")
    weights = read_weights(open_checkpoint(tmp_path / "out"))
    assert (weights["layer_5/weights"] == WEIGHTS["layer_5/weights"]).all()
