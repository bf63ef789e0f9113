"""What may not be read or written: one line that names it."""

import errno
import io
import os
from pathlib import Path

import pytest

from stt_model.base.errors import DataError
from stt_model.corpus.manifests import find_splits
from stt_model.corpus.validation import validate
from stt_model.importing.importer import import_corpus
from tests.stt_model.importing import samples
from tests.stt_model.importing.test_importer import set_aside, write_table


@pytest.fixture
def forbid(monkeypatch):
    """Deny a file or folder, as its mode would; no mode keeps root, as whom tests may run, out."""
    denied = set()

    def guard(module, name):
        true = getattr(module, name)

        def opened(path=".", *arguments, **options):
            if isinstance(path, (str, os.PathLike)) and str(Path(path).absolute()) in denied:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return true(path, *arguments, **options)

        monkeypatch.setattr(module, name, opened)

    for module, name in ((os, "open"), (io, "open"), (os, "scandir"), (os, "listdir")):
        guard(module, name)
    return lambda path: denied.add(str(Path(path).absolute()))


@pytest.fixture
def source(tmp_path):
    return write_table(tmp_path / "source", 36)


@pytest.fixture
def beside(tmp_path):
    """A folder with a text beside each clip, in two folders."""
    for number in range(24):
        name = f"beside/{'ab'[number % 2]}/{number}"
        samples.write_audio(tmp_path / f"{name}.wav", 1.0)
        samples.write_text(tmp_path / f"{name}.txt", f"text {number}")
    return tmp_path / "beside"


def refusal(source, target):
    with pytest.raises(DataError) as caught:
        import_corpus(str(source), str(target))
    assert "\n" not in str(caught.value) and "Errno" not in str(caught.value)
    assert not target.exists()
    return str(caught.value)


def test_a_folder_of_clips_that_cannot_be_listed_is_not_left_out(beside, tmp_path, forbid):
    forbid(beside / "b")
    assert f"{beside}/b: expected a folder that can be read, found: Permission denied" in refusal(
        beside, tmp_path / "out"
    )


def test_a_source_that_cannot_be_listed_is_not_called_empty(beside, tmp_path, forbid):
    forbid(beside)
    assert f"{beside}: expected a folder that can be read" in refusal(beside, tmp_path / "out")


@pytest.mark.parametrize("whole", [True, False])
def test_a_table_that_cannot_be_read_is_named(source, tmp_path, forbid, whole):
    forbid(source / "list.csv")
    found = refusal(source if whole else source / "list.csv", tmp_path / "out")
    assert f"{source}/list.csv: " in found and found.endswith("Permission denied")


def test_a_text_that_cannot_be_read_is_named(beside, tmp_path, forbid):
    forbid(beside / "a" / "2.txt")
    assert f"{beside}/a/2.txt: cannot be read: Permission denied" in refusal(
        beside, tmp_path / "out"
    )


def test_a_clip_that_cannot_be_read_is_set_aside(source, tmp_path, forbid):
    forbid(source / "clips" / "c003.wav")
    import_corpus(str(source), str(tmp_path / "out"))
    assert set_aside(tmp_path / "out")["clips/c003.wav"] == (
        "audio_unreadable",
        f"{source}/clips/c003.wav: a file that cannot be read: Permission denied",
    )


def test_a_target_that_cannot_be_written_to_is_named(source, tmp_path, monkeypatch):
    # A folder where the state would be is what keeps root from writing it.
    (tmp_path / "out" / ".import-unfinished.sqlite").mkdir(parents=True)
    with pytest.raises(DataError, match=f"{tmp_path}/out: .* no right to write there"):
        import_corpus(str(source), str(tmp_path / "out"))


def test_validation_names_what_it_may_not_read(source, tmp_path, forbid):
    corpus = tmp_path / "corpus"
    import_corpus(str(source), str(corpus))
    splits = find_splits(corpus)
    clip = next(iter(validate(splits).accepted["train"])).path
    forbid(clip)
    [error] = validate(splits).errors
    assert error.row and error.found == f"a file that cannot be read: Permission denied at {clip}"
    forbid(corpus / "train.csv")
    first = validate(splits).findings[0]
    assert (first.row, first.discrepancy) == (
        0,
        "expected a readable file, found Permission denied",
    )
    forbid(corpus)
    with pytest.raises(DataError, match=f"{corpus}: cannot be read: Permission denied"):
        find_splits(corpus)
