"""Importing again, into a store, from archives; what is set aside; what is refused."""

import csv
import io
import re
import shutil
import sqlite3
import tarfile
import zipfile
from dataclasses import dataclass

import pytest

from stt_model.base.errors import BootstrapError
from stt_model.corpus.manifests import find_splits, read_manifest
from stt_model.corpus.validation import validate
from stt_model.importing import importer
from stt_model.importing.importer import import_corpus
from stt_model.importing.settings import ImportSettings
from stt_model.importing.transcripts import Plain
from stt_model.storage import object_store
from stt_model.storage.object_store import ObjectStore
from tests.stt_model.importing import samples
from tests.stt_model.s3_server import S3Server


class Server(S3Server):
    """Is written to by its clients only."""

    remembers_folders_for = "5m"


def write_table(folder, count, first=0):
    """Write a table over clips of several speakers."""
    lines = ["file,sentence,speaker"]
    for number in range(first + count):
        name = f"clips/c{number:03d}.wav"
        if number >= first:
            samples.write_audio(folder / name, 1.0 + number / 100)
        lines.append(f"{name},satz {number},s{number % 12}")
    samples.write_text(folder / "list.csv", "\n".join(lines) + "\n")
    return folder


def split_of_each(target):
    """Return the split of every transcript."""
    return {
        row.transcript: split
        for split, path in find_splits(str(target)).items()
        for row in read_manifest(path)
    }


def set_aside(target):
    with (target / "rejected.csv").open(encoding="utf-8", newline="") as handle:
        return {row["clip"]: (row["check"], row["reason"]) for row in csv.DictReader(handle)}


@pytest.fixture
def source(tmp_path):
    return write_table(tmp_path / "source", 36)


def test_the_second_import_adds_only_what_is_new_and_moves_nothing(source, tmp_path, monkeypatch):
    first = import_corpus(str(source), str(tmp_path / "out"))
    assert (first.new, first.known) == (36, 0)
    before = split_of_each(tmp_path / "out")
    looked_at = []
    prepare = importer.Recordings.prepare
    monkeypatch.setattr(
        importer.Recordings,
        "prepare",
        lambda self, clip: looked_at.append(clip.name) or prepare(self, clip),
    )
    write_table(source, 24, first=36)
    second = import_corpus(str(source), str(tmp_path / "out"))
    assert (second.new, second.known, second.changed) == (24, 36, 0)
    assert len(looked_at) == 24
    after = split_of_each(tmp_path / "out")
    assert {text: after[text] for text in before} == before
    assert len(after) == 60


def test_a_text_that_was_mended_is_taken_and_stays_in_its_split(source, tmp_path):
    import_corpus(str(source), str(tmp_path / "out"))
    before = split_of_each(tmp_path / "out")
    table = source / "list.csv"
    table.write_text(table.read_text().replace("satz 3,", "besserer satz,"))
    result = import_corpus(str(source), str(tmp_path / "out"))
    assert (result.new, result.changed) == (0, 1)
    assert split_of_each(tmp_path / "out")["besserer satz"] == before["satz 3"]


def test_an_import_that_was_interrupted_goes_on(source, tmp_path, monkeypatch):
    monkeypatch.setattr(importer, "_AT_ONCE", 8)
    calls = []
    prepare = importer.Recordings.prepare

    def interrupted(self, clip):
        calls.append(clip.name)
        if len(calls) == 20:
            raise KeyboardInterrupt
        return prepare(self, clip)

    monkeypatch.setattr(importer.Recordings, "prepare", interrupted)
    with pytest.raises(KeyboardInterrupt):
        import_corpus(str(source), str(tmp_path / "out"))
    assert not (tmp_path / "out" / "train.csv").exists()
    done = import_corpus(str(source), str(tmp_path / "out"))
    assert done.new + done.known == 36
    assert len(calls) < 20 + 36 - 8


