"""How much of the machine this process may use."""

from __future__ import annotations

import os
from pathlib import Path

_CGROUP_MEMORY = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def usable_cpus() -> int:
    """Return how many processors this process may use, at least 1.

    This respects a container's limit and the set of processors that the process is bound to;
    threads beyond them only take turns.
    """
    from loky import cpu_count

    return int(cpu_count())


def usable_memory() -> int:
    """Return the memory of the machine or the container, in bytes.

    Memory that other processes use is not subtracted.
    """
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in _CGROUP_MEMORY:
        try:
            total = min(total, int(path.read_text(encoding="ascii")))
        except (OSError, ValueError):
            # Of the other version of cgroups, or "max": no limit.
            continue
    return total
