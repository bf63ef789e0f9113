"""The steps from the command line: what they do, and what they say to input that cannot work."""

import io
import json
import shutil
import tarfile
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stt_model.base.errors import CheckpointError, TrainingError
from stt_model.checkpoint.directory import open_checkpoint
from stt_model.corpus.manifests import read_manifest
from stt_model.text.alphabet import CharacterAlphabet
from stt_model.text.alphabet_file import read_alphabet, write_alphabet
from tests.command_line import call, tree
from tests.corpora import write_tone_dataset
from tests.stt_model.http_server import FileServer, Resource

GOLDEN = Path(__file__).parents[2] / "golden"
COQUI = GOLDEN / "checkpoints" / "alphabet"
COQUI_BYTES = GOLDEN / "checkpoints" / "bytes"
LATIN = GOLDEN / "audio" / "latin.csv"
CYRILLIC = GOLDEN / "audio" / "cyrillic.csv"
DATA = "best_dev-360.data-00000-of-00001"
INDEX = "best_dev-360.index"


def copy_checkpoint(folder, without=(), cut=()):
    """Copy Coqui's checkpoint without some of its files, or with half of their bytes."""
    shutil.copytree(COQUI, folder, ignore=shutil.ignore_patterns(*without))
    for name in cut:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])
    return folder


