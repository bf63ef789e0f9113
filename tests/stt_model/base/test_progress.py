import logging

from stt_model.base import progress
from stt_model.base.progress import Progress


def lines(monkeypatch, caplog, seconds_between, *, shown=True):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", seconds_between)
    caplog.set_level(logging.INFO)
    with Progress("evaluating", 30, shown=shown) as bar:
        for _ in range(3):
            bar.update(10, 2.5)
    return [record.getMessage().split(",")[0] for record in caplog.records]


def test_without_a_terminal_lines_say_how_far_it_is(monkeypatch, caplog):
    found = lines(monkeypatch, caplog, 0)
    assert found == [f"evaluating: {done} of 30" for done in (10, 20, 30)]


def test_lines_come_now_and_then_only(monkeypatch, caplog):
    assert lines(monkeypatch, caplog, 60) == []


def test_nothing_is_said_where_nothing_is_to_be_shown(monkeypatch, caplog):
    assert lines(monkeypatch, caplog, 0, shown=False) == []
