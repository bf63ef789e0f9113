import gzip
import json
import shutil
import sys

import pytest

from stt_model.base.errors import ScorerError
from stt_model.decoding.beam_search import check_scorer
from stt_model.decoding.building_config import BuildConfig
from stt_model.decoding.scorer import read_scorer
from stt_model.decoding.scorer_building import build_scorer
from stt_model.text.alphabet import BytesAlphabet
from tests.command_line import call
from tests.stt_model.scorers import ENGLISH, LETTERS_MODEL, WORDS, WORDS_MODEL, needs_flashlight

PROGRAMS = ("lmplz", "filter", "build_binary")
# Notes down how it was called, and copies a language model that is there already.
STAND_IN = """#!{python}
import json, pathlib, shutil, sys
name, arguments = pathlib.Path(sys.argv[0]).name, sys.argv[1:]
call = {{"arguments": arguments}}
if name == "lmplz":
    text = pathlib.Path(arguments[arguments.index("--text") + 1])
    call["text"] = text.read_text(encoding="utf-8")
    pathlib.Path(arguments[arguments.index("--arpa") + 1]).touch()
elif name == "filter":
    call["words"] = sys.stdin.read().split()
    pathlib.Path(arguments[-1]).touch()
else:
    shutil.copyfile({model!r}, arguments[-1])
pathlib.Path({folder!r}, name + ".json").write_text(json.dumps(call))
"""


def write_programs(folder, model):
    folder.mkdir()
    for name in PROGRAMS:
        program = folder / name
        program.write_text(
            STAND_IN.format(python=sys.executable, model=str(model), folder=str(folder))
        )
        program.chmod(0o755)
    return folder


def calls(folder):
    return [json.loads((folder / f"{name}.json").read_text()) for name in PROGRAMS]


@pytest.fixture
def kenlm(tmp_path):
    return write_programs(tmp_path / "kenlm", WORDS_MODEL)


def config(tmp_path, kenlm, text, **changes):
    source = tmp_path / "text"
    source.write_bytes(text if isinstance(text, bytes) else text.encode())
    settings = {"alphabet": ENGLISH, "package": tmp_path / "made" / "words.scorer", **changes}
    return BuildConfig(input_txt=source, kenlm_bins=kenlm, **settings)


@needs_flashlight
def test_text_becomes_a_package_of_its_most_frequent_words(tmp_path, kenlm):
    settings = config(
        tmp_path,
        kenlm,
        "Act able act\nÖl öl öl öl, act  able\nage\n",
        top_k=2,
        default_alpha=0.25,
        default_beta=-1.5,
    )
    assert build_scorer(settings) == 2
    scorer = read_scorer(settings.package, ENGLISH)
    check_scorer(scorer)
    assert sorted(scorer.units) == ["able", "act"]
    assert (scorer.lm_alpha, scorer.lm_beta) == (0.25, -1.5)
    counted, filtered, _ = calls(kenlm)
    # The alphabet has no capitals, and words that it cannot write still are context.
    assert counted["text"] == "act able act\nöl öl öl öl, act able\nage\n"
    assert filtered["words"] == ["act", "able"]
    assert list(settings.package.parent.iterdir()) == [settings.package]


def test_flags_reach_the_programs_under_their_names_there(tmp_path, kenlm):
    flags = {"arpa_order": 4, "arpa_prune": "0|1", "max_arpa_memory": "3G"}
    build_scorer(config(tmp_path, kenlm, "act", **flags, discount_fallback=True))
    counted, _, binary = (call["arguments"] for call in calls(kenlm))
    joined = " ".join(counted)
    for words in ("--order 4", "--prune 0 1", "--memory 3G", "--discount_fallback"):
        assert words in joined
    assert binary[:6] == ["-a", "255", "-q", "8", "-v", "trie"]
    build_scorer(config(tmp_path, kenlm, "act", binary_type="probing"))
    counted, _, binary = (call["arguments"] for call in calls(kenlm))
    assert binary[:2] == ["-v", "probing"]
    assert "--discount_fallback" not in counted