def write_rows(path, *rows, header="wav_filename,wav_filesize,transcript"):
    path.write_text("\n".join((header, *rows)) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Everything that can be wrong, by name; see the tables below."""
    place = tmp_path_factory.mktemp("inputs")
    (place / "empty").mkdir()
    copy_checkpoint(place / "no-data", without=[DATA])
    copy_checkpoint(place / "no-index", without=[INDEX])
    copy_checkpoint(place / "cut-data", cut=[DATA])
    copy_checkpoint(place / "cut-index", cut=[INDEX])
    copy_checkpoint(place / "no-alphabet", without=["alphabet.txt"])
    labels = read_alphabet(COQUI / "alphabet.txt").labels
    copy_checkpoint(place / "too-few-labels")
    write_alphabet(CharacterAlphabet(labels[:-1]), place / "too-few-labels" / "alphabet.txt")
    copy_checkpoint(place / "too-many-labels")
    write_alphabet(CharacterAlphabet((*labels, "é")), place / "too-many-labels" / "alphabet.txt")
    shutil.copy(place / "too-few-labels" / "alphabet.txt", place / "few.txt")
    shutil.copy(place / "too-many-labels" / "alphabet.txt", place / "many.txt")
    (place / "words.txt").write_text("a\nbcd\n", encoding="utf-8")

    soundfile.write(place / "tone.wav", np.sin(np.arange(16000) / 20) / 2, 16000)
    soundfile.write(place / "short.wav", np.sin(np.arange(1600) / 20) / 2, 16000)
    soundfile.write(place / "no-samples.wav", np.zeros(0), 16000)
    (place / "no-bytes.wav").write_bytes(b"")
    (place / "noise.wav").write_bytes(bytes(range(256)) * 8)
    good = "tone.wav,0,a tone"
    write_rows(place / "good.csv", good)
    write_rows(place / "columns.csv", "tone.wav,a tone", header="wav_filename,transcript")
    write_rows(place / "no-rows.csv")
    write_rows(place / "missing.csv", good, "gone.wav,0,a tone")
    write_rows(place / "noise.csv", good, "noise.wav,0,a tone")
    write_rows(place / "no-bytes.csv", good, "no-bytes.wav,0,a tone")
    write_rows(place / "no-samples.csv", "no-samples.wav,0,a tone")
    write_rows(place / "blank.csv", good, "tone.wav,0, ")
    write_rows(place / "too-long.csv", "short.wav,0,a transcript of many more labels than frames")
    write_rows(place / "foreign.csv", good, "tone.wav,0,pâté")
    write_rows(place / "fields.csv", good, "tone.wav,0,one, two")
    (place / "quotes.csv").write_text('wav_filename,wav_filesize,transcript\na,1,"open\n')
    (place / "latin-1.csv").write_bytes(
        "wav_filename,wav_filesize,transcript\na,1,é\n".encode("latin-1")
    )
    return place


@pytest.fixture
def without_tensorflow(monkeypatch):
    """Fail where a command starts TensorFlow, for which its user waits seconds."""

    def fail():
        raise AssertionError("TensorFlow was started")

    monkeypatch.setattr("stt_model.jobs.startup.start_tensorflow", fail)


def refuse(inputs, line, tmp_path):
    """Call with ``{in}``, ``{out}`` and so on filled in; return the error, with those put back."""
    places = {"in": inputs, "out": tmp_path / "out", "latin": LATIN}
    places |= {"coqui": COQUI, "bytes": COQUI_BYTES}
    before = tree(inputs)
    outcome = call(*(word.format_map(places) for word in line.split()))
    assert outcome.code == 1
    assert tree(inputs) == before
    assert list(tmp_path.iterdir()) == []
    return outcome.error.replace(str(inputs), "{in}").replace(str(tmp_path / "out"), "{out}")


TRAIN = "train --save_checkpoint_dir {out} --train_files {latin} --load_checkpoint_dir"
GOOD = "train --save_checkpoint_dir {out} --train_files {latin} --load_checkpoint_dir {coqui}"
NO_DATA = "train --save_checkpoint_dir {out} --load_checkpoint_dir {coqui} --train_files"
DROP = "--drop_source_layers 1"
EVALUATE = "evaluate --checkpoint_dir {coqui} --test_output_file {out} --test_files"
FROM_COQUI = "--save_checkpoint_dir {out} --load_checkpoint_dir {coqui}"

LIGHT = {
    # Checkpoints
    "inspect {in}/gone": "{in}/gone: no such checkpoint directory",
    "inspect {in}/empty": "{in}/empty: no checkpoint: expected best_dev_checkpoint or checkpoint",
    "inspect {in}/no-data": DATA,
    "inspect {in}/no-index": f"but {INDEX.removesuffix('.index')}.index is not in {{in}}/no-index",
    "inspect {in}/cut-data": DATA,
    "inspect {in}/cut-index": INDEX,
    "inspect {in}/no-alphabet": "no alphabet.txt; give the alphabet of its 28 labels",
    "inspect {in}/too-few-labels": "has 27 labels, but the checkpoint's output layer has 29",
    "inspect {in}/too-many-labels": "has 29 labels, but the checkpoint's output layer has 29",
    "inspect {coqui} --alphabet_config_path {in}/few.txt": "the given alphabet",
    "inspect {coqui} --alphabet_config_path {in}/gone.txt": "{in}/gone.txt: cannot be read",
    "inspect {coqui} --alphabet_config_path {in}/words.txt": "{in}/words.txt, line 2",
    "inspect {coqui} --bytes_output_mode": "255 labels",
    "inspect {coqui} --bytes_output_mode --alphabet_config_path {in}/few.txt": "leave one out",
    "inspect {coqui} --which last": "its state file checkpoint is missing; found alphabet.txt",
    # Training: where from, where to
    f"{TRAIN} {{in}}/gone": "{in}/gone: expected a checkpoint, found none; check the path, or",
    f"{TRAIN} {{in}}/empty": "or train from scratch with --load_train init",
    f"{TRAIN} {{in}}/no-data": DATA,
    f"{TRAIN} {{in}}/cut-data": DATA,
    f"{TRAIN} {{in}}/cut-index": INDEX,
    f"{TRAIN} {{in}}/too-few-labels": "27 labels",
    f"{TRAIN} {{in}}/too-many-labels {DROP}": "29 labels",
    f"{GOOD} --load_train last": "no last checkpoint",
    f"{GOOD} --n_hidden 2048": "--n_hidden says 2048, the checkpoint's layers are 32 wide",
    f"{GOOD} --alphabet_config_path {{in}}/few.txt --bytes_output_mode": "leave one out",
    f"{GOOD} --alphabet_config_path {{in}}/gone.txt {DROP}": "{in}/gone.txt: cannot be read",
    f"{GOOD} --load_train init {DROP}": "leave one of them out",
    "train --train_files {latin}": "expected --checkpoint_dir or --save_checkpoint_dir",
    f"train --train_files {{latin}} --checkpoint_dir {{in}}/no-alphabet {DROP}": "its own source",
    "train --train_files {latin} --checkpoint_dir {in}/cut-data --load_train init": "would replace",
    "train --train_files {latin} --checkpoint_dir {in}/good.csv": "expected a folder, found a file",
    f"{GOOD} --report_file {{in}}": "{in}: expected the name of a file, found a folder",
    f"{GOOD} --test_output_file {{in}}/good.csv/a.json": "{in}/good.csv: expected a folder",
    # Manifests, those for later among them
    f"{GOOD} --train_files {{in}}/gone.csv": "{in}/gone.csv: expected a readable file, found No",
    f"{GOOD} --dev_files {{in}}/columns.csv": "{in}/columns.csv: expected the columns wav_filename",
    f"{GOOD} --test_files {{in}}/gone.csv": "{in}/gone.csv: expected a readable file",
    f"{EVALUATE} {{in}}/gone.csv": "{in}/gone.csv: expected a readable file",
    f"{EVALUATE} {{in}}/columns.csv": "found 'wav_filename,transcript'",
    f"{EVALUATE} {{in}}/latin-1.csv": "expected UTF-8, found byte 0xe9",
    f"{EVALUATE} {{latin}} --n_hidden 2048": "--n_hidden says 2048",
    # Other steps
    "validate {in}/gone --output {out}": "{in}/gone: expected a folder with train.csv and dev.csv",
    "validate s3://bucket/corpus --output {out}": "AWS_ACCESS_KEY_ID is not set",
    "validate {in} --output {in}/good.csv": "{in}/good.csv: expected a folder, found a file",
    "alphabet --train_files {in}/gone.csv": "{in}/gone.csv: expected a readable file",
    "alphabet --train_files {in}/fields.csv": "{in}/fields.csv, row 2: expected 3 fields, found 4",
    "alphabet --train_files {in}/quotes.csv": "check the quotes there",
    "alphabet --train_files {in}/good.csv --output {in}": "expected the name of a file",
    f"surgery {FROM_COQUI} --alphabet_config_path {{in}}/gone.txt": "{in}/gone.txt: cannot be read",
    "surgery --save_checkpoint_dir {out} --load_checkpoint_dir {in}/gone --alphabet_config_path "
    "{in}/few.txt": "{in}/gone: no such checkpoint directory",
    "fetch {in}/gone {out}": "{in}/gone: no such file or folder; check the path",
    "fetch s3://bucket/checkpoint.zip {out}": "AWS_ACCESS_KEY_ID is not set",
    "fetch ftp://host/checkpoint.zip {out}": "unknown scheme ftp://; supported are",
    "fetch {in}/good.csv {out}": "{in}/good.csv: not a whole tar or zip archive",
    "fetch {coqui} {in}": "{in}: not empty; give a new or an empty folder",
    "fetch {in}/cut-data {out}": "{in}/cut-data: fetched, but not kept: {in}/cut-data/" + DATA,
    "fetch {coqui} {out} --sha256 abc": "sha256: expected 64 hexadecimal digits, found 'abc'",
    f"fetch {{coqui}} {{out}} --sha256 {'0' * 64}": f"expected sha256 {'0' * 64}, found ",
}
"""What must be refused before TensorFlow starts, and what the line must say."""

HEAVY = {
    f"{TRAIN} {{bytes}} {DROP}": "the checkpoint is a bytes model, whose outputs fit every",
    f"{GOOD} --alphabet_config_path {{in}}/few.txt": 'these differ: "\'"; transfer instead',
    f"{GOOD} --alphabet_config_path {{in}}/many.txt": "'é'; transfer instead (--drop_source_layers",
    f"{EVALUATE} {{in}}/no-rows.csv": "expected at least one utterance, found none",
    f"{EVALUATE} {{in}}/no-samples.csv": "{in}/no-samples.wav: expected readable audio, found no",
    "surgery --save_checkpoint_dir {in} --load_checkpoint_dir {coqui} --alphabet_config_path "
    "{in}/many.txt": "{in}: expected an empty or new directory",
    f"{NO_DATA} {{in}}/no-samples.csv": "more labels than its audio has frames; check",
    f"{NO_DATA} {{in}}/too-long.csv": "more labels than its audio has frames; check",
} | {
    f"{command} {{in}}/{name}.csv": f"{{in}}/{name}.csv, row 2: {message}"
    for command in (
        EVALUATE,
        f"{GOOD} --train_files",
        f"{GOOD} --dev_files",
        f"{GOOD} --test_files",
    )
    for name, message in {
        "missing": "{in}/gone.wav: expected readable audio, found nothing; `stt-bootstrap",
        "noise": "{in}/noise.wav: expected readable audio, found a file that cannot be decoded",
        "no-bytes": "{in}/no-bytes.wav: expected readable audio, found an empty file",
        "blank": "expected a transcript, found none; `stt-bootstrap validate` lists every such row",
        "foreign": "expected only characters of the alphabet (28 labels), found",
    }.items()
}
"""What is found only with TensorFlow started, but before anything is trained."""


@pytest.mark.parametrize("line", LIGHT)
def test_bad_input_is_one_line_before_tensorflow_starts(line, inputs, tmp_path, without_tensorflow):
    assert LIGHT[line] in refuse(inputs, line, tmp_path)


@pytest.mark.parametrize("line", HEAVY)
def test_bad_input_is_one_line_before_training(line, inputs, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "stt_model.training.loop.TrainingLoop.run", lambda self: pytest.fail("trained")
    )
    assert HEAVY[line] in refuse(inputs, line, tmp_path)


def test_debug_shows_the_traceback(inputs):
    with pytest.raises(CheckpointError, match="no such checkpoint directory"):
        call("inspect", inputs / "gone", "--debug")


def test_flags_that_coqui_needed_are_taken_and_said_to_change_nothing(inputs, caplog):
    caplog.set_level("INFO")
    flags = ("--train_cudnn", "--load_cudnn", "true")
    # A source that is not there ends it before anything is trained.
    places = ("--load_checkpoint_dir", inputs / "gone", "--save_checkpoint_dir", inputs / "new")
    call("train", *places, "--train_files", LATIN, *flags)
    assert [message.split(":")[0] for message in caplog.messages] == [
        "--train_cudnn has no effect",
        "--load_cudnn has no effect",
    ]


# Checkpoints: inspect and fetch


def test_inspect_prints_json():
    found = json.loads(call("inspect", COQUI).out)
    assert found["name"] == "best_dev-360"
    assert found["geometry"]["n_hidden"] == 32
    assert found["alphabet"]["mode"] == "characters"
    assert json.loads(call("inspect", COQUI_BYTES).out)["alphabet"]["mode"] == "bytes"


def test_inspect_takes_the_alphabet_that_a_directory_lacks(inputs):
    given = COQUI / "alphabet.txt"
    outcome = call("inspect", inputs / "no-alphabet", "--alphabet_config_path", given)
    assert json.loads(outcome.out)["alphabet"]["size"] == 28


def archive(*members):
    """Return a .tar.gz of pairs of a member, or its name, and its content."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as file:
        for member, content in members:
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def link(name, target):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, target
    return info


@pytest.fixture(scope="module")
def server():
    whole = [(f"model/{path.name}", path.read_bytes()) for path in COQUI.iterdir()]
    archives = {
        "whole": archive(*whole),
        "climbing": archive(*whole, ("../climbed", b"x")),
        "link": archive(*whole, (link("model/passwords", "/etc/passwd"), b"")),
        "foreign": archive(("notes/readme.txt", b"no checkpoint")),
    }
    resources = {f"/{name}.tar.gz": Resource(data) for name, data in archives.items()}
    resources["/cut.tar.gz"] = Resource(archives["whole"][:-99])
    with FileServer(resources) as running:
        yield running


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path_factory):
    """Keep what is downloaded out of the user's cache folder."""
    monkeypatch.setenv("STT_BOOTSTRAP_CACHE", str(tmp_path_factory.mktemp("cache")))


