import pytest

from stt_model.checkpoint.lineage import digest_manifests


@pytest.fixture
def digest(tmp_path):
    def write_and_digest(*rows, folder="here"):
        path = tmp_path / folder / "train.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(["wav_filename,wav_filesize,transcript", *rows, ""]))
        return digest_manifests([path])

    return write_and_digest


def test_neither_order_nor_folder_counts(digest):
    rows = ["a.wav,10,one", "b.wav,20,two"]
    whole = digest(*rows)
    assert whole == digest(*reversed(rows), folder="there")
    assert whole == digest("/data/a.wav,10,one", "b.wav,20,two")
    assert len(whole) == 64


def test_each_change_of_a_row_counts(digest):
    changes = [
        ["a.wav,10,one"],
        ["a.wav,10,one", "a.wav,10,one"],
        ["b.wav,10,one"],
        ["a.wav,11,one"],
        ["a.wav,10,One"],
        ["a.wav1,0,one"],
        [],
    ]
    assert len({digest(*rows) for rows in changes}) == len(changes)


def test_manifests_count_together(tmp_path):
    head = "wav_filename,wav_filesize,transcript\n"
    parts = [tmp_path / "1.csv", tmp_path / "2.csv"]
    parts[0].write_text(f"{head}a.wav,10,one\n")
    parts[1].write_text(f"{head}b.wav,20,two\n")
    both = tmp_path / "both.csv"
    both.write_text(f"{head}b.wav,20,two\na.wav,10,one\n")
    assert digest_manifests(parts) == digest_manifests([both])
