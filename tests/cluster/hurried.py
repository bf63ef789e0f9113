"""Takes the waiting out of the tests on a cluster (``pytest -p tests.cluster.hurried``)."""

import sys

from tests.cluster import store

SUBMIT = """
import sys
from stt_bootstrap.pipelines import run_watch
from stt_bootstrap.pipelines.cli import main
run_watch.POLL_SECONDS = 0.02
sys.exit(main())
"""


def pytest_collection_finish(session):
    """Have the commands look often, and the corpora be small."""
    from tests.cluster import test_runs

    test_runs.PROGRAM[:] = [sys.executable, "-c", SUBMIT]
    store.SIZES = {"train": 2, "dev": 1, "test": 1}
