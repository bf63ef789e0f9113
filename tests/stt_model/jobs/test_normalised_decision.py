"""An English corpus with capitals and full stops: stopped without the flag, fine-tuned with it."""

import pytest

from stt_model import jobs
from stt_model.checkpoint.geometry import Geometry
from stt_model.checkpoint.surgery import initialise
from stt_model.checkpoint.writing import write_checkpoint
from stt_model.text.alphabet import CharacterAlphabet
from stt_model.text.alphabet_file import read_alphabet
from tests.command_line import call
from tests.corpora import write_tones

ENGLISH = CharacterAlphabet(" abcdefghijklmnopqrstuvwxyz'")
TEXTS = {
    "train": ["The Cat sat.", "It\u2019s a dog!", "A bird, a fox."],
    "dev": ["Where is it?"],
    "test": ["Here it is."],
}


@pytest.fixture
def corpus(tmp_path):
    for split, texts in TEXTS.items():
        write_tones(tmp_path / "corpus" / f"{split}.csv", texts)
    return tmp_path / "corpus"


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    write_checkpoint(folder, initialise(Geometry(8, ENGLISH.classes), seed=1), ENGLISH)
    return folder


def decide(corpus, source, tmp_path, **options):
    jobs.validate(corpus, tmp_path / "clean", **options)
    outputs = (tmp_path / "alphabet.txt", tmp_path / "decision.md")
    return jobs.analyse_alphabet(tmp_path / "clean", source, *outputs)


def test_without_the_flag_it_stops_before_training_and_names_the_flag(corpus, source, tmp_path):
    decision = decide(corpus, source, tmp_path)
    assert decision.mode == "refuse"
    assert "--normalise" in decision.reason
    assert "capitals" in decision.reason and "punctuation" in decision.reason


def test_with_the_flag_it_is_fine_tuned_and_keeps_its_alphabet(corpus, source, tmp_path):
    decision = decide(corpus, source, tmp_path, normalise="en")
    assert decision.mode == "fine-tune"
    assert read_alphabet(tmp_path / "alphabet.txt") == ENGLISH


def test_the_command_stops_too(corpus, source):
    files = [corpus / f"{split}.csv" for split in TEXTS]
    outcome = call("alphabet", "--train_files", *files, "--checkpoint_dir", source)
    assert outcome.code == 1
    assert outcome.error.startswith("the checkpoint's alphabet lacks only ")
    assert "--normalise" in outcome.error


def test_the_labels_of_the_checkpoint_can_be_kept_by_the_command(corpus, source, tmp_path):
    write_tones(corpus / "train.csv", ["ein ma\u00f1ana"])
    files = [corpus / f"{split}.csv" for split in TEXTS]
    flags = ("--checkpoint_dir", source, "--output", tmp_path / "a.txt")
    outcome = call("alphabet", "--train_files", *files, *flags)
    assert outcome.code == 0
    assert "warning: No transcript has these characters" in outcome.err
    call("alphabet", "--train_files", *files, *flags, "--keep_source_labels")
    assert set(ENGLISH.labels) < set(read_alphabet(tmp_path / "a.txt").labels)