def test_fetch_downloads_checks_unpacks_and_describes(server, tmp_path):
    content = server.resources["/whole.tar.gz"].content
    digest = sha256(content).hexdigest()
    target = tmp_path / "checkpoint"
    outcome = call("fetch", server.url("/whole.tar.gz"), target, "--sha256", digest)
    assert outcome.code == 0
    found = json.loads(outcome.out)
    assert (found["sha256"], found["bytes"]) == (digest, len(content))
    assert found["geometry"]["n_hidden"] == 32
    assert tree(target) == tree(COQUI)


@pytest.mark.parametrize(
    ("name", "flags", "message"),
    [
        ("gone", (), "404"),
        ("whole", ("--sha256", "0" * 64), f"expected sha256 {'0' * 64}, found "),
        ("cut", (), "not a whole tar or zip archive"),
        ("climbing", (), "member '../climbed': its path climbs out with '..'"),
        ("link", (), "member 'model/passwords': it is a link or a device"),
        ("foreign", (), "fetched, but not kept: "),
    ],
)
def test_bad_archives_are_refused_and_nothing_is_kept(server, tmp_path, name, flags, message):
    url = server.url(f"/{name}.tar.gz")
    outcome = call("fetch", url, tmp_path / "target", *flags)
    assert outcome.code == 1
    assert outcome.error.startswith(url)
    assert message in outcome.error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("size_limit", "unpacked_limit", "message"),
    [(1, 1000, "larger than the limit of 1024 bytes"), (1000, 1, "more than the 1024 bytes")],
)
def test_archives_over_a_limit_are_refused(
    server, tmp_path, monkeypatch, size_limit, unpacked_limit, message
):
    monkeypatch.setattr("stt_model.jobs.checkpoints.GIB", 1024)
    limits = ("--size_limit", size_limit, "--unpacked_limit", unpacked_limit)
    outcome = call("fetch", server.url("/whole.tar.gz"), tmp_path / "target", *limits)
    assert outcome.code == 1
    assert message in outcome.error
    assert list(tmp_path.iterdir()) == []


