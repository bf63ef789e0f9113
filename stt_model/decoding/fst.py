"""Read and write a set of label sequences as a minimal automaton in OpenFst's binary format.

The format is that of OpenFst's ``ConstFst`` over ``StdArc``: a header, then the states and then
the arcs, each at a multiple of 16 bytes from the start of the file; all little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Path: TypeAlias = tuple[int, ...]
State: TypeAlias = tuple[bool, tuple[tuple[int, int], ...]]

_MAGIC = 2125659606
_VERSION = 1
_IS_ALIGNED = 4
_ALIGNMENT = 16
_TYPES = (b"const", b"standard")
# The OpenFst properties that its readers rely on: an expanded, unweighted, deterministic and
# acyclic acceptor without epsilons, with arcs sorted by label and no useless state.
_PROPERTIES = 0x052A_5A95_0001
_HEADER = struct.Struct("<iiQqqq")
_STATE = np.dtype(
    [
        ("final", "<f4"),
        ("first_arc", "<u4"),
        ("arcs", "<u4"),
        ("input_epsilons", "<u4"),
        ("output_epsilons", "<u4"),
    ]
)
_ARC = np.dtype([("label", "<i4"), ("output", "<i4"), ("weight", "<f4"), ("target", "<i4")])
_LONGEST = 4096
"""Maximum arcs of a path; a longer one is a loop."""
_MOST_PATHS = 10_000_000
_MOST_LABELS = 2**28
"""Limit on all paths, including dead ends: a few states can encode billions of them."""


def read_paths(data: memoryview, offset: int) -> list[NDArray[np.int32]]:
    """Return every path from the start to a final state, one int32 [paths, length] per length.

    Args:
        data: the whole file, because alignment is relative to its start.
        offset: where the automaton's header begins; it ends with the file.

    Raises:
        ValueError: this is not such an automaton, or it is truncated.
    """
    start, states, arcs = _read_tables(data, offset)
    if not 0 <= start < len(states):
        raise ValueError("it has no start state")
    _check_amount(start, states, arcs)
    at = np.array([start])
    so_far = np.empty((1, 0), np.int32)
    found = []
    # All the paths of one length at a time.
    while len(at):
        complete = np.isfinite(states["final"][at])
        if complete.any():
            found.append(so_far[complete])
        origin, leaving = _arcs_of(states, at)
        taken = arcs[leaving]
        so_far = np.column_stack([so_far[origin], taken["label"]])
        at = taken["target"]
    return found


def _arcs_of(
    states: NDArray[np.void], at: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the arcs that leave these states, and for each the index of its state."""
    fan_out = states["arcs"][at].astype(np.int64)
    origin = np.repeat(np.arange(len(at)), fan_out)
    within = np.arange(len(origin)) - np.repeat(np.cumsum(fan_out) - fan_out, fan_out)
    return origin, states["first_arc"][at].astype(np.int64)[origin] + within


def _check_amount(start: int, states: NDArray[np.void], arcs: NDArray[np.void]) -> None:
    """Count the paths and their labels before any is expanded.

    For one length after another it counts how many paths lead to each state.

    Raises:
        ValueError: there are too many, or there is a loop.
    """
    at: NDArray[np.int64] = np.array([start])
    paths: NDArray[np.float64] = np.ones(1)
    work = labels = 0.0
    for _ in range(_LONGEST + 1):
        fan_out = int(states["arcs"][at].astype(np.int64).sum())
        work, labels = work + fan_out, labels + float(paths.sum())
        if paths.sum() > _MOST_PATHS or max(work, labels) > _MOST_LABELS:
            raise ValueError(f"it has more than {_MOST_PATHS} paths, or too many labels on them")
        origin, leaving = _arcs_of(states, at)
        at, where = np.unique(arcs["target"][leaving], return_inverse=True)
        paths = np.bincount(where, paths[origin], len(at)).astype(np.float64)
        if not len(at):
            return
    raise ValueError("it has a loop")


