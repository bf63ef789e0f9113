"""A second training with what the first model hears in recordings without texts."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from stt_model.base import BootstrapError, TrainingError
from stt_model.checkpoint import open_checkpoint, replace_checkpoint
from stt_model.corpus import read_manifest
from stt_model.jobs import pseudo_labels, second_training, training
from stt_model.jobs.pseudo_labels import Threshold
from stt_model.jobs.second_training import FOLDER, LIST, MODEL, train_with_unlabelled
from stt_model.jobs.trials import Counts
from tests.corpora import write_tone_dataset
from tests.stt_model.scorers import needs_flashlight, write_arpa, write_words_package
from tests.stt_model.training_runs import content, write_source

SETTINGS: dict[str, Any] = {
    "epochs": 1,
    "train_batch_size": 8,
    "learning_rate": 0.01,
    "dropout_rate": 0.0,
    "augment": "none",
    "mixed_precision": "off",
    "show_progressbar": False,
}
RATE = 16_000


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tone_dataset(tmp_path_factory.mktemp("tones"), train=8, other=30)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_source(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Path:
    """Twelve short recordings, one of the test split, and one that is damaged."""
    folder = tmp_path_factory.mktemp("unlabelled")
    other = write_tone_dataset(tmp_path_factory.mktemp("other"), letters="dcba", train=12, other=1)
    for number, row in enumerate(read_manifest(other / "train.csv")):
        shutil.copy(row.path, folder / f"talk {number}.wav")
    shutil.copy(read_manifest(corpus / "test.csv")[0].path, folder / "of the test split.wav")
    (folder / "damaged.wav").write_bytes(b"RIFF....WAVE")
    return folder


@pytest.fixture
def sure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the model, which knows next to nothing, sure of everything."""
    monkeypatch.setattr(second_training, "measure_threshold", lambda *_: Threshold(1e9, 30, 0.01))
    real = pseudo_labels.Listener.hear

    def hear(self: Any, clips: Any) -> Any:
        return [each._replace(text="ab cd") for each in real(self, clips)]

    monkeypatch.setattr(pseudo_labels.Listener, "hear", hear)


def errors(*wrong: int) -> Counts:
    every = [*wrong, *[2] * (40 - len(wrong))]
    return Counts(every, [5] * 40, every, [20] * 40)


FEWER = errors(*[1] * 30)
MORE = errors(*[3] * 30)


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> list[Path]:
    """Give the second model the errors that the test is about; note whom is asked for."""
    asked: list[Path] = []

    def count(model: Path, _: object) -> Counts:
        asked.append(Path(model))
        return request.param if Path(model).name == MODEL else errors()

    monkeypatch.setattr(second_training, "test_model", count)
    return asked


def run(corpus: Path, source: Path, unlabelled: Path, target: Path, **further: Any) -> Any:
    splits = [[corpus / f"{name}.csv"] for name in ("train", "dev", "test")]
    settings = {**SETTINGS, "load_checkpoint_dir": source, **further}
    return train_with_unlabelled(
        *splits, save_checkpoint_dir=target, unlabelled_uri=str(unlabelled), **settings
    )


def plain(corpus: Path, source: Path, target: Path) -> None:
    splits = [[corpus / f"{name}.csv"] for name in ("train", "dev")]
    training.train(
        *splits,
        test_files=[corpus / "test.csv"],
        save_checkpoint_dir=target,
        load_checkpoint_dir=source,
        **SETTINGS,
    )


@pytest.mark.usefixtures("sure")
@pytest.mark.parametrize("judged", [FEWER], indirect=True)
def test_a_better_second_model_takes_the_place_of_the_first(
    corpus: Path, source: Path, unlabelled: Path, tmp_path: Path, judged: list[Path]
) -> None:
    target, report = tmp_path / "trained", tmp_path / "report.md"
    result, outcome = run(corpus, source, unlabelled, target, report=report)
    assert outcome.second_is_kept
    assert (outcome.clips, outcome.clips_found) == (12, 12)
    # The eight of the corpus, and twelve that neither the dataset has nor are damaged.
    assert result.train_utterances == 20
    assert result.checkpoint_dir == target
    assert not (target / FOLDER / MODEL).exists()
    lineage = json.loads((target / "lineage.json").read_text())
    assert lineage["pseudo_labels"]["clips"] == 12
    assert len(lineage["pseudo_labels"]["unlabelled_digest"]) == 64
    assert "| second model | 25.0%" in report.read_text()
    plain(corpus, source, tmp_path / "plain")
    assert content(target, "best") != content(tmp_path / "plain", "best")
    # The same once more is read, and not trained.
    judged.clear()
    before = content(target, "last")
    again, _ = run(corpus, source, unlabelled, target, report=report)
    assert again.train_utterances == 20
    assert judged == []
    assert content(target, "last") == before


