import dataclasses
import json
import math
import shlex
import weakref
from pathlib import Path

import jiwer
import pytest

from stt_model.base.errors import DataError, ScorerError
from stt_model.checkpoint.geometry import Geometry
from stt_model.checkpoint.surgery import initialise
from stt_model.checkpoint.writing import write_checkpoint
from stt_model.corpus.manifests import read_manifest, write_manifest
from stt_model.evaluation.config import EvaluationConfig
from stt_model.evaluation.evaluator import evaluate
from stt_model.features import batches
from stt_model.features import store as feature_store
from stt_model.features.extraction import extract_features
from stt_model.text.alphabet import CharacterAlphabet
from tests.command_line import call
from tests.stt_model.scorers import needs_flashlight

GOLDEN = Path(__file__).parents[2] / "golden"
LATIN = GOLDEN / "audio" / "latin.csv"
CHECKPOINT = GOLDEN / "checkpoints" / "alphabet"


def config(**changes):
    settings = {"test_files": [LATIN], "load_checkpoint_dir": CHECKPOINT}
    return EvaluationConfig(**{**settings, "show_progressbar": False, **changes})


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    """A checkpoint that lacks most letters of the transcripts."""
    directory = tmp_path_factory.mktemp("foreign")
    alphabet = CharacterAlphabet(" aeж")
    write_checkpoint(directory, initialise(Geometry(8, alphabet.classes), seed=1), alphabet)
    return directory


@pytest.fixture(scope="module")
def compared(foreign, tmp_path_factory):
    """The model with a beam search, beside a foreign source."""
    out = tmp_path_factory.mktemp("out")
    settings = {"html_report": out / "report.html", "test_output_file": out / "samples.json"}
    return evaluate(config(beam_width=8, source_checkpoint_dir=foreign, max_wer=0.01, **settings))


def manifest(folder, transcript):
    (first, *_) = read_manifest(LATIN)
    write_manifest(folder / "test.csv", [dataclasses.replace(first, transcript=transcript)])
    return folder / "test.csv"


def test_rates_are_jiwers():
    result = evaluate(config(beam_width=1))
    reference, hypothesis = zip(*((each.src, each.res) for each in result.samples), strict=True)
    assert result.wer == pytest.approx(jiwer.wer(list(reference), list(hypothesis)))
    assert result.cer == pytest.approx(jiwer.cer(list(reference), list(hypothesis)))
    assert result.source is None
    assert result.greedy is None


def test_a_source_that_cannot_write_the_transcripts_is_rated_and_says_so(compared):
    assert compared.source.cer.value > 0
    assert compared.source.wer.value > compared.wer
    assert "cannot write" in compared.source.note
    assert "LATIN SMALL LETTER B" in compared.source.note
    assert compared.source.wer_difference.value == pytest.approx(
        compared.wer - compared.source.wer.value
    )


def test_greedy_decoding_stands_beside_a_beam_search(compared):
    assert compared.greedy.wer.value == pytest.approx(evaluate(config()).wer)
    assert compared.greedy.cer_difference.value == pytest.approx(
        compared.cer - compared.greedy.cer.value
    )
    assert compared.provenance.decoding == "beam search without a language model, beam width 8"


@pytest.fixture(scope="module")
def scorer(tmp_path_factory):
    """A language model of the words of the transcripts, one as probable as the other."""
    words = {word for row in read_manifest(LATIN) for word in row.transcript.split()}
    one = ["-9\t<unk>", "-9\t<s>\t0", "-1\t</s>", *(f"-1\t{word}\t0" for word in sorted(words))]
    head = ["\\data\\", f"ngram 1={len(one)}", "ngram 2=1", ""]
    lines = [*head, "\\1-grams:", *one, "", "\\2-grams:", "-1\t<s> the", "", "\\end\\", ""]
    path = tmp_path_factory.mktemp("scorer") / "words.arpa"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@needs_flashlight
def test_a_scorer_is_for_the_model_and_not_for_a_source_of_other_letters(scorer, foreign):
    settings = {"beam_width": 16, "scorer_path": scorer, "lm_alpha": 0.5, "lm_beta": 1.0}
    result = evaluate(config(**settings, source_checkpoint_dir=foreign))
    known = {word for row in read_manifest(LATIN) for word in row.transcript.split()}
    assert {word for each in result.samples for word in each.res.split()} <= known
    assert result.greedy.wer.value == pytest.approx(evaluate(config()).wer)
    assert "decoded without it" in result.source.note
    assert result.provenance.decoding == (
        "beam search with words.arpa, beam width 16, alpha 0.5, beta 1.0"
    )


