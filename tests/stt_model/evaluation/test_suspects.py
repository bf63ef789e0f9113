import csv
import random

import numpy as np
import pytest
import soundfile

from stt_model.corpus.suspect_rows import read_dropped
from stt_model.evaluation.html_report import render
from stt_model.evaluation.result import EvaluationResult
from stt_model.evaluation.suspects import THRESHOLD, find_suspects, write_suspects
from tests.corpora import RATE, tone_samples
from tests.stt_model.evaluated import evaluated

WORDS = [
    "mbuzi",
    "tembo",
    "nyota",
    "kisiwa",
    "baridi",
    "samaki",
    "mvua",
    "kitanda",
    "dirisha",
    "swali",
    "ndizi",
]


def misheard(text, rng, share=0.15):
    """Return what a model of middling quality makes of a text."""
    letters = [rng.choice("abiknu") if rng.random() < share else each for each in text]
    return "".join(letters).strip() or "a"


def clips(folder, count=100, exchanged=0, seed=1):
    """Return evaluated clips, and the places of those whose texts were exchanged."""
    rng = random.Random(seed)
    texts = [" ".join(rng.sample(WORDS, rng.randint(3, 6))) for _ in range(count)]
    wrong = rng.sample(range(count), exchanged)
    given = dict(zip(wrong, wrong[1:] + wrong[:1], strict=True))
    samples = []
    for row, text in enumerate(texts):
        heard = misheard(text, rng)
        transcript = texts[given.get(row, row)]
        loss = len(text) * (3.0 if row in given else rng.uniform(0.1, 0.7))
        seconds = len(text) * rng.uniform(0.05, 0.06) + row * 1e-3
        clip = folder / f"{row}.wav"
        samples.append(evaluated(transcript, heard, loss=loss, seconds=seconds, clip=clip))
    return samples, {samples[row].wav_filename for row in wrong}


def only(samples):
    """Return the suspects against which there is evidence."""
    return [each for each in find_suspects(samples) if each.reasons]


@pytest.mark.parametrize("seed", range(5))
def test_exchanged_transcripts_are_at_the_head_of_the_list(tmp_path, seed):
    samples, wrong = clips(tmp_path, 200, exchanged=10, seed=seed)
    found = find_suspects(samples)
    assert len(found) == 20
    assert wrong <= {each.sample.wav_filename for each in found}
    assert {each.sample.wav_filename for each in found if each.drop} == wrong
    assert all("text and audio disagree" in each.why for each in found[:10])
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)


def test_a_clean_corpus_is_ranked_but_nothing_speaks_against_it(tmp_path):
    samples, _ = clips(tmp_path)
    found = find_suspects(samples)
    assert len(found) == 10
    assert not any(each.reasons or each.drop for each in found)
    assert all(0 <= each.score < THRESHOLD for each in found)


def test_of_few_clips_nothing_is_usual(tmp_path):
    samples, _ = clips(tmp_path, 10, exchanged=2)
    assert only(samples) == []
    assert find_suspects([]) == []


def test_a_text_that_has_no_room_in_its_clip(tmp_path):
    samples, _ = clips(tmp_path)
    text = " ".join(WORDS)
    samples.append(evaluated(text, "mvua", loss=float("inf"), seconds=0.5, clip=tmp_path / "x.wav"))
    first, *_ = only(samples)
    assert "the text is too long for the audio" in first.why
    assert "fast: " in first.why and first.drop


@pytest.mark.parametrize(
    ("reference", "hypothesis", "why"),
    [
        ("mbuzi tembo nyota kisiwa", "mbuzi tembo", "the audio is missing at the end"),
        ("mbuzi tembo nyota kisiwa", "nyota kisiwa", "the audio is missing at the beginning"),
        ("mbuzi tembo", "mbuzi tembo nyota kisiwa", "the text is missing at the end"),
    ],
)
def test_a_clip_that_is_cut_off_is_recognised_by_its_end(tmp_path, reference, hypothesis, why):
    samples, _ = clips(tmp_path)
    cut = evaluated(reference, hypothesis, loss=20.0, seconds=1.3, clip=tmp_path / "x.wav")
    (found,) = only([*samples, cut])
    assert why in found.why and found.drop