def test_unusable_clips_are_listed_with_the_reason(source, tmp_path):
    (source / "clips/c001.wav").write_bytes(b"no audio at all")
    (source / "clips/c002.wav").unlink()
    (source / "clips/c003.wav").write_bytes(b"")
    table = source / "list.csv"
    text = table.read_text().replace("satz 4,", ",").replace("satz 5,", "grÃ¶ÃŸe,")
    text = text.replace("satz 6,", "verloren \ufffd,")
    table.write_text(text + "clips/c007.wav,anderer text,s1\n,ohne datei,s1\n")
    result = import_corpus(str(source), str(tmp_path / "out"))
    found = set_aside(tmp_path / "out")
    assert {name: check for name, (check, _) in found.items()} == {
        "clips/c001.wav": "audio_unreadable",
        "clips/c002.wav": "audio_missing",
        "clips/c003.wav": "audio_unreadable",
        "clips/c004.wav": "transcript_blank",
        "clips/c005.wav": "transcript_encoding",
        "clips/c006.wav": "transcript_encoding",
        "clips/c007.wav": "name_twice",
        "list.csv#38": "fields",
    }
    assert "größe" in found["clips/c005.wav"][1]
    assert result.set_aside == 8 and sum(each[0] for each in result.totals.values()) == 30
    assert "audio_missing: 1" in result.summary() and "No such file" in result.to_markdown()


@dataclass(frozen=True)
class Action:
    rule: str
    before: str
    after: str


def lower(transcript):
    if "verboten" in transcript:
        return Plain(transcript, problem="it cannot be said")
    changed = transcript.lower()
    actions = (Action("case", transcript, changed),) if changed != transcript else ()
    return Plain(changed, actions)


def test_a_normaliser_writes_the_transcripts_and_what_it_did_is_counted(source, tmp_path):
    table = source / "list.csv"
    table.write_text(table.read_text().replace("satz 1", "SATZ 1").replace("satz 2,", "verboten,"))
    result = import_corpus(str(source), str(tmp_path / "out"), normalise=lower)
    assert "satz 1" in split_of_each(tmp_path / "out")
    assert result.rules == [("case", 11, "SATZ 1", "satz 1")]
    assert set_aside(tmp_path / "out")["clips/c002.wav"] == ("transcript", "it cannot be said")


def test_a_speaker_is_read_from_the_path_where_that_is_said(tmp_path):
    for number in range(40):
        folder = tmp_path / "source" / f"person{number % 20}"
        samples.write_audio(folder / f"{number}.wav", 1.0)
        samples.write_text(folder / f"{number}.txt", f"text {number}")
    result = import_corpus(
        str(tmp_path / "source"),
        str(tmp_path / "out"),
        ImportSettings(speaker_pattern="^([^/]+)/"),
    )
    assert result.split_by == "speaker+text"
    assert result.totals[0][2] == 16


@pytest.mark.parametrize("kind", ["tar.gz", "tar", "zip"])
def test_an_archive_is_unpacked_once_and_its_corpus_is_whole(kind, source, tmp_path):
    archive = tmp_path / f"corpus.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as file:
            for path in sorted(source.rglob("*.*")):
                file.write(path, path.relative_to(source.parent))
    else:
        with tarfile.open(archive, f"w:{kind.partition('.')[2]}") as file:
            file.add(source, "source")
    first = import_corpus(str(archive), str(tmp_path / "out"))
    assert first.new == 36
    moved = (tmp_path / "out").rename(tmp_path / "moved")
    assert import_corpus(str(archive), str(moved)).known == 36
    assert not validate(find_splits(str(moved))).errors


def test_from_a_store_only_headers_are_read_and_the_second_time_none(source, tmp_path, monkeypatch):
    (tmp_path / "store").mkdir()
    bucket = tmp_path / "store" / "bucket"
    source.rename(bucket)
    monkeypatch.setenv("STT_BOOTSTRAP_CACHE", str(tmp_path / "cache"))
    read = []
    read_once = object_store.StoreRequests.read

    def counted(self, stored, start, size):
        if stored.key.endswith(".wav"):
            read.append(size)
        return read_once(self, stored, start, size)

    monkeypatch.setattr(object_store.StoreRequests, "read", counted)
    with S3Server(tmp_path / "store") as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        first = import_corpus("s3://bucket", str(tmp_path / "out"))
        assert first.new == 36
        assert sum(read) <= 36 * 8192 < sum(p.stat().st_size for p in bucket.rglob("*.wav")) / 3
        read.clear()
        second = import_corpus("s3://bucket", str(tmp_path / "out"))
        assert second.known == 36 and not read
        rows = [
            row for p in find_splits(str(tmp_path / "out")).values() for row in read_manifest(p)
        ]
        assert all(row.wav_filename.startswith("s3://bucket/clips/") for row in rows)