@needs_flashlight
def test_a_scorer_is_for_a_source_of_the_same_letters(scorer):
    settings = {"beam_width": 16, "scorer_path": scorer, "lm_alpha": 0.5, "lm_beta": 1.0}
    result = evaluate(config(**settings, source_checkpoint_dir=CHECKPOINT))
    assert result.source.wer == result.overall.wer
    assert result.source.note == ""


def test_a_file_that_is_no_scorer_is_refused_before_anything_is_written(tmp_path):
    (tmp_path / "x.scorer").write_text("no scorer")
    out = tmp_path / "out"
    with pytest.raises(ScorerError, match=r"x\.scorer"):
        evaluate(config(scorer_path=tmp_path / "x.scorer", html_report=out / "report.html"))
    assert not out.exists()


def test_a_model_differs_in_nothing_from_itself():
    result = evaluate(config(source_checkpoint_dir=CHECKPOINT, must_beat_source=True))
    assert result.source.note == ""
    assert (result.source.wer, result.source.cer) == (result.overall.wer, result.overall.cer)
    assert result.source.wer_difference.interval.high == 0
    assert not result.gate.passed


def test_the_gate_keeps_nothing_from_being_written(compared, tmp_path):
    assert not compared.gate.passed
    evaluate(config(max_wer=0.01, html_report=tmp_path / "report.html"))
    assert "Gate not passed" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_batches_change_nothing(tmp_path):
    texts = []
    for size in (1, 3):
        evaluate(config(test_batch_size=size, test_output_file=tmp_path / "samples.json"))
        samples = json.loads((tmp_path / "samples.json").read_text(encoding="utf-8"))
        texts.append({each["wav_filename"]: each["res"] for each in samples})
    assert texts[0] == texts[1]
    assert len(texts[0]) == 5


def test_speed_counts_the_audio(compared):
    seconds = sum(each.seconds for each in compared.samples)
    assert compared.speed.audio_seconds == pytest.approx(seconds)
    assert compared.speed.decoding_seconds > 0
    assert 0 < compared.speed.real_time_factor < math.inf


def test_the_command_that_is_given_does_it_again(compared, tmp_path):
    program, *arguments = shlex.split(compared.provenance.command)
    assert program == "stt-bootstrap"
    outcome = call(*arguments, "--test_output_file", tmp_path / "samples.json")
    assert outcome.error.startswith("the model does not pass: WER")
    samples = json.loads((tmp_path / "samples.json").read_text(encoding="utf-8"))
    assert [each["res"] for each in samples] == [each.res for each in compared.samples]


def test_bytes_models_are_sorted_by_characters():
    settings = {"load_checkpoint_dir": GOLDEN / "checkpoints" / "bytes"}
    samples = evaluate(config(**settings)).samples
    assert [each.cer for each in samples] == sorted(each.cer for each in samples)


def test_more_labels_than_frames_is_an_infinite_loss(tmp_path):
    result = evaluate(config(test_files=[manifest(tmp_path, "so much to say " * 20)]))
    assert result.impossible == 1
    assert result.samples[0].loss == math.inf
    assert result.wer > 0
    assert result.overall.wer.interval is None


def test_features_are_not_kept(monkeypatch):
    alive, most = set(), 0

    def watched(*arguments):
        nonlocal most
        features = extract_features(*arguments)
        alive.add(key := object())
        weakref.finalize(features, alive.discard, key)
        most = max(most, len(alive))
        return features

    monkeypatch.setattr(feature_store, "extract_features", watched)
    monkeypatch.setattr(batches, "_CLIPS_AHEAD", 2)
    evaluate(config(test_files=[LATIN] * 12, test_batch_size=1))
    assert 0 < most <= 10


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test_files": []}, "--test_files: expected at least one CSV file"),
        ({"test_batch_size": 0}, "--test_batch_size: expected a whole number, 1 or more"),
        ({"beam_width": -1}, "--beam_width: expected a whole number, 0"),
        ({"max_wer": math.nan}, "--max_wer: expected a number, 0"),
        ({"max_wer": -0.1}, "--max_wer: expected a number, 0"),
        ({"must_beat_source": True}, "--source_checkpoint_dir"),
        ({"source_checkpoint_dir": Path("/nowhere")}, "/nowhere: no such checkpoint"),
    ],
)
def test_impossible_settings_are_refused_before_anything_is_written(changes, message, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(Exception, match=message):
        evaluate(config(**changes, test_output_file=out / "s.json", html_report=out / "r.html"))
    assert not out.exists()


def test_no_row_is_refused(tmp_path):
    write_manifest(tmp_path / "test.csv", [])
    with pytest.raises(DataError, match="expected at least one utterance, found none"):
        evaluate(config(test_files=[tmp_path / "test.csv"], html_report=tmp_path / "report.html"))
    assert [path.name for path in tmp_path.iterdir()] == ["test.csv"]