@pytest.mark.usefixtures("sure")
@pytest.mark.parametrize("judged", [MORE, errors()], indirect=True)
def test_the_first_model_stays_as_it_would_be_without(
    corpus: Path, source: Path, unlabelled: Path, tmp_path: Path, judged: list[Path]
) -> None:
    target = tmp_path / "trained"
    result, outcome = run(corpus, source, unlabelled, target)
    assert not outcome.second_is_kept
    assert outcome.summary.startswith("First model kept, since the second is not significantly")
    assert result.train_utterances == 8
    assert len(judged) == 2
    plain(corpus, source, tmp_path / "plain")
    for which in ("best", "last"):
        assert content(target, which) == content(tmp_path / "plain", which)
    with (target / FOLDER / LIST).open() as file:
        assert "talk 3.wav" in file.read()


@pytest.mark.usefixtures("sure")
@pytest.mark.parametrize("judged", [FEWER], indirect=True)
@pytest.mark.parametrize("broken", ["test_model", "replace_checkpoint"])
def test_a_run_that_was_broken_off_goes_on(
    corpus: Path,
    source: Path,
    unlabelled: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    judged: list[Path],
    broken: str,
) -> None:
    whole, target = tmp_path / "whole", tmp_path / "trained"
    run(corpus, source, unlabelled, whole)
    with monkeypatch.context() as patched:

        def break_off(made: Path, into: object) -> None:
            if broken == "replace_checkpoint":
                # In the middle: the old files are gone.
                for path in target.glob("train-*"):
                    path.unlink()
                (target / "checkpoint").unlink()
            raise BootstrapError("the machine went down")

        patched.setattr(second_training, broken, break_off)
        with pytest.raises(BootstrapError, match="went down"):
            run(corpus, source, unlabelled, target)
    result, outcome = run(corpus, source, unlabelled, target)
    assert outcome.second_is_kept
    assert result.train_utterances == 20
    for which in ("best", "last"):
        assert content(target, which) == content(whole, which)


@pytest.mark.usefixtures("sure")
@pytest.mark.parametrize("judged", [FEWER], indirect=True)
def test_another_pod_takes_both_trainings_from_the_store(
    corpus: Path, source: Path, unlabelled: Path, tmp_path: Path, judged: list[Path]
) -> None:
    state = tmp_path / "state"
    run(corpus, source, unlabelled, tmp_path / "one", run_state_uri=str(state))
    assert (tmp_path / f"state-{FOLDER}" / "checkpoint").is_file()
    written = {path: path.stat().st_mtime_ns for path in state.glob("*.index")}
    run(corpus, source, unlabelled, tmp_path / "two", run_state_uri=str(state))
    assert {path: path.stat().st_mtime_ns for path in state.glob("*.index")} == written
    assert content(tmp_path / "one", "best") == content(tmp_path / "two", "best")


def test_a_model_that_is_never_right_adds_nothing(
    corpus: Path, source: Path, unlabelled: Path, tmp_path: Path
) -> None:
    result, outcome = run(corpus, source, unlabelled, tmp_path / "trained")
    assert not outcome.second_is_kept
    assert "not right about enough dev clips" in outcome.summary
    assert result.train_utterances == 8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dev": 29}, r"expected 30 clips or more in the dev split.*found 29"),
        ({"in_place": True}, "give --save_checkpoint_dir another folder"),
        ({"unlabelled": "nowhere"}, "nowhere: no such file or folder"),
        ({"unlabelled": "empty"}, "expected audio"),
        ({"several": True}, "expected training on one node"),
        ({"scorer": "spoilt.scorer"}, "spoilt.scorer: expected a .scorer"),
        ({"scorer": "gone.scorer"}, "gone.scorer: no such scorer; give the path"),
        ({"scorer": "other.scorer"}, "other.scorer: .* labels"),
    ],
)
def test_impossible_second_trainings_are_refused_before_the_first(
    corpus: Path,
    source: Path,
    unlabelled: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, Any],
    message: str,
) -> None:
    def begin(*_: object) -> None:
        pytest.fail("a training was begun")

    monkeypatch.setattr(training.PreparedTraining, "run", begin)
    (tmp_path / "empty").mkdir()
    target = tmp_path / "trained"
    if change.get("several"):
        monkeypatch.setenv("TF_CONFIG", "{}")
    if count := change.get("dev"):
        corpus = write_tone_dataset(tmp_path / "small", train=8, other=count)
    if change.get("in_place"):
        target = source
    if name := change.get("unlabelled"):
        unlabelled = tmp_path / name
    (tmp_path / "spoilt.scorer").write_bytes(b"no language model")
    write_words_package(tmp_path / "other.scorer")
    scorer_uri = tmp_path / change["scorer"] if "scorer" in change else ""
    with pytest.raises(BootstrapError, match=message):
        run(corpus, source, unlabelled, target, scorer_uri=scorer_uri)


