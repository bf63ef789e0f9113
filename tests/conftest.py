"""What holds for every test."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# On a busy machine an example takes any time; the limit of a whole test is pytest-timeout's.
settings.register_profile("project", deadline=None)
settings.load_profile("project")

STORE_VARIABLES = ("AWS_", "S3_")


@pytest.fixture(scope="session", autouse=True)
def no_store_of_the_machine():
    """Take away the object store of whoever runs the tests: none of theirs may reach it."""
    names = [name for name in os.environ if name.startswith(STORE_VARIABLES)]
    taken = {name: os.environ.pop(name) for name in names}
    # Nor the machine's own identity, nor a file of credentials.
    os.environ |= {"AWS_EC2_METADATA_DISABLED": "true"}
    home = os.environ.get("HOME")
    if home and Path(home, ".aws", "credentials").exists():
        os.environ["HOME"] = str(Path(home, ".aws"))
    yield
    os.environ.pop("AWS_EC2_METADATA_DISABLED", None)
    os.environ |= {**taken, **({"HOME": home} if home else {})}