def test_wrong_speed_and_another_language_are_told_but_not_dropped(tmp_path):
    samples, _ = clips(tmp_path)
    slow = evaluated("mbuzi tembo", "mbuzi tembo", seconds=9.0, clip=tmp_path / "slow.wav")
    other = "the quick brown fox"
    foreign = evaluated(other, other, seconds=1.0, clip=tmp_path / "foreign.wav")
    found = {each.sample.wav_filename: each for each in only([*samples, slow, foreign])}
    assert found[slow.wav_filename].why.startswith("slow: 1.2 characters a second")
    assert "another language" in found[foreign.wav_filename].why
    assert not any(each.drop for each in found.values())


def test_silence_is_told_from_speech_that_was_not_understood(tmp_path):
    silent, loud = tmp_path / "silent.wav", tmp_path / "loud.wav"
    soundfile.write(silent, np.zeros(RATE), RATE)
    soundfile.write(loud, tone_samples("abc"), RATE)
    found = only([evaluated("mvua", "", clip=silent), evaluated("mvua", "", clip=loud, seconds=2)])
    assert [(each.why.partition(":")[0], each.drop) for each in found] == [
        ("silence", True), ("the hypothesis is empty", False),
    ]  # fmt: skip


def test_the_same_audio_twice_is_told_with_what_its_texts_say(tmp_path):
    names = ("a", "b", "c")
    for name in names:
        letters = "abc" if name == "c" else "abcd"
        soundfile.write(tmp_path / f"{name}.wav", tone_samples(letters), RATE)
    a, b, c = (tmp_path / f"{name}.wav" for name in names)
    same = only(
        [evaluated(text, text, clip=clip) for text, clip in (("ab", a), ("ab", b), ("ab", c))]
    )
    assert [each.why for each in same] == ["duplicate: the same audio and text as a.wav"]
    other = only([evaluated("ab", "ab", clip=a), evaluated("cd", "ab", clip=b)])
    assert [each.why for each in other] == [
        "duplicate: the audio of b.wav with other text",
        "duplicate: the audio of a.wav with other text",
    ]
    assert all(each.drop for each in other)


def test_a_clip_that_is_gone_does_not_end_the_search(tmp_path, caplog):
    assert only([evaluated("mvua", "", clip=tmp_path / "gone.wav")]) == []
    assert "gone.wav" in caplog.text


def test_the_list_is_what_the_next_run_reads(tmp_path):
    samples, wrong = clips(tmp_path, 200, exchanged=10)
    write_suspects(find_suspects(samples), tmp_path / "suspects.csv")
    assert set(read_dropped(tmp_path / "suspects.csv")) == wrong
    with (tmp_path / "suspects.csv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [row["rank"] for row in rows] == [str(number) for number in range(1, 21)]
    assert rows[0]["drop"] == "yes" and rows[-1]["drop"] == "no"


def test_the_reports_have_a_section_with_players(tmp_path):
    samples, _ = clips(tmp_path, 100, exchanged=5)
    head = find_suspects(samples)[0].sample
    soundfile.write(head.wav_filename, tone_samples("abc"), RATE)
    result = EvaluationResult("model", samples, report_count=0, suspects=find_suspects(samples))
    assert "## Suspects\n\n5 clips have evidence against them" in result.to_markdown()
    page = render(result)
    assert "<h2>Suspects</h2>" in page
    assert page.count("<audio") == 1
    assert "text and audio disagree" in page
    assert result.metrics()["suspects"] == 5
    assert "Suspects" not in render(EvaluationResult("model", samples, report_count=0))