# Data: validate and alphabet


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """One row of the training split cannot be used."""
    root = write_tone_dataset(tmp_path_factory.mktemp("corpus"), train=4, other=2)
    with (root / "train.csv").open("a", encoding="utf-8") as manifest:
        manifest.write("gone.wav,1,abc\n")
    return root


def test_validate_sets_bad_rows_aside(corpus, tmp_path):
    outcome = call("validate", corpus, "--output", tmp_path / "clean")
    assert outcome.code == 0
    assert "8 utterances accepted" in outcome.out
    assert f"{corpus}/train.csv, row 5: audio_readable: expected readable audio" in outcome.err
    assert len(read_manifest(tmp_path / "clean" / "train.csv")) == 4
    assert "gone.wav" in (tmp_path / "clean" / "rejected.csv").read_text(encoding="utf-8")


def test_strict_validation_fails_and_leaves_no_manifests(corpus, tmp_path):
    outcome = call("validate", corpus, "--output", tmp_path / "clean", "--strict")
    assert outcome.code == 1
    error = outcome.err.splitlines()[-1]
    assert error.startswith(f"error: expected no errors (strict), found 1: {corpus}/train.csv, row")
    assert error.endswith(f"; {tmp_path}/clean/report.md shows them all")
    assert set(tree(tmp_path / "clean")) == {"report.md", "rejected.csv"}


