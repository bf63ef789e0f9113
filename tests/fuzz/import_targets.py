"""The readers of corpora in other people's formats: a small file of each, and how it is read."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import soundfile

from stt_model.corpus.audio import audio_info
from stt_model.corpus.manifests import iter_manifest
from stt_model.importing.clip import Clip, Notes, Options
from stt_model.importing.formats import (
    audiofolder,
    elan,
    kaldi,
    label_studio,
    lhotse_cuts,
    nemo,
    parquet,
    stm,
    subtitles,
    textgrid,
)
from stt_model.importing.tables import open_table
from stt_model.importing.tree import Tree
from stt_model.text.language_rules import read_rules
from stt_model.text.normalisation import Normaliser

Read = Callable[[bytes], object]
Opened = contextlib.AbstractContextManager[tuple[Sequence[bytes], Read]]

MANIFEST = 'wav_filename,wav_filesize,transcript\na.wav,1,some words\nb.wav,2,"more, of them"\n'
TABLE = "client_id\tpath\tsentence\n1\ta.mp3\tsome words\n2\tb.mp3\tmore\n"
SRT = "1\n00:00:00,500 --> 00:00:02,000\n<i>one</i>\n\n2\n00:00:03,000 --> 00:00:05,250\ntwo\n\n"
VTT = "WEBVTT\n\nNOTE a comment\n\n00:01.000 --> 00:01.900\n<v Anna>a cue</v>\n\n"
STM = ";; a comment\nTalk_1 1 anna 0.00 2.00 <o,f0,male> one\nTalk_1 1 inter 3.0 4.0 <o> two\n"
TEXTGRID = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 4
tiers? <exists>
size = 1
item []:
    item [1]:
        class = "IntervalTier"
        name = "transcript"
        xmin = 0
        xmax = 4
        intervals: size = 2
        intervals [1]:
            xmin = 0
            xmax = 2
            text = "one"
        intervals [2]:
            xmin = 2
            xmax = 4
            text = "two"
"""
ELAN = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2026-01-01T00:00:00+00:00" FORMAT="3.0" VERSION="3.0"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
 xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv3.0.xsd">
<HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">
<MEDIA_DESCRIPTOR MEDIA_URL="file:///x/a.wav" MIME_TYPE="audio/x-wav"/></HEADER>
<TIME_ORDER><TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="100"/>
<TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="900"/></TIME_ORDER>
<TIER LINGUISTIC_TYPE_REF="default-lt" TIER_ID="Anna" PARTICIPANT="anna"><ANNOTATION>
<ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">
<ANNOTATION_VALUE>some words</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>
<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="default-lt" TIME_ALIGNABLE="true" GRAPHIC_REFERENCES="false"/>
</ANNOTATION_DOCUMENT>
"""
LABEL_STUDIO = """[{"data": {"audio": "/data/local-files/?d=a.wav"}, "annotations": [{"result":
[{"type": "textarea", "value": {"text": ["a b"], "start": 0, "end": 0.5}}]}]}]
"""
NEMO = '{"audio_filepath": "a.wav", "duration": 1.5, "offset": 0.5, "text": "a", "channel": 0}\n'
CUT = {
    "id": "a",
    "start": 0.0,
    "duration": 2.0,
    "channel": 0,
    "supervisions": [{"id": "a", "start": 0.5, "duration": 1.0, "text": "one", "custom": {"a": 1}}],
    "recording": {"sources": [{"type": "file", "source": "a.wav"}], "duration": 2.0},
    "type": "MonoCut",
}
KALDI = {
    "text": "u1 some words\nu2 more\n",
    "segments": "u1 r1 0.00 1.50\nu2 r1 2.00 3.00\n",
    "utt2spk": "u1 anna\nu2 anna\n",
    "wav.scp": "r1 sph2pipe -f wav -p -c 1 a.sph |\nr2 b.wav\n",
}
RULES = """language: xx
name: An example
like: de
letters: abcdefghijklmnopqrstuvwxyz
apostrophe: "'"
symbols: {"&": and, "%": percent}
remove: [U+064B-U+0652]
patterns: [{find: "a+(b)", replace: "c"}]
replace: {aa: å}
examples: [{text: "Some WORDS", becomes: some words}]
"""


def manifests(_: Path) -> list[bytes]:
    """Return manifests as spreadsheets and other tools leave them."""
    return [MANIFEST.encode(), b"\xef\xbb\xbf" + MANIFEST.replace("\n", "\r\n").encode()]


def tables(_: Path) -> list[bytes]:
    """Return tables of several kinds."""
    lines = b'{"audio_filepath": "a", "text": "b"}\n'
    return [TABLE.encode(), MANIFEST.encode(), TABLE.encode("utf-16"), lines]


def read_table(path: Path) -> None:
    """Read it to its end."""
    for _ in open_table(path).rows():
        pass


def workbooks(folder: Path) -> list[bytes]:
    """Return an Excel workbook."""
    from openpyxl import Workbook

    book = Workbook()
    for row in (("path", "sentence"), ("a.wav", "some words"), ("b.wav", 3)):
        book.active.append(row)
    book.save(folder / "a.xlsx")
    return [(folder / "a.xlsx").read_bytes()]


def sound() -> bytes:
    """Return a short recording."""
    data = io.BytesIO()
    soundfile.write(data, np.zeros(800, np.float32), 16000, format="WAV", subtype="PCM_16")
    return data.getvalue()


def _part(content: bytes, size: int = 4) -> bytes:
    return len(content).to_bytes(size, "big") + content


def sample_databases(_: Path) -> list[bytes]:
    """Return a database of two samples as Coqui STT writes it."""
    columns = [
        {"content": "speech", "mime-type": "audio/wav"},
        {"content": "transcript", "mime-type": "text/plain"},
    ]
    head = b"SAMPLEDB" + _part(json.dumps({"schema": columns}).encode(), 8)
    samples = [_part(_part(sound()) + _part(text)) for text in (b"some words", b"more")]
    start = len(head) + 16
    places = [start, start + len(samples[0])]
    body = (2).to_bytes(8, "big") + b"".join(samples)
    index = (2).to_bytes(8, "big") + b"".join(place.to_bytes(8, "big") for place in places)
    return [head + len(b"".join(samples)).to_bytes(8, "big") + body + _part(index, 8)]


def tar_samples(_: Path) -> list[bytes]:
    """Return tar files in WebDataset's form."""
    found = []
    for kind in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w", format=kind) as tar:
            for name, content in (("a.wav", sound()), ("a.txt", b"some words")):
                info = tarfile.TarInfo(f"{'folder' * (15 if kind else 1)}/{name}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        found.append(data.getvalue())
    return found


def read_collection(path: Path) -> None:
    """Read its list, and the head of each clip."""
    for row in iter_manifest(path):
        audio_info(row.place)


def read_rule_file(path: Path) -> None:
    """Read rules, and write a few texts by them."""
    normaliser = Normaliser(read_rules(str(path)))
    for text in ("Some \u2019words\u2019 1.5", "\u0130 \u1e9e", ""):
        normaliser(text)


def source(module: ModuleType, name: str, seeds: Callable[[Path], Sequence[bytes]]):
    """Return the target of a format's reader, whose file is called ``name``."""

    @contextlib.contextmanager
    def opened(folder: Path) -> Iterator[tuple[Sequence[bytes], Read]]:
        (folder / "seeds").mkdir()
        (folder / "source").mkdir()
        (folder / "source" / "a.wav").write_bytes(sound())
        path = folder / "source" / name

        def read(data: bytes) -> None:
            path.write_bytes(data)
            _read_source(module, path.parent)

        yield seeds(folder / "seeds"), read

    return opened


def _read_source(module: ModuleType, folder: Path) -> None:
    tree = Tree(folder)
    if not module.recognise(tree):
        return
    for found in module.read(tree, Options({}), Notes()):
        if isinstance(found, Clip) and found.content:
            found.content()


@contextlib.contextmanager
def kaldi_folder(folder: Path) -> Iterator[tuple[Sequence[bytes], Read]]:
    """All tables of a data folder in one piece."""
    names = list(KALDI)
    (folder / "data").mkdir()

    def read(data: bytes) -> None:
        parts = data.split(b"\n==\n")
        for name, part in zip(names, parts, strict=False):
            (folder / "data" / name).write_bytes(part)
        _read_source(kaldi, folder)

    yield ["\n==\n".join(KALDI.values()).encode()], read


def parquet_files(folder: Path) -> list[bytes]:
    """Return two rows with their audio."""
    import pyarrow
    from pyarrow.parquet import write_table

    rows = [{"audio": {"bytes": sound(), "path": "a.wav"}, "sentence": "a b", "speaker_id": 7}] * 2
    write_table(pyarrow.Table.from_pylist(rows), folder / "a.parquet")
    return [(folder / "a.parquet").read_bytes()]


def cuts(_: Path) -> list[bytes]:
    """Return a cut set."""
    return [f"{json.dumps(CUT)}\n".encode() * 2]


def packed_cuts(folder: Path) -> list[bytes]:
    """Return a cut set in gzip's form."""
    return [gzip.compress(each, mtime=0) for each in cuts(folder)]


SOURCES = {
    "audiofolder": source(
        audiofolder,
        "metadata.jsonl",
        lambda _: [b'{"file_name": "a.wav", "transcription": "one", "speaker_id": 3}\n'],
    ),
    "elan": source(elan, "a.eaf", lambda _: [ELAN.encode()]),
    "kaldi": kaldi_folder,
    "label_studio": source(label_studio, "export.json", lambda _: [LABEL_STUDIO.encode()]),
    "lhotse": source(lhotse_cuts, "cuts.jsonl", cuts),
    "lhotse_packed": source(lhotse_cuts, "cuts.jsonl.gz", packed_cuts),
    "nemo": source(nemo, "manifest.json", lambda _: [NEMO.encode(), NEMO.encode() * 3]),
    "parquet": source(parquet, "train.parquet", parquet_files),
    "stm": source(stm, "a.stm", lambda _: [STM.encode()]),
    "subtitles_srt": source(subtitles, "a.srt", lambda _: [SRT.encode()]),
    "subtitles_vtt": source(subtitles, "a.vtt", lambda _: [VTT.encode()]),
    "textgrid": source(textgrid, "a.TextGrid", lambda _: [TEXTGRID.encode()]),
}
