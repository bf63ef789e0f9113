"""What this process may use of the machine."""

import os
import subprocess
import sys

import pytest

from stt_model.base import machine
from stt_model.base.machine import usable_cpus, usable_memory

COUNT = """
import os, sys
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from stt_model.base import usable_cpus
print(usable_cpus())
"""


def test_processors_that_the_process_is_not_bound_to_do_not_count():
    done = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="there is only one processor")
def test_a_container_s_limit_counts(monkeypatch):
    """As Kubernetes sets it: so many microseconds of processors in each period."""
    from loky.backend import context

    monkeypatch.setattr(context, "_cpu_count_cgroup", lambda count: min(count, 1))
    assert usable_cpus() == 1


@pytest.mark.parametrize("limit", ["1048576\n", "max\n"])
def test_a_container_s_memory_is_all_there_is(tmp_path, monkeypatch, limit):
    (tmp_path / "memory.max").write_text(limit)
    monkeypatch.setattr(machine, "_CGROUP_MEMORY", (tmp_path / "gone", tmp_path / "memory.max"))
    assert (usable_memory() == 2**20) == (limit != "max\n")
