import base64
import io
import math
import re
import shutil
import subprocess
from dataclasses import asdict, replace
from html.parser import HTMLParser

import pytest
import soundfile

from stt_model.evaluation import html_report
from stt_model.evaluation.measured import Gate, Provenance, Speed
from stt_model.evaluation.result import EvaluationResult
from stt_model.training.state import Epoch
from tests.corpora import RATE, tone_samples
from tests.stt_model.evaluated import evaluated
from tests.stt_model.evaluation.test_result import baseline

ATTACK = "<script>document.title='taken'</script>\"'><img src=x onerror=alert(1)>&amp;"
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """The tags, attributes and texts of a page; fails where tags do not match."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.texts, self._open = [], [], [], []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attributes]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

    def values(self, tag, name):
        return [value for *found, value in self.attributes if found == [tag, name]]


def provenance(**lineage):
    described = {"name": "best_dev-7", "digest": "ab12", "lineage": lineage or None}
    return Provenance(
        checkpoint=described,
        source=None,
        manifests={f"/corpus/{ATTACK}.csv": "cd34"},
        decoding="greedy",
        command="stt-bootstrap evaluate --test_files test.csv",
        run={"time": "2026-01-01T00:00:00+00:00", "versions": {"python": "3.11"}},
    )


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "clip.wav"
    soundfile.write(path, tone_samples("abcabcab"), RATE)
    return path


@pytest.fixture
def samples(clip):
    """Best first, with what is not to be trusted in every text."""
    attack = {"clip": clip, "voice": ATTACK, "seconds": 0.96}
    right = [evaluated("the cat", "the cat", clip=clip, voice="f1") for _ in range(3)]
    wrong = [evaluated(f"a {ATTACK} cat", f"a {ATTACK}x dog on", **attack) for _ in range(3)]
    return [*right, *wrong]


@pytest.fixture
def result(samples):
    epochs = [Epoch(0, None, 10.0, 1e-3, 1.0, 9.0, True)]
    epochs += [Epoch(n, 9 / n, 10 / n, 1e-3, 1.0, 9.0, True) for n in (1, 2, 3)]
    made_from = {"name": ATTACK, "digest": "ef56", "lineage": {"warm_started": [" ", "a"]}}
    return EvaluationResult(
        ATTACK,
        samples,
        note=ATTACK,
        source=baseline(name=ATTACK),
        speed=Speed(9.0, 0.9, 0.1, "on a CPU"),
        gate=Gate(("WER at most 1.00%",), (f"{ATTACK} is above",)),
        provenance=provenance(
            history=list(map(asdict, epochs)), settings={"epochs": 3}, source=made_from
        ),
    )


def test_foreign_texts_cannot_become_markup(result):
    page = Page(html_report.render(result))
    assert not {"script", "iframe", "object", "embed", "link", "form", "base"} & set(page.tags)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    # Title, heading, note, gate, baseline, group, worst words, manifest, source.
    assert "".join(page.texts).count("document.title='taken'") >= 9


def test_the_page_needs_nothing_else(result):
    page = Page(html_report.render(result))
    sources = [value for _, name, value in page.attributes if name in ("src", "href", "srcset")]
    assert sources
    assert all(value.startswith("data:") for value in sources)
    assert "url(" not in html_report.render(result)
    (policy,) = [value for value in page.values("meta", "content") if "default-src" in value]
    assert "default-src 'none'" in policy


def test_the_headline_and_where_it_comes_from(result):
    text = Page(html_report.render(result)).text
    for expected in (
        "Word error rate",
        "Gate not passed",
        "95 % confidence intervals",
        "By voice",
        "sha256 of weights ab12",
        "made from",
        "sha256 of weights ef56",
        "warm started ␣, a",
        "epochs 3",
        "stt-bootstrap evaluate --test_files test.csv",
        "python 3.11",
    ):
        assert expected in text


def test_the_title_says_what_was_tested_and_what_it_came_to(result):
    lineage = {"step": "training", "source": None, "history": []}
    named = replace(result, dataset="my-corpus", provenance=provenance(**lineage))
    text = html_report.render(named)
    (title,) = re.findall("<title>(.*?)</title>", text)
    assert title.startswith("my-corpus, fine-tune: ")
    assert named.verdict.level in title
    page = Page(text).text
    assert named.verdict.reason in page and all(step in page for step in named.verdict.steps)


def test_spaces_have_a_row_of_their_own(clip):
    sample = evaluated("a b a", "ab a", clip=clip)
    text = Page(html_report.render(EvaluationResult("x", [sample]))).text
    assert "of these, spaces 2 0 1 0" in text
    right = evaluated("a b", "a b", clip=clip)
    assert "of these, spaces" not in html_report.render(EvaluationResult("x", [right]))


def test_a_model_that_is_not_released_unasked_is_marked(result):
    gate = Gate((), ("WER 95.00% is above 90%",))
    assert "Not released : WER 95.00%" in Page(html_report.render(replace(result, gate=gate))).text


def test_the_worst_are_shown_word_by_word_and_can_be_heard(result):
    text = html_report.render(result)
    page = Page(text)
    clips = page.values("audio", "src")
    assert len(clips) == 3
    for kind in ("substituted", "inserted", "hit"):
        assert f"word {kind}" in page.values("div", "class")
    kind, data = clips[0].split(",", 1)
    assert kind == "data:audio/mpeg;base64"
    sound, rate = soundfile.read(io.BytesIO(base64.b64decode(data)))
    assert rate == RATE
    assert len(sound) / rate == pytest.approx(0.96, abs=0.15)


def test_letters_that_differ_are_marked(clip):
    sample = evaluated("hello big world", "hallo world", clip=clip)
    page = html_report.render(EvaluationResult("x", [sample]))
    assert (
        '<div class="word substituted"><span>h<b>e</b>llo</span><span>h<b>a</b>llo</span>' in page
    )
    assert '<div class="word deleted"><span><b>b</b><b>i</b><b>g</b></span><span></span>' in page


def test_sound_is_bounded(result, samples, monkeypatch):
    assert html_report.render(result).count("<audio") == 3
    monkeypatch.setattr(html_report, "AUDIO_BYTES", 0)
    assert html_report.render(result).count("<audio") == 0
    monkeypatch.undo()
    monkeypatch.setattr(html_report, "LONGEST_CLIP", 0.5)
    assert html_report.render(result).count("<audio") == 0


@pytest.mark.parametrize(("report_count", "shown"), [(0, 0), (1, 4), (5, 5)])
def test_as_many_of_the_worst_as_asked_for(clip, report_count, shown):
    samples = [evaluated("a b", "a b"), *(evaluated("a b", "a", clip=clip) for _ in range(5))]
    page = html_report.render(EvaluationResult("x", samples, report_count))
    assert page.count('<article class="utterance">') == shown


def test_nothing_wrong_is_nothing_to_show(clip):
    page = html_report.render(EvaluationResult("x", [evaluated("a b", "a b", clip=clip)]))
    assert "worst utterances" not in page
    assert "most often mistaken" not in page


def test_curves_are_drawn_where_the_losses_are_known(result, samples):
    (picture,) = Page(html_report.render(result)).values("img", "src")
    assert b"<svg" in base64.b64decode(picture.split(",", 1)[1])
    without = EvaluationResult("x", samples, provenance=provenance(mode="transfer"))
    assert "<img" not in html_report.render(without)


def test_a_training_without_dev_set_has_a_curve():
    epochs = [asdict(Epoch(n, 1.0, None, 1e-3, 1.0, 9.0, False)) for n in (1, 2)]
    result = EvaluationResult("x", [evaluated("a", "a")], provenance=provenance(history=epochs))
    assert "<img" in html_report.render(result)


def test_a_history_of_another_version_has_no_curve():
    found = provenance(history=[{"epoch": 1, "perplexity": 3.0}])
    result = EvaluationResult("x", [evaluated("a", "a")], provenance=found)
    assert "<img" not in html_report.render(result)


@pytest.mark.parametrize(
    "samples",
    [
        [],
        [evaluated("a", "a")],
        [evaluated("a b", "", loss=math.inf, seconds=99)],
        [evaluated("abc", "xyz", seconds=99)],
        [evaluated("a\0b\u202e", "\x1b[31m", seconds=99)],
    ],
)
def test_pages_on_next_to_nothing(samples):
    page = Page(html_report.render(EvaluationResult("x", samples)))
    assert "Word error rate" in page.text


def test_a_name_that_is_not_utf_8_can_be_written(tmp_path):
    html_report.write_html_report(EvaluationResult("best-\udce9", []), tmp_path / "report.html")
    assert "best-\\udce9" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed")
@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_finds_nothing_to_complain_of(result, tmp_path, width):
    html_report.write_html_report(result, tmp_path / "report.html")
    browser = [
        *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
        *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
        *("--disable-sync", "--enable-logging=stderr", f"--user-data-dir={tmp_path / 'user'}"),
        *(f"--window-size={width},900", "--virtual-time-budget=3000", "--dump-dom"),
    ]
    run = subprocess.run(
        [*browser, (tmp_path / "report.html").as_uri()], capture_output=True, text=True, check=True
    )
    assert "CONSOLE" not in run.stderr
    (title,) = re.findall("<title>(.*?)</title>", run.stdout)
    assert title.startswith("&lt;script&gt;")
    assert "<audio" in run.stdout
