"""What the demo prints on its way."""

import logging

from stt_bootstrap.demo.__main__ import training_told


def test_training_is_told_in_a_line_now_and_then_and_warnings_at_once(capsys):
    log = logging.getLogger("stt_model.training.loop")
    with training_told(seconds=60):
        for epoch in range(1, 50):
            log.info("epoch %d", epoch)
        log.warning("the loss is infinite")
    log.info("nobody listens any more")
    assert capsys.readouterr().out.splitlines() == ["    epoch 1", "    the loss is infinite"]
    assert not logging.getLogger("stt_model.training").handlers
