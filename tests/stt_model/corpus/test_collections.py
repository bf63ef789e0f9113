"""Sample databases and tar files as manifests."""

import io
import json
import os
import tarfile

import numpy as np
import pytest
import soundfile

from stt_model.base.errors import DataError
from stt_model.corpus.audio import audio_info, read_audio
from stt_model.corpus.dataset import read_samples
from stt_model.corpus.manifests import read_manifest
from stt_model.corpus.opus_packets import to_ogg
from stt_model.text.alphabet import CharacterAlphabet
from tests.stt_model.storage.test_archive import chained

TONE = (0.4 * np.sin(2 * np.pi * 440 * np.arange(24_000) / 16_000)).astype(np.float32)
OPUS = "application/vnd.mozilla.opus"


def encoded(form, subtype=None):
    target = io.BytesIO()
    soundfile.write(target, TONE, 16_000, format=form, subtype=subtype)
    return target.getvalue()


def in_coquis_framing(ogg):
    """The packets of an Ogg stream, framed as Coqui frames them."""
    packets, at, rest = [], 0, b""
    while at < len(ogg):
        count = ogg[at + 26]
        lacing = ogg[at + 27 : at + 27 + count]
        at += 27 + count
        for length in lacing:
            rest += ogg[at : at + length]
            at += length
            if length < 255:
                packets.append(rest)
                rest = b""
    head = (2 * len(TONE)).to_bytes(4, "big") + (16_000).to_bytes(4, "big") + bytes([1, 2])
    return head + b"".join(len(each).to_bytes(2, "big") + each for each in packets[2:])


def database(samples, kind, columns=("speech", "transcript")):
    kinds = {"speech": kind, "transcript": "text/plain"}
    schema = json.dumps(
        {"schema": [{"content": each, "mime-type": kinds[each]} for each in columns]}
    ).encode()
    head = b"SAMPLEDB" + len(schema).to_bytes(8, "big") + schema
    body, places = b"", []
    for sample in samples:
        entry = b"".join(len(each).to_bytes(4, "big") + each for each in sample)
        places.append(len(head) + 16 + len(body))
        body += len(entry).to_bytes(4, "big") + entry
    counts = (len(body) + 8).to_bytes(8, "big") + len(samples).to_bytes(8, "big")
    index = len(samples).to_bytes(8, "big") + b"".join(each.to_bytes(8, "big") for each in places)
    return head + counts + body + len(index).to_bytes(8, "big") + index


def write_tar(path, members):
    with tarfile.open(path, "w") as file:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize(
    ("kind", "audio"),
    [
        ("audio/wav", encoded("WAV", "PCM_16")),
        ("audio/flac", encoded("FLAC", "PCM_16")),
        ("audio/ogg;codecs=opus", encoded("OGG", "OPUS")),
        (OPUS, in_coquis_framing(encoded("OGG", "OPUS"))),
    ],
)
def test_a_sample_database_is_a_manifest(tmp_path, kind, audio):
    path = tmp_path / "a.sdb"
    path.write_bytes(database([(audio, b"a b"), (audio, "ё".encode())], kind))
    first, second = read_manifest(path)
    assert (first.transcript, second.transcript, second.row) == ("a b", "ё", 2)
    info = audio_info(second.place)
    assert info.duration == pytest.approx(1.5, abs=0.01)
    heard = read_audio(second.place)
    spectrum = np.abs(np.fft.rfft(heard[4000:20_000]))
    assert spectrum.argmax() == pytest.approx(440 * 16_000 / 16_000, abs=2)


def test_a_tar_file_of_webdataset_is_a_manifest(tmp_path):
    wav = encoded("WAV", "PCM_16")
    members = {
        "x/a.txt": b"one\n",
        "x/a.wav": wav,
        "x/b.seg.flac": encoded("FLAC"),
        "x/b.txt": b"b",
    }
    rows = read_manifest(write_tar(tmp_path / "a.tar", members))
    assert [row.transcript for row in rows] == ["one", "b"]
    np.testing.assert_allclose(read_audio(rows[0].place), TONE, atol=1e-4)
    samples = read_samples([tmp_path / "a.tar"], CharacterAlphabet("oneb"))
    assert samples.seconds.tolist() == [1.5, 1.5]


def test_without_transcripts_there_is_sound_to_lay_over(tmp_path):
    from stt_model.augmentation.specification import parse_augmentations

    path = tmp_path / "noise.sdb"
    path.write_bytes(database([(encoded("WAV"),)], "audio/wav", ["speech"]))
    assert read_manifest(path)[0].transcript == ""
    (overlay,) = parse_augmentations(f"overlay[source={path}]")
    assert [each.info.duration for each in overlay.source] == [1.5]


@pytest.mark.parametrize("cut", [4, 30, 100, 2000, -20, -1])
def test_a_database_that_is_cut_off_is_refused(tmp_path, cut):
    path = tmp_path / "a.sdb"
    path.write_bytes(database([(encoded("WAV"), b"a b")], "audio/wav")[:cut])
    with pytest.raises(DataError, match=r"a\.sdb: expected"):
        read_manifest(path)


def test_a_database_with_changed_bytes_gives_no_other_error(tmp_path):
    path = tmp_path / "a.sdb"
    content = database([(b"RIFF", b"a b")] * 2, "audio/wav")
    draw = np.random.default_rng(0)
    for _ in range(300):
        changed = bytearray(content)
        for place in draw.integers(0, len(content), 3):
            changed[place] = draw.integers(256)
        path.write_bytes(changed)
        try:
            read_manifest(path)
        except DataError as error:
            assert "a.sdb" in str(error)


def test_a_file_that_is_no_tar_or_lacks_audio_is_refused(tmp_path):
    (tmp_path / "a.tar").write_bytes(b"nothing of the kind" * 100)
    with pytest.raises(DataError, match=r"a\.tar: expected a whole uncompressed tar file"):
        read_manifest(tmp_path / "a.tar")
    with pytest.raises(DataError, match="expected audio"):
        read_manifest(write_tar(tmp_path / "b.tar", {"a.txt": b"a"}))


def test_packets_that_are_cut_off_are_refused():
    packets = in_coquis_framing(encoded("OGG", "OPUS"))
    for cut in (5, 11, 40, len(packets) - 1):
        with pytest.raises(DataError, match="expected Opus packets"):
            to_ogg(packets[:cut])


def test_a_chain_of_headers_and_a_schema_nested_without_end_are_refused(tmp_path):
    """Either made Python's own stack run over."""
    chain = tmp_path / "a.tar"
    chain.write_bytes(chained(tarfile.GNUTYPE_LONGNAME, 400))
    with pytest.raises(DataError, match="more than 8 headers"):
        read_manifest(chain)
    schema = b"[" * 100_000
    database = tmp_path / "a.sdb"
    database.write_bytes(b"SAMPLEDB" + len(schema).to_bytes(8, "big") + schema)
    with pytest.raises(DataError, match="expected a schema in JSON"):
        read_manifest(database)


@pytest.mark.parametrize("name", ["a.tar", "a.sdb"])
def test_a_pipe_is_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(DataError, match=f"{name}: expected a readable file"):
        read_manifest(tmp_path / name)


def test_a_member_whose_name_holds_the_sign_that_ends_the_shards(tmp_path):
    path = write_tar(tmp_path / "a.tar", {"a#1.wav": encoded("WAV"), "a#1.txt": b"a"})
    (row,) = read_manifest(path)
    np.testing.assert_allclose(read_audio(row.place), TONE, atol=1e-4)