def test_the_scorer_and_its_words_make_the_labels(
    corpus: Path, source: Path, unlabelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    def listen(_: Path, scorer: Path | None, **decoding: Any) -> None:
        asked.append({"scorer": scorer, **decoding})
        raise BootstrapError("that is all")

    monkeypatch.setattr(second_training, "Listener", listen)
    monkeypatch.setattr(training, "check_scorer_fits", lambda *_: None)
    scorer, words = tmp_path / "lm.binary", tmp_path / "words.txt"
    scorer.touch()
    with pytest.raises(BootstrapError, match="that is all"):
        run(corpus, source, unlabelled, tmp_path / "a", scorer_uri=scorer, vocab_file=words)
    with pytest.raises(BootstrapError, match="that is all"):
        run(corpus, source, unlabelled, tmp_path / "b")
    assert asked == [
        {"scorer": scorer, "beam_width": 0, "vocab_file": words},
        {"scorer": None, "beam_width": 1, "vocab_file": None},
    ]


@needs_flashlight
@pytest.mark.usefixtures("sure")
@pytest.mark.parametrize("judged", [errors()], indirect=True)
def test_another_scorer_labels_anew_and_the_same_under_another_name_does_not(
    corpus: Path, source: Path, unlabelled: Path, tmp_path: Path, judged: list[Path]
) -> None:
    target, scorer = tmp_path / "trained", tmp_path / "words.arpa"
    words = {"<unk>": (-9, 0), "<s>": (-9, 0), "</s>": (-1, 0), "ab": (-1, 0), "cd": (-1, 0)}
    write_arpa(scorer, words, {("<s>", "ab"): -1})
    run(corpus, source, unlabelled, target, scorer_uri=scorer)
    assert len(judged) == 2
    moved = scorer.rename(tmp_path / "moved.arpa")
    run(corpus, source, unlabelled, target, scorer_uri=moved)
    assert len(judged) == 2
    write_arpa(moved, words, {("<s>", "cd"): -1})
    run(corpus, source, unlabelled, target, scorer_uri=moved)
    assert len(judged) == 4


def test_a_checkpoint_is_replaced_whole_and_other_files_stay(
    corpus: Path, source: Path, tmp_path: Path
) -> None:
    made, target = tmp_path / "made", tmp_path / "target"
    plain(corpus, source, made)
    shutil.copytree(source, target)
    (target / "train-files.csv").write_text("mine")
    wanted = {which: content(made, which) for which in ("best", "last")}
    replace_checkpoint(made, target)
    assert {which: content(target, which) for which in ("best", "last")} == wanted
    assert (target / "train-files.csv").read_text() == "mine"
    assert not made.exists()
    replace_checkpoint(made, target)
    assert open_checkpoint(target).step


def test_the_second_state_is_never_below_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    second = second_training._second_state
    monkeypatch.delenv("STT_BOOTSTRAP_RUN_ID", raising=False)
    assert second("") == ""
    assert second("s3://bucket/runs/1/") == "s3://bucket/runs/1-pseudo-labels"
    with pytest.raises(TrainingError, match="found a whole bucket"):
        second("s3://bucket")
    monkeypatch.setenv("STT_BOOTSTRAP_RUN_ID", "7f")
    assert second("s3://bucket") == "s3://bucket/pseudo-labels"


def test_long_recordings_are_cut_again_into_the_same_clips(tmp_path: Path) -> None:
    speech = np.concatenate(
        [
            part
            for number in range(6)
            for part in (
                0.3 * np.sin(np.arange(4 * RATE) * (0.1 + 0.01 * number)) * np.hanning(4 * RATE),
                np.zeros(2 * RATE),
            )
        ]
    ).astype(np.float32)
    soundfile.write(tmp_path / "long.wav", speech, RATE)
    pieces = list(pseudo_labels._pieces([tmp_path / "long.wav"]))
    assert pieces
    labels = [
        pseudo_labels.PseudoLabel(*pseudo_labels._place(each, tmp_path), 0.1, f"clip {number}")
        for number, each in enumerate(pieces)
    ]
    pseudo_labels.write_list(labels, tmp_path / "list.csv")
    assert pseudo_labels.read_list(tmp_path / "list.csv") == labels
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        manifest = pseudo_labels.write_clips(labels, [tmp_path / "long.wav"], tmp_path, folder)
        rows = read_manifest(manifest)
        assert [row.transcript for row in rows] == [each.transcript for each in labels]
    assert [path.read_bytes() for path in sorted((tmp_path / "a").glob("*.wav"))] == [
        path.read_bytes() for path in sorted((tmp_path / "b").glob("*.wav"))
    ]


def test_the_threshold_is_the_highest_that_is_right_enough() -> None:
    find = pseudo_labels.find_threshold
    # Ten clips of 10 characters, the surest first: one error in the seventh, two more behind.
    errors = [0] * 6 + [1, 4, 4, 4]
    found = find([0.1 * number for number in range(10)], errors, [10] * 10)
    assert found is not None
    # 13 % wrong in all, so up to 6.5 %: the eighth clip brings it to 5 of 80.
    assert (found.dev_clips, round(found.dev_cer, 4)) == (8, 0.0625)
    assert found.uncertainty == pytest.approx(0.7)
    shuffled = find([0.9, *(0.1 * number for number in range(9))], [4, *errors[:9]], [10] * 10)
    assert shuffled == found
    assert find([1.0] * 4, [0] * 4, [10] * 4) is None, "four clips tell nothing"
    assert find(list(range(10)), [9] * 10, [10] * 10) is None
    assert replace(found, dev_clips=1) != found