def test_validate_keeps_to_a_given_alphabet(corpus, tmp_path):
    write_alphabet(CharacterAlphabet(" abc"), tmp_path / "alphabet.txt")
    flags = ("--alphabet_config_path", tmp_path / "alphabet.txt")
    outcome = call("validate", corpus, "--output", tmp_path / "clean", *flags)
    assert "expected only the 4 labels of the alphabet, found 'd' U+0064" in outcome.err


@pytest.mark.parametrize(
    ("encoding", "line_end"), [("utf-8", "\n"), ("utf-8-sig", "\n"), ("utf-8", "\r\n")]
)
def test_no_spelling_of_a_manifest_loses_a_row(tmp_path, encoding, line_end):
    texts = ["the winter, was cold", 'he said "no"', "ünter"]
    lines = {"train": [], "dev": []}
    for number, text in enumerate([*texts, "a tone"]):
        wave = np.sin(np.arange(32000) / (20 + number)) / 2
        soundfile.write(tmp_path / f"{number}.wav", wave, 16000)
        quoted = text.replace('"', '""')
        lines["train" if text in texts else "dev"].append(f'{number}.wav,1,"{quoted}"')
    for split, rows in lines.items():
        data = line_end.join(["wav_filename,wav_filesize,transcript", *rows, ""])
        (tmp_path / f"{split}.csv").write_bytes(data.encode(encoding))

    labels = call("alphabet", "--train_files", tmp_path / "train.csv").out
    assert labels == "".join(f"{label!r}\n" for label in sorted(set("".join(texts))))
    assert call("validate", tmp_path, "--output", tmp_path / "clean", "--strict").code == 0
    clean = read_manifest(tmp_path / "clean" / "train.csv")
    assert [row.transcript for row in clean] == texts


