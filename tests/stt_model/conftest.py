"""What the tests of training have in common. TensorFlow is imported only where it is needed."""

import pytest


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Tones with their transcripts, as a folder of manifests."""
    from tests.stt_model.training_runs import write_dataset

    return write_dataset(tmp_path_factory.mktemp("tones"))


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A small checkpoint to start from."""
    from tests.stt_model.training_runs import write_source

    return write_source(tmp_path_factory.mktemp("source"))
