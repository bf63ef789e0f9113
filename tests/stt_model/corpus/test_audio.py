import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from stt_model.base.errors import DataError
from stt_model.corpus import audio
from stt_model.corpus.audio import audio_info, read_audio, read_clip
from stt_model.corpus.audio_settings import SAMPLE_RATE, frame_count
from stt_model.corpus.clip_places import CLIP_LIMIT


def tone(rate, seconds=0.5, frequency=440.0):
    return 0.5 * np.sin(2 * np.pi * frequency * np.arange(round(rate * seconds)) / rate)


@pytest.mark.parametrize(
    ("samples", "frames"), [(0, 0), (511, 0), (512, 1), (831, 1), (832, 2), (16000, 49)]
)
def test_only_whole_windows_are_frames(samples, frames):
    assert frame_count(samples) == frames


@given(st.lists(st.integers(-32768, 32767), min_size=1, max_size=200))
def test_16_bit_samples_come_out_exactly(tmp_path_factory, numbers):
    path = tmp_path_factory.mktemp("audio") / "a.wav"
    samples = np.array(numbers, np.int16)
    soundfile.write(path, samples, SAMPLE_RATE)
    read = read_audio(path)
    assert read.dtype == np.float32 and read.ndim == 1
    np.testing.assert_array_equal(read, samples.astype(np.float32) / 32768)


