from __future__ import annotations

import hashlib
import multiprocessing
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stt_bootstrap.demo import corpora, synthesis
from stt_bootstrap.demo.synthesis import (
    CorpusSpec,
    SynthesisError,
    plan_corpus,
    synthesise,
    write_corpus,
)

SPEC = CorpusSpec(
    words=("dog", "cat", "bird", "horse"),
    languages=("en-us",),
    variants=("m1", "f1"),
    held_out_variants=("f4",),
    train=6,
    dev=2,
    test=4,
    seed=7,
)
DEMO_SPECS = {
    "source": corpora.SOURCE,
    "swahili": corpora.SWAHILI_DEMO,
    "macedonian": corpora.MACEDONIAN_DEMO,
}


def voices(spec: CorpusSpec) -> Iterator[str]:
    for language in spec.languages:
        for variant in (*spec.variants, *spec.held_out_variants):
            yield f"{language}+{variant}"


def test_same_arguments_give_same_samples_whatever_was_spoken_before() -> None:
    first, rate = synthesise("she sees fish", "en-us+m3")
    synthesise("тивко село", "mk+f4", words_per_minute=190, pitch=20)
    again, _ = synthesise("she sees fish", "en-us+m3")

    assert rate == 22_050
    assert first.dtype == np.float32
    assert first.ndim == 1
    np.testing.assert_array_equal(first, again)


def test_speed_shortens_speech() -> None:
    slow, _ = synthesise("a long and winding road", "en-us", words_per_minute=100)
    fast, _ = synthesise("a long and winding road", "en-us", words_per_minute=200)

    assert len(fast) < 0.7 * len(slow)


def test_pitch_raises_the_voice() -> None:
    low, rate = synthesise("aaaa", "en-us", pitch=10)
    high, _ = synthesise("aaaa", "en-us", pitch=90)

    assert dominant_pitch(high, rate) > 1.2 * dominant_pitch(low, rate)


def dominant_pitch(samples: np.ndarray, rate: int) -> float:
    middle = samples[len(samples) // 4 :][:4096]
    correlation = np.correlate(middle, middle, "full")[len(middle) - 1 :]
    shortest, longest = rate // 400, rate // 60
    return rate / (shortest + int(np.argmax(correlation[shortest:longest])))


@pytest.mark.parametrize("voice", ["xx-nowhere", "en-us+nobody", "xx-nowhere+m1"])
def test_unknown_voice_is_refused(voice: str) -> None:
    with pytest.raises(SynthesisError, match=voice.replace("+", r"\+")):
        synthesise("hello", voice)


def test_text_without_speech_is_refused() -> None:
    with pytest.raises(SynthesisError, match="said nothing"):
        synthesise("", "en-us")


def test_data_in_a_folder_too_deep_for_the_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("x" * 100) / ("y" * 100)
    deep.mkdir(parents=True)
    link = deep / "data"
    link.symlink_to(synthesis.espeakng_loader.get_data_path())
    expected, _ = synthesise("hello", "en-us")
    monkeypatch.setattr(synthesis.espeakng_loader, "get_data_path", lambda: str(link))
    synthesis._data_path.cache_clear()
    try:
        actual, _ = synthesise("hello", "en-us")
    finally:
        synthesis._data_path.cache_clear()

    np.testing.assert_array_equal(actual, expected)


def test_corpus_has_coquis_manifests_and_16_khz_mono_clips(tmp_path: Path) -> None:
    write_corpus(SPEC, tmp_path / "corpus")

    for split, count in (("train", 6), ("dev", 2), ("test", 4)):
        rows = (tmp_path / "corpus" / f"{split}.csv").read_text(encoding="utf-8").splitlines()
        assert rows[0] == "wav_filename,wav_filesize,transcript"
        assert len(rows) == 1 + count
        for row in rows[1:]:
            name, size, transcript = row.split(",")
            clip = tmp_path / "corpus" / name
            info = soundfile.info(clip)
            assert (info.samplerate, info.channels, info.subtype) == (16_000, 1, "PCM_16")
            assert clip.stat().st_size == int(size)
            assert 0.1 < info.duration / len(transcript.split()) < 1.5
    assert len(list((tmp_path / "corpus" / "clips").iterdir())) == 12


def test_corpus_is_the_same_every_time(tmp_path: Path) -> None:
    write_corpus(SPEC, tmp_path / "one")
    write_corpus(SPEC, tmp_path / "two")

    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))
    assert len(files) == 15
    for path in files:
        assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes()


def test_corpus_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(SynthesisError):
        write_corpus(replace(SPEC, languages=("xx-nowhere",)), tmp_path / "corpus")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", DEMO_SPECS)
def test_no_sentence_is_in_two_splits_and_held_out_voices_only_in_test(name: str) -> None:
    spec = DEMO_SPECS[name]
    plan = plan_corpus(spec)
    sentences = [clip.text for clips in plan.values() for clip in clips]

    assert len(set(sentences)) == len(sentences) == spec.train + spec.dev + spec.test
    variants = {
        split: {clip.voice.split("+")[1] for clip in clips} for split, clips in plan.items()
    }
    assert variants["train"] == set(spec.variants)
    assert variants["dev"] <= set(spec.variants)
    assert variants["test"] & set(spec.variants)
    assert variants["test"] & set(spec.held_out_variants)


@pytest.mark.parametrize("name", DEMO_SPECS)
def test_every_voice_of_the_demo_speaks_differently(name: str) -> None:
    spec = DEMO_SPECS[name]
    sentence = " ".join(spec.words[::50])

    spoken = {synthesise(sentence, voice)[0].tobytes() for voice in voices(spec)}

    assert len(spoken) == len(list(voices(spec)))


def test_every_voice_of_the_demo_sounds_the_same_in_every_process() -> None:
    spoken = []
    for _ in range(2):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            spoken.append(pool.apply(digest_of_all_voices))

    assert spoken[0] == spoken[1]


def digest_of_all_voices() -> dict[str, str]:
    return {
        voice: hashlib.sha256(synthesise(spec.words[7], voice)[0].tobytes()).hexdigest()
        for spec in DEMO_SPECS.values()
        for voice in voices(spec)
    }


def test_word_lists_suit_what_the_demo_shows() -> None:
    english = set("".join(corpora.ENGLISH))

    assert english == set("abcdefghijklmnopqrstuvwxyz'")
    assert set("".join(corpora.SWAHILI)) <= english
    assert set("".join(corpora.MACEDONIAN)) == set("абвгдѓежзѕијклљмнњопрстќуфхцчџш")
    for words in (corpora.ENGLISH, corpora.SWAHILI, corpora.MACEDONIAN):
        assert len(set(words)) == len(words)
