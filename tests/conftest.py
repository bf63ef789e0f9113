"""What holds for every test."""

import os

import pytest

STORE_VARIABLES = ("AWS_", "S3_")


@pytest.fixture(scope="session", autouse=True)
def no_store_of_the_machine():
    """Take away the object store of whoever runs the tests: none of theirs may reach it."""
    names = [name for name in os.environ if name.startswith(STORE_VARIABLES)]
    taken = {name: os.environ.pop(name) for name in names}
    yield
    os.environ.update(taken)