def test_compressed_text_is_read(tmp_path, kenlm):
    assert build_scorer(config(tmp_path, kenlm, gzip.compress(b"act able"))) == 2


def test_for_bytes_the_units_are_characters(tmp_path):
    kenlm = write_programs(tmp_path / "kenlm", LETTERS_MODEL)
    settings = config(tmp_path, kenlm, "шч ж\n", alphabet=BytesAlphabet())
    assert build_scorer(settings) == 3
    scorer = read_scorer(settings.package, settings.alphabet)
    assert (sorted(scorer.units), scorer.is_bytes) == (["ж", "ч", "ш"], True)
    assert calls(kenlm)[0]["text"] == "ш ч ж\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "expected words to learn from, found none"),
        ("öl\n", "expected words to learn from, found none"),
        ("öl".encode("latin-1"), "expected text in UTF-8"),
        (gzip.compress(b"act")[:-6], "expected text in UTF-8"),
    ],
)
def test_text_that_is_of_no_use_is_refused(tmp_path, kenlm, text, problem):
    settings = config(tmp_path, kenlm, text)
    with pytest.raises(ScorerError, match=problem):
        build_scorer(settings)
    assert list(settings.package.parent.iterdir()) == []


def test_a_missing_program_is_named(tmp_path, kenlm, monkeypatch):
    (kenlm / "filter").unlink()
    with pytest.raises(ScorerError, match=rf"program filter in {kenlm}.*--kenlm_bins"):
        build_scorer(config(tmp_path, kenlm, "act"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ScorerError, match="program lmplz on the PATH"):
        build_scorer(config(tmp_path, None, "act"))


def test_the_last_line_of_a_program_is_the_message(tmp_path, kenlm):
    (kenlm / "lmplz").write_text(
        "#!/bin/sh\necho '=== 1/5 ===' >&2\necho 'rerun with --discount_fallback' >&2\n"
        "echo '----5---10' >&2\necho '****' >&2\nexit 3\n"
    )
    with pytest.raises(ScorerError, match="lmplz failed: rerun with --discount_fallback"):
        build_scorer(config(tmp_path, kenlm, "act"))


def test_the_command_builds_from_text_or_from_a_language_model(tmp_path, kenlm):
    text, words = tmp_path / "text", tmp_path / "words"
    text.write_text("act able")
    words.write_text("\n".join(WORDS))
    alphabet = tmp_path / "alphabet.txt"
    alphabet.write_text("".join(f"{label}\n" for label in ENGLISH.labels))
    package = tmp_path / "words.scorer"
    to = ("build_scorer", "--alphabet_config_path", alphabet, "--package", package)
    assert call(*to, "--input_txt", text, "--kenlm_bins", kenlm).out.startswith("2 words")
    made = call(*to, "--lm", WORDS_MODEL, "--vocab", words, "--default_alpha", 2)
    assert made.out.startswith(f"{len(set(WORDS))} words")
    assert read_scorer(package, ENGLISH).lm_alpha == 2
    assert "--input_txt, or --lm and --vocab" in call(*to, "--lm", WORDS_MODEL).error
    nobodys = call("build_scorer", "--package", package, "--input_txt", text)
    assert "expected --checkpoint" in nobodys.error


@needs_flashlight
@pytest.mark.skipif(not all(map(shutil.which, PROGRAMS)), reason="KenLM is not on the PATH")
def test_kenlm_itself_builds_a_scorer(tmp_path):
    settings = config(
        tmp_path, None, "act able\nable act age\nage able\n", arpa_order=2, arpa_prune="0"
    )
    with pytest.raises(ScorerError, match="lmplz failed"):
        build_scorer(settings)
    fallback = config(
        tmp_path,
        None,
        "act able\nable act age\nage able\n",
        arpa_order=2,
        arpa_prune="0",
        discount_fallback=True,
        max_arpa_memory="100M",
    )
    assert build_scorer(fallback) == 3
    check_scorer(read_scorer(fallback.package, ENGLISH))