def test_alphabet_is_built_and_written(tmp_path):
    path = tmp_path / "alphabet.txt"
    outcome = call("alphabet", "--train_files", CYRILLIC, "--output", path)
    assert outcome.code == 0
    characters = {char for row in read_manifest(CYRILLIC) for char in row.transcript}
    assert read_alphabet(path).labels == tuple(sorted(characters))
    assert outcome.out.splitlines()[:2] == ["' '", "'а'"]  # noqa: RUF001 (a Cyrillic letter)


@pytest.mark.parametrize(
    ("checkpoint", "manifest", "mode"),
    [
        (COQUI, LATIN, "fine-tune"),
        (COQUI, CYRILLIC, "transfer"),
        (COQUI_BYTES, CYRILLIC, "fine-tune"),
    ],
)
def test_alphabet_says_what_a_checkpoint_means_for_transcripts(checkpoint, manifest, mode):
    outcome = call("alphabet", "--train_files", manifest, "--checkpoint_dir", checkpoint)
    assert outcome.code == 0
    assert outcome.out.startswith(f"# Mode: {mode}\n")


def test_a_mode_that_cannot_work_is_refused(tmp_path):
    flags = ("--mode", "fine-tune", "--output", tmp_path / "alphabet.txt")
    outcome = call("alphabet", "--train_files", CYRILLIC, "--checkpoint_dir", COQUI, *flags)
    assert outcome.code == 1
    assert outcome.error.startswith("fine-tune was asked for, but the checkpoint has no label for")
    assert list(tmp_path.iterdir()) == []


# Models: surgery, train and evaluate


def test_surgery_replaces_the_output_layer(tmp_path):
    write_alphabet(CharacterAlphabet(" abж"), tmp_path / "alphabet.txt")
    out = tmp_path / "out"
    directories = ("--load_checkpoint_dir", COQUI, "--save_checkpoint_dir", out)
    outcome = call("surgery", *directories, "--alphabet_config_path", tmp_path / "alphabet.txt")
    assert outcome.code == 0
    report = json.loads(outcome.out)
    assert report["dropped_layers"] == ["layer_6"]
    assert report["warm_started"] == [" ", "a", "b"]
    assert open_checkpoint(out).alphabet.labels == tuple(" abж")


@pytest.fixture
def start(monkeypatch):
    """What training would have started from: it stops there."""
    seen = []

    def stop(trainer):
        seen.append(trainer.source)
        raise TrainingError("far enough")

    monkeypatch.setattr("stt_model.training.loop.TrainingLoop.run", stop)
    return seen


def test_training_from_scratch_has_to_be_asked_for(tmp_path, start):
    flags = ("--load_train", "init", "--n_hidden", 8, "--layer_norm")
    outcome = call("train", "--train_files", LATIN, "--checkpoint_dir", tmp_path / "out", *flags)
    assert outcome.error == "far enough"
    geometry = start[0].geometry
    assert (geometry.n_hidden, geometry.layer_norm) == (8, True)
    letters = {char for row in read_manifest(LATIN) for char in row.transcript}
    assert set(start[0].alphabet.labels) == letters


def test_a_checkpoint_without_alphabet_is_fine_tuned_with_the_one_given(inputs, tmp_path, start):
    directories = ("--load_checkpoint_dir", inputs / "no-alphabet")
    directories += ("--save_checkpoint_dir", tmp_path / "out")
    flags = ("--train_files", LATIN, "--alphabet_config_path", COQUI / "alphabet.txt")
    assert call("train", *directories, *flags).error == "far enough"
    assert start[0].alphabet == read_alphabet(COQUI / "alphabet.txt")


def losses(path):
    samples = json.loads(path.read_text(encoding="utf-8"))
    return {Path(sample["wav_filename"]).name: sample["loss"] for sample in samples}


def evaluate(checkpoint_dir, manifest, out):
    """Return the losses that the command reports."""
    flags = ("--test_files", manifest, "--test_output_file", out)
    outcome = call("evaluate", "--checkpoint_dir", checkpoint_dir, *flags)
    assert outcome.code == 0, outcome.err
    return losses(out)


