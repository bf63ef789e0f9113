import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt_model.decoding.fst import read_paths, write_paths

PATHS = st.sets(st.lists(st.integers(1, 300), min_size=1, max_size=8).map(tuple), min_size=1)
# Behind the magic number, two strings with their lengths, version, flags and properties.
START, STATES, ARCS = (4 + 4 + 5 + 4 + 8 + 16 + 8 * place for place in range(3))
HEADER_SIZE = 4 + 4 + 5 + 4 + 8 + 40


def paths_of(data, offset=0):
    return {
        tuple(path) for group in read_paths(memoryview(data), offset) for path in group.tolist()
    }


@given(PATHS, st.integers(0, 40))
def test_paths_come_back_from_anywhere_in_a_file(paths, offset):
    assert paths_of(bytes(offset) + write_paths(paths, offset), offset) == paths


def test_common_beginnings_and_ends_are_stored_once():
    data = write_paths([(1, 2, 9), (3, 2, 9), (1, 2, 4, 9)], 0)
    # The start, behind 1, behind 3, behind 1 2, behind 3 2 (and 1 2 4), the end.
    assert struct.unpack_from("<q", data, STATES) == (6,)
    assert struct.unpack_from("<q", data, ARCS) == (7,)


def test_states_and_arcs_lie_on_multiples_of_sixteen_of_the_file():
    data = write_paths([(7,)], 5)
    states = -(-(5 + HEADER_SIZE) // 16) * 16 - 5
    finals = np.frombuffer(data, "<f4", 1, states)
    assert finals == [0.0]
    arc = np.frombuffer(data, "<i4", 2, len(data) - 16)
    assert arc.tolist() == [7, 7]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:10],
        lambda data: data[:50],
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: b"\0" + data[1:],
        lambda data: data.replace(b"const", b"vecto"),
        lambda data: data[:START] + struct.pack("<q", -1) + data[STATES:],
        lambda data: data[:START] + struct.pack("<q", 99) + data[STATES:],
        lambda data: data[:STATES] + struct.pack("<q", -3) + data[ARCS:],
        lambda data: data[:-4] + struct.pack("<i", 99),
    ],
)
def test_anything_else_is_refused(damage):
    data = write_paths([(1, 2), (1, 3)], 0)
    with pytest.raises(ValueError, match=r"\w"):
        read_paths(memoryview(damage(data)), 0)


def test_a_loop_is_refused():
    data = write_paths([(1, 2)], 0)
    # The arc that is written last leaves the start; let it lead back there.
    start = struct.unpack_from("<q", data, START)[0]
    looped = data[:-4] + struct.pack("<i", start)
    with pytest.raises(ValueError, match="a loop"):
        read_paths(memoryview(looped), 0)


def doubling_automaton(states: int) -> bytes:
    """An automaton in which two arcs lead from each state to the next: 2^(states - 1) paths."""
    data = bytearray(write_paths([(1,) * (states - 1), (2,) * (states - 1)], 0))
    head = data[:HEADER_SIZE]
    struct.pack_into("<qqq", head, START, 0, states, 2 * (states - 1))
    table = np.zeros(states, [("final", "<f4"), ("rest", "<u4", 4)])
    table["final"] = [np.inf] * (states - 1) + [0.0]
    table["rest"][:, 0] = [2 * number for number in range(states)]
    table["rest"][:-1, 1] = 2
    arcs = np.zeros(2 * (states - 1), [("label", "<i4", 2), ("weight", "<f4"), ("target", "<i4")])
    arcs["label"] = np.repeat([[1, 1], [2, 2]] * (states - 1), 1, axis=0)
    arcs["target"] = np.repeat(np.arange(1, states), 2)
    body = bytes(head) + bytes(-len(head) % 16) + table.tobytes()
    return body + bytes(-len(body) % 16) + arcs.tobytes()


def test_a_few_states_that_stand_for_countless_paths_are_refused_before_any_is_written_down():
    assert len(paths_of(doubling_automaton(4))) == 8
    data = doubling_automaton(41)
    assert len(data) < 2400
    tracemalloc.start()
    with pytest.raises(ValueError, match="more than 10000000 paths"):
        read_paths(memoryview(data), 0)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_paths_that_lead_nowhere_count_as_well():
    data = bytearray(doubling_automaton(41))
    at = -(-HEADER_SIZE // 16) * 16 + 40 * 20
    struct.pack_into("<f", data, at, np.inf)
    with pytest.raises(ValueError, match="more than 10000000 paths"):
        read_paths(memoryview(data), 0)
