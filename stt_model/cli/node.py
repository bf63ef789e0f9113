"""What each node of a training on several nodes runs, in the image, under a training runtime.

    python3 -m stt_model.cli.node s3://BUCKET/RUN/offers/DIGEST   trains what is offered there
    python3 -m stt_model.cli.node train --train_files …           any command, as one of the nodes

The environment says which node it is, and where the others are: see
``stt_model.network.worker_environment``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from stt_model import jobs
from stt_model.base import have_streams, separate_stderr
from stt_model.cli import parser
from stt_model.cli.flags import show_log
from stt_model.network import join_workers


def main(arguments: Sequence[str]) -> int:
    """Run what the arguments name; return the exit code."""
    have_streams()
    separate_stderr()
    if len(arguments) == 1 and "/offers/" in arguments[0]:
        show_log()
        return parser.guard(lambda: _train_offered(arguments[0]), debug=False)
    return parser.guard(lambda: _run_command(arguments), debug=False)


def _train_offered(uri: str) -> int:
    jobs.train_offered(uri)
    return 0


def _run_command(arguments: Sequence[str]) -> int:
    join_workers(os.environ)
    return parser.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
