"""What this process may use of the machine that it is on."""

from __future__ import annotations

import os
from pathlib import Path

_CGROUP_MEMORY = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def usable_cpus() -> int:
    """Return how many processors this process may use, at least 1.

    A container's limit counts, and so does the set of processors that the process is bound to:
    threads beyond them only take turns.
    """
    from loky import cpu_count

    return int(cpu_count())


def usable_memory() -> int:
    """Return the bytes of memory that there are for this process: the machine's or the container's.

    What other processes have taken of it does not count.
    """
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in _CGROUP_MEMORY:
        try:
            total = min(total, int(path.read_text(encoding="ascii")))
        except (OSError, ValueError):
            # Of the other version of cgroups, or "max": no limit.
            continue
    return total
