"""Lists that are kept on disk."""

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt_model.base.errors import DataError
from stt_model.base.spool import Spool, SpooledList, SpooledNumbers

NUMBERS = st.integers(-(2**63), 2**63 - 1)


def test_a_spool_gives_back_what_was_put_in_to_any_number_of_threads():
    spool = Spool()
    items = [("text " * (number % 7), number) for number in range(2000)]
    places = [spool.append(item) for item in items]
    spool.flush()
    found = [None] * 4

    def read(thread):
        found[thread] = [spool.read(place) for place in places]

    threads = [threading.Thread(target=read, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [items] * 4


def test_a_spool_without_room_says_where_to_find_some():
    spool = Spool()
    spool._file._file = Path("/dev/full").open("wb")  # noqa: SIM115
    spool.append("a")
    with pytest.raises(DataError, match=r"No space left on device; name a folder .* TMPDIR"):
        spool.flush()
    spool._file._file.raw.close()


def test_a_spool_yields_what_was_put_in_with_its_places_and_goes_on_growing():
    spool = Spool()
    items = ["", "one", ["two"], None]
    places = [spool.append(item) for item in items]
    assert list(spool) == list(zip(places, items, strict=True))
    places.append(spool.append("five"))
    assert list(spool) == list(zip(places, [*items, "five"], strict=True))


@given(st.lists(NUMBERS), st.slices(8), st.lists(NUMBERS, max_size=3))
def test_numbers_on_disk_are_a_list(numbers, part, more):
    spooled = SpooledNumbers()
    for number in numbers:
        spooled.append(number)
    assert (list(spooled), len(spooled)) == (numbers, len(numbers))
    assert list(spooled[part]) == numbers[part]
    for number in more:
        spooled.append(number)
    assert list(spooled) == numbers + more
    assert not numbers or spooled[-1 - len(more)] == numbers[-1]
    with pytest.raises(IndexError):
        spooled[len(spooled)]


def test_a_list_on_disk_takes_no_memory_for_what_is_in_it():
    import tracemalloc

    spooled = SpooledList()
    spooled.append("the first")
    spooled[0]
    tracemalloc.start()
    try:
        for number in range(5000):
            spooled.append(number)
        assert spooled[5000] == 4999
        assert tracemalloc.get_traced_memory()[0] < 5000
    finally:
        tracemalloc.stop()