def _read_tables(data: memoryview, offset: int) -> tuple[int, NDArray[np.void], NDArray[np.void]]:
    try:
        (magic,) = struct.unpack_from("<i", data, offset)
        types, offset = _read_strings(data, offset + 4) if magic == _MAGIC else ((), offset)
        if types != _TYPES:
            raise ValueError("expected OpenFst's type const over standard arcs")
        version, flags, _, start, state_count, arc_count = _HEADER.unpack_from(data, offset)
        if version != _VERSION or flags != _IS_ALIGNED:
            raise ValueError("expected version 1, aligned, without symbol tables")
    except struct.error as error:
        raise ValueError("it is truncated") from error
    first_state = _aligned(offset + _HEADER.size)
    first_arc = _aligned(first_state + state_count * _STATE.itemsize)
    end = first_arc + arc_count * _ARC.itemsize
    if end != len(data) or state_count < 0 or arc_count < 0:
        raise ValueError(f"expected {end} bytes in all, found {len(data)}")
    states = np.frombuffer(data, _STATE, state_count, first_state)
    arcs = np.frombuffer(data, _ARC, arc_count, first_arc)
    last_arc = states["first_arc"].astype(np.int64) + states["arcs"]
    targets = arcs["target"]
    if (last_arc > arc_count).any() or (targets < 0).any() or (targets >= state_count).any():
        raise ValueError("its arcs lead nowhere")
    return start, states, arcs


def _read_strings(data: memoryview, offset: int) -> tuple[tuple[bytes, ...], int]:
    strings = []
    for _ in _TYPES:
        (length,) = struct.unpack_from("<i", data, offset)
        offset += 4
        strings.append(bytes(data[offset : offset + length]))
        offset += length
    return tuple(strings), offset


def write_paths(paths: Iterable[Sequence[int]], offset: int) -> bytes:
    """Return the minimal automaton of ``paths``, each at least one label above 0.

    Args:
        paths: in any order; duplicates count once.
        offset: where in a file the automaton will begin.
    """
    numbered = _minimise(sorted({tuple(path) for path in paths}))
    states = np.zeros(len(numbered), _STATE)
    arcs = np.zeros(sum(len(arcs) for _, arcs in numbered), _ARC)
    filled = 0
    for number, (is_final, leaving) in enumerate(numbered):
        states[number] = (0.0 if is_final else np.inf, filled, len(leaving), 0, 0)
        for label, target in leaving:
            arcs[filled] = (label, label, 0.0, target)
            filled += 1
    head = struct.pack("<i", _MAGIC)
    head += b"".join(struct.pack("<i", len(name)) + name for name in _TYPES)
    head += _HEADER.pack(
        _VERSION, _IS_ALIGNED, _PROPERTIES, len(states) - 1, len(states), len(arcs)
    )
    body = head + bytes(_aligned(offset + len(head)) - offset - len(head))
    body += states.tobytes()
    return body + bytes(_aligned(offset + len(body)) - offset - len(body)) + arcs.tobytes()


def _minimise(paths: Sequence[Path]) -> list[State]:
    """Return the states of the minimal automaton of sorted paths, the start last.

    As in Daciuk, Mihov, Watson and Watson (2000): once the next path has left a branch, nothing
    can be added to it, so it is replaced by an equal existing state.
    """
    states: dict[State, int] = {}
    # The states along the latest path, each with its finished part: whether it is final, its arcs.
    open_states: list[tuple[list[bool], list[tuple[int, int]]]] = [([False], [])]
    previous: Path = ()

    def close(depth: int) -> None:
        while len(open_states) > depth + 1:
            finals, arcs = open_states.pop()
            state = (finals[0], tuple(arcs))
            open_states[-1][1].append(
                (previous[len(open_states) - 1], states.setdefault(state, len(states)))
            )

    for path in paths:
        pairs = zip(previous, path, strict=False)
        shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        close(shared)
        open_states += [([False], []) for _ in path[shared:]]
        open_states[-1][0][0] = True
        previous = path
    close(0)
    finals, arcs = open_states[0]
    return [*states, (finals[0], tuple(arcs))]


def _aligned(offset: int) -> int:
    return -(-offset // _ALIGNMENT) * _ALIGNMENT
