import numpy as np
import pytest
import soundfile

from stt_model.augmentation.parameters import Domain
from stt_model.augmentation.specification import Augmenter, Visit, parse_augmentations
from stt_model.corpus.audio_settings import SAMPLE_RATE, frame_count
from tests.corpora import tone_samples

TIMES = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
CLIP = tone_samples("abcd efgh ijkl")


def augment(specification, samples=CLIP, row=0, clock=0.0, least_frames=0):
    augmenter = Augmenter(parse_augmentations(specification), seed=1)
    return augmenter.choose(Visit(1, row, clock, least_frames)).apply(Domain.SIGNAL, samples)


def tone(frequency, level=0.5):
    return (level * np.sin(2 * np.pi * frequency * TIMES)).astype(np.float32)


def strongest(samples):
    """Return the frequency of the strongest tone, in Hz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return np.argmax(spectrum) * SAMPLE_RATE / len(samples)


def energy_above(samples, frequency):
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    hertz = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE)
    return spectrum[hertz > frequency].sum() / spectrum.sum()


@pytest.mark.parametrize(("dbfs", "peak"), [(3.0103, 1.0), (-16.9897, 0.1), (-36.9897, 0.01)])
def test_volume_reaches_the_level_and_keeps_the_shape(dbfs, peak):
    changed = augment(f"volume[dbfs={dbfs}]")
    assert np.abs(changed).max() == pytest.approx(peak, rel=1e-4)
    np.testing.assert_allclose(changed / peak, CLIP / np.abs(CLIP).max(), atol=1e-4)


def test_a_volume_beyond_full_scale_is_cut_off():
    changed = augment("volume[dbfs=9.0309]", tone(440))
    assert np.mean(np.abs(changed) == 1) == pytest.approx(2 / 3, abs=0.01)


def test_schedules_follow_the_progress_of_training():
    for clock, peak in [(0.0, 0.1), (0.5, 10**-1.5), (1.0, 0.01)]:
        changed = augment("volume[dbfs=-16.9897:-36.9897]", clock=clock)
        assert np.abs(changed).max() == pytest.approx(peak, rel=1e-4)


@pytest.mark.parametrize("snr", [-5, 0, 20])
@pytest.mark.parametrize("layers", [1, 3])
def test_overlays_have_the_ratio_of_energies_asked_for(tmp_path, snr, layers):
    random = np.random.default_rng(2)
    # Shorter than the clip, so that it is repeated.
    soundfile.write(tmp_path / "noise.wav", random.uniform(-0.1, 0.1, 21931), SAMPLE_RATE)
    clip = tone(440)
    changed = augment(f"overlay[source={tmp_path},snr={snr},layers={layers}]", clip)
    share = np.dot(changed, clip) / np.dot(clip, clip)
    noise = changed - share * clip
    ratio = 10 * np.log10(np.sum((share * clip) ** 2) / np.sum(noise**2))
    assert ratio == pytest.approx(snr, abs=0.3)
    assert np.abs(changed).max() == pytest.approx(0.5, rel=1e-4)


def test_overlays_start_anywhere_in_a_long_recording(tmp_path):
    # The pitch tells from where it was taken.
    times = np.arange(10 * SAMPLE_RATE) / SAMPLE_RATE
    rising = np.sin(2 * np.pi * (200 + 150 * times) * times)
    soundfile.write(tmp_path / "rising.wav", rising, SAMPLE_RATE)
    quiet = np.full(1600, 1e-3, np.float32)
    pitches = [
        strongest(augment(f"overlay[source={tmp_path},snr=-60]", quiet, row)) for row in range(20)
    ]
    assert min(pitches) < 1000 and max(pitches) > 2000


def test_nothing_is_laid_over_with_silence_or_without_layers(tmp_path):
    soundfile.write(tmp_path / "silence.wav", np.zeros(800), SAMPLE_RATE)
    for parameters in ("snr=0", "layers=0"):
        np.testing.assert_array_equal(augment(f"overlay[source={tmp_path},{parameters}]"), CLIP)


def test_reverb_repeats_a_click_at_its_delays_and_decays():
    click = np.zeros(3200, np.float32)
    click[0] = 1.0
    changed = augment("reverb[delay=17,decay=20]", click)
    # The click itself is in the signal and in each of five echoing copies.
    for milliseconds in (17, 19, 23, 29, 31):
        assert changed[16 * milliseconds] == pytest.approx(0.1 / 6, rel=1e-3)
        assert changed[2 * 16 * milliseconds] == pytest.approx(0.01 / 6, rel=1e-3)
    assert np.count_nonzero(changed[1 : 16 * 17]) == 0
    assert changed[0] == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize("rate", [4000, 8000, 12000])
def test_resampling_takes_away_what_the_lower_rate_cannot_hold(rate):
    random = np.random.default_rng(3)
    hiss = random.uniform(-0.5, 0.5, SAMPLE_RATE).astype(np.float32)
    changed = augment(f"resample[rate={rate}]", hiss)
    assert energy_above(changed, 1.02 * rate / 2) < 1e-4
    low = tone(0.3 * rate)
    np.testing.assert_allclose(
        augment(f"resample[rate={rate}]", low)[200:-200], low[200:-200], atol=2e-3
    )


def test_a_codec_loses_more_at_lower_bit_rates_and_stays_in_step():
    def loss(bitrate):
        return np.mean((augment(f"codec[bitrate={bitrate}]") - CLIP) ** 2) / np.mean(CLIP**2)

    losses = [loss(bitrate) for bitrate in (3200, 16000, 64000)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.02


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.25, 2.0])
def test_tempo_changes_the_length_and_not_the_pitch(factor):
    changed = augment(f"tempo[factor={factor}]", tone(440))
    assert len(changed) == round(len(TIMES) / factor)
    assert strongest(changed) == pytest.approx(440, abs=2)
    assert np.abs(changed[:-400]).reshape(-1, 20).max() == pytest.approx(0.5, abs=0.02)


def test_tempo_keeps_order_and_times():
    first, second = tone(400)[:16000], tone(1000)[:16000]
    changed = augment("tempo[factor=1.25]", np.concatenate([first, second]))
    middle = len(changed) // 2
    assert strongest(changed[: middle - 400]) == pytest.approx(400, abs=3)
    assert strongest(changed[middle + 400 :]) == pytest.approx(1000, abs=3)


def test_tempo_leaves_the_frames_that_a_transcript_needs():
    frames = frame_count(len(CLIP))
    assert frame_count(len(augment("tempo[factor=2]", least_frames=frames - 3))) == frames - 3
    np.testing.assert_array_equal(augment("tempo[factor=2]", least_frames=frames + 9), CLIP)


@pytest.mark.parametrize("pitch", [0.7, 0.95, 1.2, 1.6])
def test_pitch_changes_frequencies_and_not_the_length(pitch):
    changed = augment(f"pitch[pitch={pitch}]", tone(440))
    assert len(changed) == len(TIMES)
    assert strongest(changed) == pytest.approx(440 * pitch, rel=0.01)


@pytest.mark.parametrize("specification", ["pitch[pitch=2]", "pitch[pitch=0.5]"])
@pytest.mark.parametrize("length", [0, 1, 2, 3])
def test_pitch_keeps_the_length_of_the_shortest_clips(specification, length):
    assert len(augment(specification, CLIP[:length])) == length
