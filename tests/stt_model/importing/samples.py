"""Small sources in the layouts of real corpora: tones of a known length, with known transcripts."""

from __future__ import annotations

import csv
import json
import zlib
from pathlib import Path

import numpy as np
import soundfile

RATE = 16000


def tone(seconds: float, pitch: float = 300.0) -> np.ndarray:
    """Return float32 samples of a tone."""
    times = np.arange(round(seconds * RATE)) / RATE
    return (0.3 * np.sin(2 * np.pi * pitch * times)).astype(np.float32)


def write_audio(path: Path, seconds: float, pitch: float = 300.0, **options) -> Path:
    """Write a tone; the format is that of the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # No two files sound the same: copies would be found.
    noise = np.random.default_rng(zlib.crc32(str(path).encode())).normal(size=round(seconds * RATE))
    soundfile.write(path, tone(seconds, pitch) + 0.01 * noise, RATE, **options)
    return path


def write_text(path: Path, text: str, encoding: str = "utf-8") -> Path:
    """Write a text file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


def utterances(count: int) -> list[tuple[str, str, float]]:
    """Return ids, texts and seconds."""
    return [(f"u{n:03d}", f"satz nummer {n} ä", 1.0 + n / 100) for n in range(count)]


def common_voice(folder: Path, count: int = 40) -> dict[str, float]:
    """Write a release of Common Voice; return the seconds of each text that is validated."""
    head = "client_id\tpath\tsentence_id\tsentence\tsentence_domain\tup_votes\tdown_votes\tage"
    head += "\tgender\taccents\tvariant\tlocale\tsegment"
    lines, found = [head], {}
    for number, (name, text, seconds) in enumerate(utterances(count)):
        write_audio(folder / "clips" / f"common_voice_xx_{name}.mp3", seconds)
        text = f'"{text}" sagt er' if number % 10 == 0 else text
        who, gender = f"client{number % 20}", ["male_masculine", "female_feminine"][number % 2]
        values = [who, f"common_voice_xx_{name}.mp3", f"id{name}", text, "", "2", "0", "twenties"]
        lines.append("\t".join([*values, gender, "", "", "xx", ""]))
        found[text] = seconds
    write_text(folder / "validated.tsv", "\n".join(lines) + "\n")
    for split, part in (("train", lines[1:5]), ("dev", lines[5:7]), ("test", lines[7:9])):
        write_text(folder / f"{split}.tsv", "\n".join([head, *part]) + "\n")
    write_text(folder / "invalidated.tsv", "\n".join([head, lines[1]]) + "\n")
    return found


def librispeech(folder: Path) -> dict[str, float]:
    """Write LibriSpeech's folders."""
    write_text(folder / "SPEAKERS.TXT", ";ID |SEX| SUBSET\n19 | F | train-clean | 1 | Ann\n")
    found = {}
    for subset, speaker in (("train-clean-100", "19"), ("dev-clean", "84"), ("test-clean", "61")):
        lines = []
        for number in range(3):
            name = f"{speaker}-198-{number:04d}"
            text = f"CHAPTER {number} OF {speaker}"
            write_audio(folder / subset / speaker / "198" / f"{name}.flac", 1 + number / 10)
            lines.append(f"{name} {text}")
            found[text] = 1 + number / 10
        write_text(folder / subset / speaker / "198" / f"{speaker}-198.trans.txt", "\n".join(lines))
    return found


_MLS = {"train": "114", "dev": "115", "test": "116"}


def mls(folder: Path) -> dict[str, float]:
    """Write the folders of Multilingual LibriSpeech."""
    found = {}
    for split in ("train", "dev", "test"):
        lines = []
        for number in range(3):
            name = f"{_MLS[split]}_22_{number:06d}"
            text = f"{split} kapitel {number}"
            write_audio(folder / split / "audio" / _MLS[split] / "22" / f"{name}.flac", 1.5)
            lines.append(f"{name}\t{text}")
            found[text] = 1.5
        write_text(folder / split / "transcripts.txt", "\n".join(lines) + "\n")
    return found