@pytest.fixture(scope="module")
def fine_tuned(tmp_path_factory):
    """The guide's first command line, and what keeps it short."""
    place = tmp_path_factory.mktemp("fine-tuned")
    folder = copy_checkpoint(place / "checkpoint")
    outcome = call(
        *("train", "--checkpoint_dir", folder),
        *("--train_files", LATIN, "--dev_files", LATIN, "--test_files", LATIN),
        *("--epochs", 2, "--learning_rate", 0.001),
        *("--test_output_file", place / "samples.json", "--report_file", place / "report.md"),
    )
    assert outcome.code == 0, outcome.err
    return place


@pytest.fixture(scope="module")
def transferred(tmp_path_factory):
    """The guide's second command line, and what keeps it short."""
    place = tmp_path_factory.mktemp("transferred")
    call("alphabet", "--train_files", CYRILLIC, "--output", place / "alphabet.txt")
    source = copy_checkpoint(place / "source")
    outcome = call(
        *("train", "--drop_source_layers", 1),
        *("--alphabet_config_path", place / "alphabet.txt"),
        *("--save_checkpoint_dir", place / "checkpoint", "--load_checkpoint_dir", source),
        *("--train_files", CYRILLIC, "--dev_files", CYRILLIC, "--test_files", CYRILLIC),
        *("--epochs", 1, "--test_output_file", place / "samples.json"),
    )
    assert outcome.code == 0, outcome.err
    return place


def test_fine_tuning_in_place_keeps_the_pre_trained_checkpoint(fine_tuned):
    assert open_checkpoint(fine_tuned / "checkpoint").step > 360
    for name in (DATA, INDEX):
        assert (fine_tuned / "checkpoint" / name).read_bytes() == (COQUI / name).read_bytes()


def test_fine_tuning_tests_the_trained_model(fine_tuned, tmp_path):
    tested = losses(fine_tuned / "samples.json")
    assert tested == pytest.approx(
        evaluate(fine_tuned / "checkpoint", LATIN, tmp_path / "trained.json"), rel=1e-4
    )
    source = evaluate(COQUI, LATIN, tmp_path / "source.json")
    assert all(abs(tested[clip] / source[clip] - 1) > 0.01 for clip in source)


def test_without_a_dev_set_the_last_epoch_is_tested_not_the_best_of_the_source(tmp_path):
    folder = copy_checkpoint(tmp_path / "checkpoint")
    outcome = call(
        *("train", "--checkpoint_dir", folder, "--train_files", LATIN, "--test_files", LATIN),
        *("--epochs", 1, "--learning_rate", 0.01, "--test_output_file", tmp_path / "samples.json"),
    )
    assert outcome.code == 0, outcome.err
    source = evaluate(COQUI, LATIN, tmp_path / "source.json")
    tested = losses(tmp_path / "samples.json")
    assert all(abs(tested[clip] / source[clip] - 1) > 0.01 for clip in source)


def test_one_report_tells_of_training_and_testing(fine_tuned):
    report = (fine_tuned / "report.md").read_text(encoding="utf-8")
    assert "# Training\n" in report
    assert "# Evaluation\n" in report


def test_transfer_leaves_its_source_and_tests_the_trained_model(transferred, tmp_path):
    assert tree(transferred / "source") == tree(COQUI)
    trained = open_checkpoint(transferred / "checkpoint")
    assert trained.alphabet == read_alphabet(transferred / "alphabet.txt")
    assert trained.lineage["source"]["lineage"]["dropped_layers"] == ["layer_6"]
    assert losses(transferred / "samples.json") == pytest.approx(
        evaluate(transferred / "checkpoint", CYRILLIC, tmp_path / "trained.json"), rel=1e-4
    )


def test_a_mixed_precision_checkpoint_works_since_its_weights_are_float32(tmp_path):
    # Here, because it imports TensorFlow.
    from tests.stt_model.checkpoints import make_checkpoint

    make_checkpoint(tmp_path / "checkpoint", mixed_precision=True)
    assert json.loads(call("inspect", tmp_path / "checkpoint").out)["mixed_precision"]
    flags = ("--test_files", LATIN, "--report_file", tmp_path / "report.md")
    outcome = call("evaluate", "--checkpoint_dir", tmp_path / "checkpoint", *flags)
    assert outcome.code == 0
    assert outcome.out.startswith("Loading best validating checkpoint from ")
    assert "\n5 utterances: WER " in outcome.out
    assert "# Evaluation\n" in (tmp_path / "report.md").read_text(encoding="utf-8")
