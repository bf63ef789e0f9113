import json
import math
from pathlib import Path

import jiwer
import pytest

from stt_model.evaluation.samples import COQUI_KEYS, write_samples
from tests.stt_model.evaluated import evaluated


@pytest.mark.parametrize(
    ("reference", "hypothesis"),
    [
        ("the cat sat", "the cat sat"),
        ("the cat sat", "a cat sad on"),
        ("река тој волк", ""),
        ("ab", "xyz uvw rst"),
        ("one  two", " one two "),
    ],
)
def test_rates_are_those_of_jiwer(reference, hypothesis):
    sample = evaluated(reference, hypothesis)
    assert sample.wer == pytest.approx(jiwer.wer(reference, hypothesis))
    assert sample.wer == sample.word_distance / sample.word_length
    assert sample.cer == sample.char_distance / sample.char_length
    if reference == reference.strip() and hypothesis == hypothesis.strip():
        assert sample.cer == pytest.approx(jiwer.cer(reference, hypothesis))


def test_json_has_coquis_keys_and_no_infinity(tmp_path):
    samples = [evaluated("ab ж", "ab", loss=2.5), evaluated("a", "b", loss=math.inf, voice="x")]
    write_samples(samples, tmp_path / "samples.json")
    text = (tmp_path / "samples.json").read_text(encoding="utf-8")
    first, second = json.loads(text, parse_constant=pytest.fail)
    assert tuple(first) == tuple(second) == COQUI_KEYS
    assert (first["src"], first["loss"], second["loss"]) == ("ab ж", 2.5, None)
    assert "ж" in text


def test_a_file_name_that_is_not_utf_8_is_kept(tmp_path):
    clip = Path("/corpus/clip-\udce9.wav")
    write_samples([evaluated("a", "a", clip=clip)], tmp_path / "samples.json")
    (sample,) = json.loads((tmp_path / "samples.json").read_text(encoding="utf-8"))
    assert sample["wav_filename"] == str(clip)
