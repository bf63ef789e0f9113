"""``stt-bootstrap import`` and Coqui's importers by their names."""

import pytest

from stt_model.corpus.manifests import read_manifest
from stt_model.importing.coqui_names import COQUI_IMPORTERS
from tests.command_line import call
from tests.stt_model.importing import samples


def test_import_says_what_it_took_and_what_it_set_aside(tmp_path):
    samples.common_voice(tmp_path / "cv")
    (tmp_path / "cv" / "clips" / "common_voice_xx_u003.mp3").unlink()
    outcome = call("import", str(tmp_path / "cv"), str(tmp_path / "out"))
    assert (outcome.code, outcome.err) == (0, "")
    assert "Common Voice: 39 clips new, 0 there already, 0 changed, 1 set aside" in outcome.out
    assert "set aside: audio_missing: 1" in outcome.out


def test_one_csv_becomes_three_and_run_says_so(tmp_path):
    rows = [f"c{n}.wav,1,satz {n},s{n % 10}" for n in range(40)]
    for number in range(40):
        samples.write_audio(tmp_path / "one" / f"c{number}.wav", 1.0)
    head = "wav_filename,wav_filesize,transcript,speaker"
    samples.write_text(tmp_path / "one" / "train.csv", "\n".join([head, *rows]))
    refused = call("validate", str(tmp_path / "one"), "--output", str(tmp_path / "v"))
    assert f"to split one file: stt-bootstrap import {tmp_path}/one/train.csv" in refused.err
    source, target = str(tmp_path / "one" / "train.csv"), str(tmp_path / "out")
    outcome = call("import", source, target, "--dev_share", "0.2", "--test_share", "0.1")
    assert outcome.code == 0, outcome.err
    sizes = [len(read_manifest(tmp_path / "out" / f"{s}.csv")) for s in ("train", "dev", "test")]
    assert sizes == [28, 8, 4]
    assert call("validate", target, "--output", str(tmp_path / "v")).code == 0


def test_transcripts_are_normalised_by_the_rules_of_a_language(tmp_path):
    for number, letter in enumerate("abcdefghijkl"):
        samples.write_audio(tmp_path / "s" / f"{number}.wav", 1.0)
        samples.write_text(tmp_path / "s" / f"{number}.txt", f"Das ist „{letter}“, ja.")
    outcome = call("import", str(tmp_path / "s"), str(tmp_path / "out"), "--normalise", "de")
    assert outcome.code == 0, outcome.err
    texts = [row.transcript for row in read_manifest(tmp_path / "out" / "train.csv")]
    assert all(text.startswith("das ist ") and text.endswith(" ja") for text in texts)
    assert "Transcripts that rules changed" in (tmp_path / "out" / "report.md").read_text()


@pytest.mark.parametrize("name", ["import_cv2", "import_librivox", "import_m-ailabs"])
def test_coquis_importers_do_the_same(name, tmp_path):
    make = {"import_cv2": samples.common_voice, "import_librivox": samples.librispeech}
    make.get(name, samples.ljspeech)(tmp_path / "source")
    outcome = call(name, str(tmp_path / "source"), str(tmp_path / "out"))
    assert outcome.code == 0, outcome.err
    assert (tmp_path / "out" / "train.csv").is_file()


@pytest.mark.parametrize("name", COQUI_IMPORTERS)
def test_coquis_importers_have_help(name):
    outcome = call(name, "--help")
    assert outcome.code == 0 and "it does not download" in " ".join(outcome.out.split())


def test_a_format_of_another_source_is_refused_in_one_line(tmp_path):
    samples.write_text(tmp_path / "list.csv", "foo,bar\n1,2\n")
    outcome = call("import", str(tmp_path / "list.csv"), str(tmp_path / "out"))
    assert outcome.code == 1
    assert outcome.err.startswith("error: ") and outcome.err.count("\n") == 1
    assert not (tmp_path / "out").exists()