def test_a_corpus_in_a_store_grows_there_and_can_be_validated(tmp_path, monkeypatch):
    (tmp_path / "store" / "bucket").mkdir(parents=True)
    monkeypatch.setenv("STT_BOOTSTRAP_CACHE", str(tmp_path / "cache"))
    with Server(tmp_path / "store") as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        write_table(tmp_path / "small", 14)
        assert import_corpus(str(tmp_path / "small"), "s3://bucket/corpus").new == 14
        write_table(tmp_path / "small", 2, first=14)
        second = import_corpus(str(tmp_path / "small"), "s3://bucket/corpus")
        assert (second.new, second.known) == (2, 14)
        result = validate(find_splits("s3://bucket/corpus"))
        assert not result.errors
        assert sum(map(len, result.accepted.values())) == 16
        store = ObjectStore.from_environment()
        store.upload(samples.write_text(tmp_path / "notes.txt", "mine"), "s3://bucket/other/n.txt")
        with pytest.raises(BootstrapError, match="expected nothing stored there"):
            import_corpus(str(tmp_path / "small"), "s3://bucket/other")


def lying_archive(path):
    content = io.BytesIO(b"x")
    with tarfile.open(path, "w") as file:
        member = tarfile.TarInfo("../outside.wav")
        member.size = 1
        file.addfile(member, content)
    return path


BAD_TABLES = (
    ("header", "audio,text\n", "found no clip"),
    ("web", "audio,text\nhttps://speech.org/a.wav,one\n", r"https://speech.org/a.wav: .*fetch"),
    ("windows", "audio,text\nC:\\clips\\a.wav,one\n", "Windows machine.*relative to the table"),
    ("title", "My clips,,\naudio,text,who\na.wav,one,anna\n", "no title above"),
    ("nul", "audio,text\na\0.wav,one\n", "NUL byte"),
    ("few", "audio,text\nfine/clips/c001.wav,one\nb.wav,two\n", r"1 clips .*1 cannot.*b.wav: No "),
)


def bad_sources(tmp_path):
    """Yield a name, a source, options, and what the one line must say."""
    samples.write_text(tmp_path / "columns.csv", "foo,bar\n1,2\n")
    yield tmp_path / "columns.csv", {}, r"columns.csv.*found foo, bar.*--columns"
    text = "audio;text\na.wav;привет мир, как дела\nb.wav;это русский текст\n"
    samples.write_text(tmp_path / "cyrillic.csv", text, "cp1251")
    yield tmp_path / "cyrillic.csv", {}, r"cyrillic.csv.*UTF-8.*--encoding"
    yield lying_archive(tmp_path / "lies.tar"), {}, r"lies.tar.*climbs out"
    (tmp_path / "cut.tar.gz").write_bytes(b"\x1f\x8b\x08\x00not really")
    yield tmp_path / "cut.tar.gz", {}, r"cut.tar.gz.*not a whole tar or zip"
    samples.librispeech(tmp_path / "both")
    samples.kaldi(tmp_path / "both")
    yield tmp_path / "both", {}, r"both.*librispeech.*kaldi.*--format"
    samples.write_text(tmp_path / "alien" / "data.bin", "nothing known")
    yield tmp_path / "alien", {}, r"alien.*no known\s+format"
    yield tmp_path / "absent", {}, r"absent.*found nothing"
    (tmp_path / "empty").mkdir()
    yield tmp_path / "empty", {}, r"empty.*found nothing"
    samples.write_text(tmp_path / "gone.csv", "audio,text\na.wav,one\nb.wav,two\n")
    yield tmp_path / "gone.csv", {}, r"gone.csv.*found none among 2.*a.wav"
    write_table(tmp_path / "fine", 12)
    for name, text, expected in BAD_TABLES:
        samples.write_text(tmp_path / f"{name}.csv", text)
        yield tmp_path / f"{name}.csv", {}, rf"{name}\.csv.*{expected}"
    samples.write_text(tmp_path / "scp" / "text", "u1 one\n")
    yield tmp_path / "scp", {}, r"scp.*wav.scp beside text"
    (tmp_path / "alone").mkdir()
    samples.write_audio(tmp_path / "alone" / "a.wav", 1.0)
    yield tmp_path / "alone", {}, r"alone.*recordings without texts"
    samples.write_text(tmp_path / "old" / "list.xls", "x")
    yield tmp_path / "old", {}, r"list.xls as .xlsx or CSV"
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as file:
        file.writestr("a.png", "x")
    yield tmp_path / "pictures.zip", {}, r"pictures.zip: .*a.png"
    yield tmp_path / "fine", {"format": "cassette"}, r"--format.*librispeech.*'cassette'"
    yield tmp_path / "fine", {"columns": "audio"}, r"--columns"
    yield tmp_path / "fine", {"speaker_pattern": "(a"}, r"--speaker_pattern"
    yield tmp_path / "fine", {"speaker_pattern": "a"}, r"one group"
    yield tmp_path / "fine", {"format": "common_voice"}, r"fine"