@pytest.mark.parametrize(
    ("name", "rate", "channels", "tolerance"),
    [
        ("a.wav", 8000, 1, 0.01),
        ("a.wav", 44100, 2, 0.01),
        ("a.wav", 48000, 6, 0.01),
        ("a.flac", 16000, 1, 0.01),
        ("a.ogg", 44100, 2, 0.1),
        ("a.opus", 48000, 1, 0.1),
        ("a.mp3", 44100, 1, 0.1),
    ],
)
def test_every_format_becomes_16_khz_mono(tmp_path, name, rate, channels, tolerance):
    path = tmp_path / name
    form = {"a.opus": ("OGG", "OPUS"), "a.ogg": ("OGG", "VORBIS")}.get(name, (None, None))
    sound = np.repeat(tone(rate)[:, None], channels, axis=1)
    soundfile.write(path, sound, rate, format=form[0], subtype=form[1])
    samples = read_audio(path)
    assert samples.dtype == np.float32 and samples.ndim == 1
    assert abs(len(samples) - SAMPLE_RATE // 2) <= (1 if tolerance < 0.1 else 1300)
    middle = slice(2000, 6000)
    # Lossy codecs shift the tone in time, so its spectrum is compared, not its samples.
    strongest = np.argmax(np.abs(np.fft.rfft(samples[middle]))) * SAMPLE_RATE / 4000
    assert strongest == pytest.approx(440, abs=4)
    assert np.abs(samples[middle]).max() == pytest.approx(0.5, abs=tolerance)


def test_channels_are_averaged(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.array([[0.5, -0.25]] * 600), SAMPLE_RATE)
    np.testing.assert_array_equal(read_audio(path), np.full(600, 0.125, np.float32))


def test_samples_beyond_full_scale_are_clipped(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.array([2.0, -3.0, 0.5]), SAMPLE_RATE, subtype="FLOAT")
    np.testing.assert_array_equal(read_audio(path), np.array([1, -1, 0.5], np.float32))


def test_the_header_tells_duration_and_frames(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros((44100, 2)), 44100)
    info = audio_info(path)
    assert (info.sample_rate, info.channels, info.duration) == (44100, 2, 1.0)
    assert info.frames == frame_count(SAMPLE_RATE)


def test_bad_files_are_one_clear_line(tmp_path):
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("not audio")
    (tmp_path / "text.raw").write_text("not audio")
    soundfile.write(tmp_path / "none.wav", np.zeros(0), SAMPLE_RATE)
    soundfile.write(tmp_path / "nan.wav", np.array([0, np.nan]), SAMPLE_RATE, subtype="FLOAT")
    expected = {
        "absent.wav": "found nothing",
        ".": "found a folder",
        "empty.wav": "found an empty file",
        "text.wav": "found a file that cannot be decoded: ",
        "text.raw": "found a file that cannot be decoded: ",
        "none.wav": "found no samples",
        "nan.wav": "not finite",
        "a\0b.wav": "expected",
        "x" * 300: "File name too long",
    }
    for name, said in expected.items():
        with pytest.raises(DataError) as caught:
            read_audio(tmp_path / name)
        assert said in str(caught.value) and "\n" not in str(caught.value)
        assert str(tmp_path / name).replace("\0", "?") in str(caught.value)


def test_a_file_cut_in_the_middle_gives_what_is_there(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(SAMPLE_RATE), SAMPLE_RATE)
    path.write_bytes(path.read_bytes()[:8044])
    assert len(read_audio(path)) == 4000


@given(st.binary(max_size=400))
def test_arbitrary_bytes_raise_nothing_but_data_errors(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("bytes")
    soundfile.write(folder / "b.wav", tone(SAMPLE_RATE, 0.1), SAMPLE_RATE)
    (folder / "a.wav").write_bytes(data)
    (folder / "b.wav").write_bytes((folder / "b.wav").read_bytes()[:20] + data)
    for name in ("a.wav", "b.wav"):
        try:
            samples = read_audio(folder / name)
        except DataError as error:
            assert "\n" not in str(error)
        else:
            assert samples.ndim == 1 and np.abs(samples).max() <= 1


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_a_part_of_a_file_is_read_alone(tmp_path, rate):
    path = tmp_path / "a.flac"
    soundfile.write(path, tone(rate, seconds=2.0), rate)
    whole, part = read_audio(path), read_audio(path, start=0.5, seconds=0.25)
    assert len(part) == pytest.approx(4000, abs=1)
    # Resampling has edges.
    np.testing.assert_allclose(part[200:3800], whole[8200:11800], atol=2e-3)
    assert len(read_audio(path, start=1.5, seconds=9)) == pytest.approx(8000, abs=1)


@pytest.mark.parametrize("function", [audio_info, read_audio, read_clip])
def test_a_device_without_an_end_is_one_line(function):
    with pytest.raises(DataError, match="/dev/zero: expected readable audio, found something else"):
        function("/dev/zero")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("s.tar#a@0+999999999999999", "a shard of 3 bytes"),
        ("s.tar#a@99999999999999999999+1", "a shard of 3 bytes"),
        ("s.tar#a@1+99999999999999999999", "a shard of 3 bytes"),
        ("s.tar#a@" + "9" * 5000 + "+1", "a shard of 3 bytes"),
        ("s\0.tar#a@0+1", "a file that cannot be read"),
        ("a\0b.wav", "nothing"),
    ],
)
@pytest.mark.parametrize("function", [audio_info, read_audio, read_clip])
def test_a_clip_that_cannot_be_in_its_shard_is_one_line(tmp_path, name, found, function):
    (tmp_path / "s.tar").write_bytes(b"abc")
    with pytest.raises(DataError, match=found):
        function(f"{tmp_path}/{name}")


def test_a_clip_above_the_limit_is_not_read(tmp_path):
    with (tmp_path / "a.wav").open("wb") as file:
        file.truncate(CLIP_LIMIT + 1)
    with pytest.raises(DataError, match="cut it into utterances"):
        read_clip(tmp_path / "a.wav")


def test_an_error_of_the_reader_is_not_taken_for_the_file_s(tmp_path):
    """What is done with an open file may fail too, and is a bug then."""
    soundfile.write(tmp_path / "a.wav", tone(SAMPLE_RATE), SAMPLE_RATE)
    with pytest.raises(ValueError, match="a bug"), audio._open(tmp_path / "a.wav"):
        raise ValueError("a bug")