def ljspeech(folder: Path) -> dict[str, float]:
    """Write LJSpeech's folder."""
    lines, found = [], {}
    for name, text, seconds in utterances(12):
        write_audio(folder / "wavs" / f"LJ{name}.wav", seconds)
        lines.append(f'LJ{name}|Dr. {text}, "so"|Doctor {text}, "so"')
        found[f'Doctor {text}, "so"'] = seconds
    write_text(folder / "metadata.csv", "\n".join(lines) + "\n")
    return found


def voxforge(folder: Path) -> dict[str, float]:
    """Write sessions as VoxForge packs them."""
    found = {}
    for session in ("anna-20080101-abc", "anna-20090101-xyz", "anonymous-20080101-def"):
        lines = []
        for number in range(4):
            text = f"{session[:9]} sagt {number} {session[-3:]}"
            write_audio(folder / session / "wav" / f"de-{number}.wav", 1.25)
            lines.append(f"{session}/mfc/de-{number} {text.upper()}")
            found[text.upper()] = 1.25
        write_text(folder / session / "etc" / "PROMPTS", "\n".join(lines) + "\n")
        about = (
            "User Name:anna;\n\nSpeaker Characteristics:\n\nGender: Female;\nAge Range: Adult;\n"
        )
        write_text(folder / session / "etc" / "README", about)
    return found


def texts_beside(folder: Path) -> dict[str, float]:
    """Write recordings with text files of the same name."""
    found = {}
    for name, text, seconds in utterances(12):
        write_audio(folder / "anna" / f"{name}.ogg", seconds)
        write_text(folder / "anna" / f"{name}.txt", f"{text}\nzweite zeile\n")
        found[f"{text} zweite zeile"] = seconds
    return found


def kaldi(folder: Path) -> dict[str, float]:
    """Write a data folder over long recordings."""
    text, segments, speakers, found = [], [], [], {}
    write_audio(folder / "audio" / "rec1.wav", 30.0)
    for name, words, seconds in utterances(12):
        start = 2.0 * len(text)
        text.append(f"{name} {words}")
        segments.append(f"{name} rec1 {start:.2f} {start + seconds:.2f}")
        speakers.append(f"{name} speaker{len(text) % 3}")
        found[words] = seconds
    write_text(folder / "data" / "text", "\n".join(text) + "\n")
    write_text(folder / "data" / "segments", "\n".join(segments) + "\n")
    write_text(folder / "data" / "utt2spk", "\n".join(speakers) + "\n")
    write_text(folder / "data" / "spk2gender", "speaker0 f\nspeaker1 m\nspeaker2 f\n")
    write_text(folder / "data" / "wav.scp", f"rec1 {folder / 'audio' / 'rec1.wav'}\n")
    return found


def nemo(folder: Path) -> dict[str, float]:
    """Write a manifest over whole files and one over parts of a file."""
    found, lines = {}, []
    for name, text, seconds in utterances(10):
        write_audio(folder / "audio" / f"{name}.wav", seconds)
        values = {"audio_filepath": f"audio/{name}.wav", "duration": seconds, "text": text}
        lines.append(json.dumps({**values, "speaker": f"s{len(lines) % 5}"}))
        found[text] = seconds
    write_audio(folder / "audio" / "long.wav", 10.0)
    for number in range(3):
        values = {"audio_filepath": "audio/long.wav", "offset": 3.0 * number, "duration": 1.5}
        lines.append(json.dumps({**values, "text": f"teil {number}"}))
        found[f"teil {number}"] = 1.5
    write_text(folder / "manifest.json", "\n".join(lines) + "\n")
    return found


