"""The project as people install it: a wheel, away from its sources."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.corpora import write_tone_dataset

ROOT = Path(__file__).parents[1]
NOTEBOOK = """
import contextlib, io
import numpy as np

printed = io.StringIO()
with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
    import stt_model

    checked = stt_model.validate("tones", "clean", report="reports/data.md")
    data = stt_model.find_splits("clean")
    letters = stt_model.build_alphabet(stt_model.transcripts_of(data.values()))
    trained = stt_model.train(
        [data["train"]],
        [str(data["dev"])],
        save_checkpoint_dir="model",
        load_train="init",
        alphabet=letters,
        n_hidden=16,
        epochs=1,
        train_batch_size=4,
        show_progressbar=False,
        feature_cache="features",
        report="reports/training.md",
    )
    decision = stt_model.decide(stt_model.transcripts_of([data["dev"]]), "model")
    result = stt_model.evaluate(
        [data["test"]],
        "model",
        show_progressbar=False,
        test_output_file="samples.json",
        html_report="reports/test.html",
        suspects_file="suspects.csv",
        report="reports/test.md",
    )
    clip, silence = "tones/test-clips/1.wav", np.zeros(8000, np.int16)
    texts = list(stt_model.transcribe("model", [clip, silence], sample_rate=8000))
assert checked.metrics()["train_utterances"] == 4
assert decision.mode == "fine-tune", decision.reason
assert trained.best.number in (0, 1)
assert 0 <= result.wer
assert len(texts) == 2 and all(isinstance(text, str) for text in texts)
assert printed.getvalue() == "", printed.getvalue()
print(stt_model.__file__)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Build the wheel and install it, with what it needs taken from this environment."""
    folder = tmp_path_factory.mktemp("wheel")
    # A copy, so that nothing is left in the checkout, and nothing of an earlier build gets in.
    sources = folder / "sources"
    for name in ("stt_model", "stt_bootstrap", "components", "pipelines", "demo"):
        shutil.copytree(ROOT / name, sources / name, symlinks=True)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, sources)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder)]
    subprocess.run([*pip, *build, str(sources)], check=True, timeout=240, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    target = ["install", "--no-deps", "--no-index", "--target", str(folder / "site"), str(wheel)]
    subprocess.run([*pip, *target], check=True, timeout=240, capture_output=True)
    return folder / "site"


@pytest.fixture
def run(installed, tmp_path):
    """Run Python in an empty folder, with the installed project before the checkout."""

    def run(*arguments):
        variables = {**os.environ, "PYTHONPATH": str(installed)}
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=tmp_path,
            env=variables,
            capture_output=True,
            text=True,
            timeout=280,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_only_our_own_names_are_taken(installed):
    names = {path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")}
    assert names == {"stt_model", "stt_bootstrap", "bin"}


def test_a_notebook_needs_nothing_of_the_checkout(run, installed, tmp_path):
    write_tone_dataset(tmp_path / "tones", train=4, other=2)
    (tmp_path / "notebook.py").write_text(NOTEBOOK)
    assert run("notebook.py").strip() == str(installed / "stt_model" / "__init__.py")
    reports = {path.name for path in (tmp_path / "reports").iterdir()}
    assert reports == {"data.md", "training.md", "test.html", "test.md"}
    assert all((tmp_path / name).exists() for name in ("samples.json", "suspects.csv", "features"))


def python_of(document):
    """Return the blocks of Python in a document, one after the other."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return "\n".join(re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE))


@pytest.mark.slow
@pytest.mark.parametrize("document", ["README.md", "docs/python.md"])
def test_the_documented_python_runs(document, run, tmp_path):
    write_tone_dataset(tmp_path / "my-corpus", train=4, other=2)
    shutil.copy(tmp_path / "my-corpus" / "test-clips" / "1.wav", tmp_path / "clip.wav")
    with tarfile.open(tmp_path / "coqui-stt-1.0.0-checkpoint.tar.gz", "w:gz") as archive:
        archive.add(ROOT / "demo" / "source_checkpoint", "checkpoint")
    (tmp_path / "documented.py").write_text(python_of(document))
    run("documented.py")
    assert (tmp_path / "model" / "lineage.json").is_file()


def test_the_program_works_from_another_folder(run, installed, tmp_path):
    program = installed / "bin" / "stt-bootstrap"
    assert re.match(r"stt-bootstrap \d+\.\d+\.\d+$", run(program, "--version").strip())
    assert "--dataset_uri" in run(program, "run", "--help")
    run(program, "compile", "--output", "compiled")
    assert (tmp_path / "compiled" / "pipelines" / "bootstrap.yaml").is_file()