def test_bad_sources_get_one_line_that_helps_and_leave_nothing(tmp_path):
    for source, options, expected in bad_sources(tmp_path):
        target = tmp_path / "target"
        with pytest.raises(BootstrapError) as refusal:
            import_corpus(str(source), str(target), ImportSettings(**options))
        assert re.search(expected, str(refusal.value)), refusal.value
        assert "\n" not in str(refusal.value)
        assert not target.exists()


def test_an_archive_never_fills_the_disk(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("clips/a.wav", bytes(1 << 24))
    usage = shutil.disk_usage(tmp_path)
    full = usage._replace(free=(1 << 30) + (1 << 20))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    with pytest.raises(BootstrapError, match=r"bomb.zip: refused.*1048576 bytes"):
        import_corpus(str(tmp_path / "bomb.zip"), str(tmp_path / "target"))
    assert not (tmp_path / "target").exists()


def test_paths_with_backslashes_are_found(source, tmp_path):
    table = source / "list.csv"
    table.write_text(table.read_text().replace("clips/", "clips\\"))
    assert import_corpus(str(source), str(tmp_path / "out")).new == 36


def test_a_target_that_holds_something_else_is_left_as_it_is(source, tmp_path):
    samples.write_text(tmp_path / "mine" / "thesis.txt", "years of work")
    with pytest.raises(BootstrapError, match="expected an empty folder"):
        import_corpus(str(source), str(tmp_path / "mine"))
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
    with pytest.raises(BootstrapError, match="imported into itself"):
        import_corpus(str(source), str(source / "out"))
    assert not (source / "out").exists()


def test_a_refused_second_import_leaves_the_first_as_it_was(source, tmp_path):
    import_corpus(str(source), str(tmp_path / "out"))
    before = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}
    table = source / "list.csv"
    table.write_text(table.read_text() + '"never closed\n')
    with pytest.raises(BootstrapError, match=r"list.csv.*check the quotes"):
        import_corpus(str(source), str(tmp_path / "out"))
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == before


def test_times_outside_of_a_recording_are_set_aside(tmp_path):
    samples.write_audio(tmp_path / "s" / "a.wav", 10.0)
    rows = [f"a.wav,gut {n},{n},{n + 0.9}" for n in range(8)]
    rows += ["a.wav,verkehrt,5,4", "a.wav,zu spät,20,22", "a.wav,kein wert,x,y"]
    samples.write_text(tmp_path / "s" / "l.csv", "audio,text,start,end\n" + "\n".join(rows))
    import_corpus(str(tmp_path / "s"), str(tmp_path / "out"))
    assert sorted(check for check, _ in set_aside(tmp_path / "out").values()) == ["times"] * 3


def test_a_clip_of_another_source_with_a_name_that_is_taken_changes_nothing(source, tmp_path):
    import_corpus(str(source), str(tmp_path / "out"))
    before = split_of_each(tmp_path / "out")
    write_table(tmp_path / "second", 40)
    table = tmp_path / "second" / "list.csv"
    table.write_text(table.read_text().replace("satz 3,", "anderes,"))
    result = import_corpus(str(tmp_path / "second"), str(tmp_path / "out"))
    assert (result.new, result.set_aside) == (4, 1)
    assert set_aside(tmp_path / "out")["clips/c003.wav"][0] == "name_taken"
    after = split_of_each(tmp_path / "out")
    assert {text: after[text] for text in before} == before


def test_two_imports_into_one_target_at_once_are_told_apart(source, tmp_path):
    (tmp_path / "out").mkdir()
    other = sqlite3.connect(tmp_path / "out" / ".import-unfinished.sqlite", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(BootstrapError, match="another import is writing"):
        import_corpus(str(source), str(tmp_path / "out"))
    other.close()