def label_studio(folder: Path) -> dict[str, float]:
    """Write a project's export: whole recordings, one that was uploaded, and regions of one."""
    found, tasks = {}, []
    for number, (name, text, seconds) in enumerate(utterances(6)):
        write_audio(folder / "clips" / f"{name}.wav", seconds)
        addresses = (
            f"/data/local-files/?d=clips/{name}.wav",
            f"/data/upload/1/0a1b2c3d-{name}.wav",
        )
        result = {"type": "textarea", "value": {"text": [text]}}
        task = {"data": {"audio": addresses[number % 2], "speaker": f"s{number}"}}
        tasks.append({**task, "annotations": [{"result": [result]}]})
        found[text] = seconds
    write_audio(folder / "long.wav", 10.0)
    regions = []
    for number in range(3):
        times = {"start": 3.0 * number, "end": 3.0 * number + 1.5}
        regions.append({"type": "labels", "value": {**times, "labels": ["speech"]}})
        regions.append({"type": "textarea", "value": {**times, "text": [f"teil {number}"]}})
        found[f"teil {number}"] = 1.5
    tasks.append({"data": {"audio": "long.wav"}, "annotations": [{"result": regions}]})
    write_text(folder / "export.json", json.dumps(tasks))
    return found


def audiofolder(folder: Path) -> dict[str, float]:
    """Write a folder as ``load_dataset("audiofolder")`` takes it."""
    found = {}
    for split, hf_name in (("train", "train"), ("dev", "validation"), ("test", "test")):
        rows = [("file_name", "transcription", "speaker_id")]
        for name, text, seconds in utterances(4):
            write_audio(folder / hf_name / f"{name}.wav", seconds)
            rows.append((f"{name}.wav", f"{split}, {text}", f"{split}-{name}"))
            found[f"{split}, {text}"] = seconds
        with (folder / hf_name / "metadata.csv").open("w", encoding="utf-8", newline="") as handle:
            csv.writer(handle).writerows(rows)
    return found


SRT = """1
00:00:00,500 --> 00:00:02,000
<i>erster satz</i>

2
00:00:03,000 --> 00:00:05,250
zweiter satz
in zwei zeilen

"""


def subtitles(folder: Path) -> dict[str, float]:
    """Write subtitles of both kinds beside long recordings."""
    write_audio(folder / "talk.wav", 8.0)
    write_text(folder / "talk.de.srt", SRT, "cp1252")
    write_audio(folder / "other.flac", 8.0)
    head = "WEBVTT\n\nNOTE a comment\n\n"
    cues = "".join(
        f"00:0{n}.000 --> 00:0{n}.900\n<v Anna>cue number {n}</v>\n\n" for n in range(1, 7)
    )
    write_text(folder / "other.vtt", head + cues)
    found = {f"cue number {n}": 0.9 for n in range(1, 7)}
    return {**found, "erster satz": 1.5, "zweiter satz in zwei zeilen": 2.25}


def stm(folder: Path) -> dict[str, float]:
    """Write TED-LIUM's layout."""
    lines, found = [";; a comment"], {}
    write_audio(folder / "train" / "sph" / "Talk_1.sph", 40.0, format="NIST")
    for number in range(10):
        start, text = 3.0 * number, f"segment number {number}"
        lines.append(f"Talk_1 1 Talk_1 {start:.2f} {start + 2:.2f} <o,f0,male> {text}")
        found[text] = 2.0
    lines.append("Talk_1 1 inter 31.00 33.00 <o,f0,> ignore_time_segment_in_scoring")
    write_text(folder / "train" / "stm" / "Talk_1.stm", "\n".join(lines) + "\n")
    return found


def transcript_list(folder: Path) -> dict[str, float]:
    """Write Google's layout on OpenSLR: ``line_index.tsv`` without a header."""
    lines, found = [], {}
    for name, text, seconds in utterances(12):
        write_audio(folder / "wavs" / f"afr_{name}.wav", seconds)
        lines.append(f"afr_{name}\t{text}")
        found[text] = seconds
    write_text(folder / "line_index.tsv", "\n".join(lines) + "\n")
    return found
