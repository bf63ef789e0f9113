import numpy as np
import pytest

from stt_model.augmentation.specification import Augmenter, Visit, parse_augmentations

SPECTROGRAM = np.random.default_rng(0).uniform(1, 2, (100, 257)).astype(np.float32)
FEATURES = np.random.default_rng(0).standard_normal((100, 26)).astype(np.float32)


def augment(specification, data=SPECTROGRAM, row=0, clock=0.0):
    augmenter = Augmenter(parse_augmentations(specification), seed=1)
    domain = augmenter.augmentations[0].domain
    return augmenter.choose(Visit(1, row, clock)).apply(domain, data)


@pytest.mark.parametrize("domain", ["spectrogram", "features"])
def test_time_masks_silence_whole_frames(domain):
    data = SPECTROGRAM if domain == "spectrogram" else FEATURES
    changed = augment(f"time_mask[domain={domain},n=1,size=200]", data)
    silent = np.flatnonzero(~changed.any(axis=1))
    assert list(silent) == list(range(silent[0], silent[0] + 10))
    rest = np.delete(np.arange(100), silent)
    np.testing.assert_array_equal(changed[rest], data[rest])


def test_time_masks_of_samples_are_in_milliseconds_too():
    changed = augment("time_mask[domain=signal,n=1,size=50]", np.full(16000, 0.5, np.float32))
    silent = np.flatnonzero(changed == 0)
    assert len(silent) == 800 and silent[-1] - silent[0] == 799


def test_a_time_mask_shorter_than_a_frame_silences_one():
    assert np.sum(~augment("time_mask[n=1,size=1]").any(axis=1)) == 1


def test_frequency_masks_silence_bands_of_all_frames():
    changed = augment("frequency_mask[n=1,size=7]")
    silent = np.flatnonzero(~changed.any(axis=0))
    assert list(silent) == list(range(silent[0], silent[0] + 7))
    rest = np.delete(np.arange(257), silent)
    np.testing.assert_array_equal(changed[:, rest], SPECTROGRAM[:, rest])


def test_masks_lie_anywhere():
    starts = {np.argmin(augment("time_mask[n=1,size=20]", row=row)[:, 0]) for row in range(2000)}
    assert starts == set(range(100))


def test_as_many_masks_as_asked_for_and_something_is_left():
    silent = [np.sum(~augment(f"frequency_mask[n={n},size=1]").any(axis=0)) for n in (0, 1, 5, 20)]
    assert silent[:2] == [0, 1] and silent == sorted(silent) and silent[3] > 10
    assert augment("time_mask[n=1,size=9999]").any()


@pytest.mark.parametrize("rate", [0, 0.05, 0.5, 1])
def test_dropout_zeroes_that_share(rate):
    changed = augment(f"dropout[rate={rate}]")
    assert np.mean(changed == 0) == pytest.approx(rate, abs=0.01)
    np.testing.assert_array_equal(changed[changed > 0], SPECTROGRAM[changed > 0])


def test_add_and_multiply_have_the_deviation_asked_for():
    added = augment("add[stddev=3]", FEATURES) - FEATURES
    factors = augment("multiply[stddev=0.2]", FEATURES) / FEATURES
    assert (np.mean(added), np.std(added)) == pytest.approx((0, 3), abs=0.2)
    assert (np.mean(factors), np.std(factors)) == pytest.approx((1, 0.2), abs=0.02)
    np.testing.assert_array_equal(augment("add[stddev=0]", FEATURES), FEATURES)
    np.testing.assert_array_equal(augment("multiply[stddev=0]", FEATURES), FEATURES)


def test_warps_move_along_the_axis_asked_for_and_leave_the_edges():
    ramp = np.arange(100, dtype=np.float32)[:, None] + np.zeros((1, 257), np.float32)
    in_time = augment("warp[nt=3,nf=0,wt=0.5]", ramp)
    # Without a crossing there is nothing to shift.
    np.testing.assert_array_equal(in_time, ramp)
    in_time = augment("warp[nt=3,nf=1,wt=0.5]", ramp)
    assert np.abs(in_time - ramp).max() > 2
    np.testing.assert_allclose(in_time[[0, -1]], ramp[[0, -1]], atol=1e-4)
    np.testing.assert_allclose(in_time[:, [0, -1]], ramp[:, [0, -1]], atol=1e-4)
    in_frequency = augment("warp[nt=1,nf=3,wt=0,wf=0.5]", ramp)
    np.testing.assert_allclose(in_frequency, ramp, atol=1e-4)


def test_a_warp_of_one_is_half_the_way_to_the_next_line():
    ramp = np.arange(101, dtype=np.float32)[:, None] + np.zeros((1, 257), np.float32)
    # The only crossing is at frame 50 and band 128, 50.5 frames from the edges.
    shifts = [(augment("warp[wt=0.1]", ramp, row) - ramp)[50, 128] for row in range(800)]
    assert np.std(shifts) == pytest.approx(0.1 * 101 / 4, rel=0.15)


def test_a_warp_of_nothing_changes_nothing():
    np.testing.assert_allclose(augment("warp[nt=4,nf=4,wt=0,wf=0]"), SPECTROGRAM, rtol=1e-6)


def test_masks_of_one_frame_or_none_leave_it():
    for frames in (0, 1):
        data = SPECTROGRAM[:frames]
        np.testing.assert_array_equal(augment("time_mask[n=3,size=100]", data), data)
        assert augment("warp", data).shape == data.shape
