import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from stt_model.augmentation.parameters import Domain, Range, read_range
from stt_model.augmentation.specification import (
    AUGMENTATIONS,
    Augmenter,
    Visit,
    parse_augmentations,
)
from stt_model.base.errors import BootstrapError
from stt_model.corpus.manifests import Utterance, write_manifest

SHAPES = {Domain.SIGNAL: (), Domain.SPECTROGRAM: (257,), Domain.FEATURES: (26,)}


def draw_clip(domain, length, seed=0):
    data = np.random.default_rng(seed).standard_normal((length, *SHAPES[domain]))
    data = np.abs(data) if domain is Domain.SPECTROGRAM else data / 5
    return data.astype(np.float32)


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """A folder with two short recordings, one of them at another rate and in stereo."""
    folder = tmp_path_factory.mktemp("noise")
    random = np.random.default_rng(1)
    soundfile.write(folder / "hiss.wav", random.uniform(-0.3, 0.3, 4000), 16000)
    soundfile.write(folder / "hum.flac", random.uniform(-0.3, 0.3, (9000, 2)), 22050)
    return folder


def specification(name, noise, p=1.0):
    source = f",source={noise}" if name == "overlay" else ""
    return f"{name}[p={p}{source}]"


def augmenter(*specifications, seed=1):
    return Augmenter(parse_augmentations(" ".join(specifications)), seed)


# The grammar


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2", (2, 2, 0)),
        ("1.2~0.4", (1.2, 1.2, 0.4)),
        ("-10:-40", (-10, -40, 0)),
        ("4:6~2", (4, 6, 2)),
    ],
)
def test_ranges_are_written_as_in_coqui(text, expected):
    found = read_range(text, minimum=-100, maximum=100)
    assert (found.start, found.end, found.radius) == expected


@pytest.mark.parametrize(
    "text", ["", "a", "1:", ":1", "1~", "1:2:3", "1~2~3", "nan", "inf", "1~-1"]
)
def test_a_text_that_is_no_range_is_refused(text):
    with pytest.raises(ValueError, match="expected numbers"):
        read_range(text, minimum=-100, maximum=100)


@given(
    st.floats(-50, 50), st.floats(-50, 50), st.floats(0, 20), st.floats(0, 1), st.integers(0, 99)
)
def test_values_are_drawn_from_around_a_centre_that_moves(start, end, radius, clock, seed):
    value = Range(start, end, radius, -40, 40).draw(np.random.default_rng(seed), clock)
    centre = start + clock * (end - start)
    assert -40 <= value <= 40
    assert abs(value - np.clip(centre, -40, 40)) <= radius + 1e-9


def test_every_value_of_a_range_of_whole_numbers_comes_up():
    random = np.random.default_rng(0)
    numbers = read_range("1:3~1", minimum=0, maximum=9, whole=True)
    assert {numbers.draw(random, 0.0) for _ in range(200)} == {0, 1, 2}
    assert {numbers.draw(random, 1.0) for _ in range(200)} == {2, 3, 4}


def test_the_example_of_coquis_documentation_is_understood(noise):
    text = f"""
        overlay[p=0.5,source={noise},layers=1,snr=50:20~10]
        reverb[p=0.1,delay=50.0~30.0,decay=10.0:2.0~1.0]
        resample[p=0.1,rate=12000:8000~4000];codec[p=0.1,bitrate=48000:16000]
        volume[p=0.1,dbfs=-10:-40] pitch[p=0.1,pitch=1~0.2] tempo[p=0.1,factor=1~0.5]
        warp[p=0.1,nt=4,nf=1,wt=0.5:1.0,wf=0.1:0.2] frequency_mask[p=0.1,n=1:3,size=1:5]
        time_mask[p=0.1,domain=signal,n=3:10~2,size=50:100~40] dropout[p=0.1,rate=0.05]
        add[p=0.1,domain=signal,stddev=0~0.5] multiply[p=0.1,domain=features,stddev=0~0.5]
    """
    found = parse_augmentations(text)
    assert {type(each) for each in found} == set(AUGMENTATIONS.values())
    assert [each.p for each in found] == [0.5] + 12 * [0.1]
    mask = found[9]
    assert mask.domain is Domain.SIGNAL
    assert (mask.n.start, mask.n.end, mask.n.radius) == (3, 10, 2)


def test_specifications_are_separated_outside_of_brackets_only(tmp_path):
    source = tmp_path / "a b;c"
    source.mkdir()
    soundfile.write(source / "hiss.wav", np.ones(8), 16000)
    text = f" volume[dbfs=-10] ;overlay[source={source}]\nwarp[nt=2, wt=0.5] "
    names = [type(each).__name__ for each in parse_augmentations(text)]
    assert names == ["Volume", "Overlay", "Warp"]
    assert parse_augmentations("") == []


def test_both_names_of_parameters_of_a_warp_are_understood():
    documented, coded = parse_augmentations("warp[nt=4,wt=0.5] warp[num_t=4,warp_t=0.5]")
    assert documented == coded


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("volume(p=1)", "'volume(p=1)': expected NAME or NAME[PARAMETER=VALUE,…], such as volume["),
        ("volune", "volune: unknown augmentation 'volune'; known are volume, overlay, "),
        ("volune", "; did you mean volume?"),
        ("volume[db=3]", "unknown parameter 'db'; known are p, dbfs; did you mean dbfs?"),
        ("volume[domain=signal]", "unknown parameter 'domain'; known are p, dbfs"),
        ("volume[3]", "expected PARAMETER=VALUE, got '3'"),
        ("volume[p=1,]", "expected PARAMETER=VALUE, got ''"),
        ("volume[p=1,p=1]", "p is given twice"),
        ("warp[nt=1,num_t=2]", "num_t is given twice"),
        ("volume[p=1.5]", "p: expected a probability from 0 to 1, got '1.5'"),
        ("volume[p=often]", "p: expected a probability from 0 to 1, got 'often'"),
        ("volume[dbfs=loud]", "dbfs: expected numbers from -100 to 40, as VALUE, START:END, VALUE"),
        ("resample[rate=8000.5]", "rate: expected whole numbers from 1000 to 48000, as VALUE"),
        ("tempo[factor=3]", "factor: expected numbers from 0.5 to 2, as VALUE"),
        ("time_mask[domain=mel]", "domain: expected one of signal, spectrogram, features, got"),
        ("overlay", "expected source=…, found none"),
        ("overlay[source=/no/where]", "/no/where: expected an audio file or a folder of them"),
    ],
)
def test_bad_specifications_are_one_clear_line(text, message):
    with pytest.raises(BootstrapError) as caught:
        parse_augmentations(text)
    assert str(caught.value).startswith("--augment ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_sources_without_audio_are_named(tmp_path):
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text("no audio")
    broken = tmp_path / "broken.wav"
    broken.write_text("no audio")
    manifest = write_manifest_of(tmp_path / "noise.csv", [broken])
    silent = write_manifest_of(tmp_path / "silent.csv", [])
    for source, message in {
        tmp_path / "text": "text: expected audio (.wav",
        broken: "broken.wav: expected readable audio, found",
        manifest: "broken.wav: expected readable audio, found",
        silent: "silent.csv: expected at least one recording with sound, found none",
    }.items():
        with pytest.raises(BootstrapError) as caught:
            parse_augmentations(f"overlay[source={source}]")
        assert message in str(caught.value)


def write_manifest_of(path, recordings):
    rows = [Utterance(str(each), each, 0, "-", row, path) for row, each in enumerate(recordings, 1)]
    write_manifest(path, rows)
    return path


def test_overlays_come_from_manifests_folders_and_files(noise, tmp_path):
    manifest = write_manifest_of(tmp_path / "noise.csv", [noise / "hum.flac"])
    sources = {noise: 2, noise / "hiss.wav": 1, manifest: 1, noise.as_uri(): 2}
    for source, count in sources.items():
        (overlay,) = parse_augmentations(f"overlay[source={source}]")
        assert len(overlay.source) == count


# What holds for all


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_a_probability_of_nothing_changes_nothing(name, noise):
    never = augmenter(specification(name, noise, p=0))
    for domain in Domain:
        data = draw_clip(domain, 40)
        assert never.choose(Visit(1, 1, 0.5)).apply(domain, data) is data


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_an_augmentation_acts_in_its_domain_and_leaves_what_it_was_given(name, noise):
    each = augmenter(specification(name, noise))
    for domain in Domain:
        data = draw_clip(domain, 4000 if domain is Domain.SIGNAL else 60)
        before = data.copy()
        changed = each.choose(Visit(1, 1, 0.5)).apply(domain, data)
        acts = domain is each.augmentations[0].domain
        assert np.array_equal(changed, data) != acts
        np.testing.assert_array_equal(data, before)


def test_seed_epoch_and_row_decide_and_the_order_does_not(noise):
    specifications = [specification(name, noise, p=0.7) for name in AUGMENTATIONS]
    data = draw_clip(Domain.SIGNAL, 3000)
    visits = [Visit(epoch, row, 0.5) for epoch in (1, 2) for row in (0, 1)]

    def augmented(seed, order):
        choose = augmenter(*specifications, seed=seed).choose
        return {visit: choose(visit).apply(Domain.SIGNAL, data) for visit in order}

    first, second = augmented(1, visits), augmented(1, visits[::-1])
    for visit in visits:
        np.testing.assert_array_equal(first[visit], second[visit])
    seen = {each.tobytes() for each in (*first.values(), *augmented(2, visits).values())}
    assert len(seen) == 2 * len(visits)


def test_one_more_augmentation_leaves_what_the_others_do():
    data = draw_clip(Domain.FEATURES, 50)
    alone, more = augmenter("add[p=0.5]"), augmenter("add[p=0.5]", "volume[p=0.5]")
    for row in range(20):
        visit = Visit(1, row, 0.0)
        np.testing.assert_array_equal(
            alone.choose(visit).apply(Domain.FEATURES, data),
            more.choose(visit).apply(Domain.FEATURES, data),
        )


def test_features_of_the_unchanged_clip_do_where_chance_leaves_it_unchanged():
    some = augmenter("volume[p=0.5]", "time_mask[p=0.5]", "add")
    chosen = [some.choose(Visit(1, row, 0.0)) for row in range(100)]
    for each in chosen:
        domains = {augmentation.domain for augmentation, _ in each.steps}
        assert each.on_features_only == (domains == {Domain.FEATURES})
    assert 10 < sum(each.on_features_only for each in chosen) < 40


def test_any_seed_will_do():
    assert augmenter("add", seed=-1).choose(Visit(1, 1, 0.0)).steps


def test_a_share_of_the_utterances_is_augmented():
    some = augmenter("volume[p=0.3,dbfs=-30]")
    data = draw_clip(Domain.SIGNAL, 100)
    visits = [Visit(1, row, 0.0) for row in range(1000)]
    changed = sum(some.choose(visit).apply(Domain.SIGNAL, data) is not data for visit in visits)
    assert changed == pytest.approx(300, abs=50)


@pytest.mark.parametrize("name", AUGMENTATIONS)
@given(
    length=st.integers(0, 3000),
    kind=st.sampled_from(["noise", "silence", "full", "click"]),
    clock=st.floats(0, 1),
    row=st.integers(0, 10**6),
)
@settings(max_examples=20, deadline=None)
def test_whatever_comes_in_finite_numbers_come_out(name, noise, length, kind, clock, row):
    each = augmenter(specification(name, noise))
    domain = each.augmentations[0].domain
    length = length if domain is Domain.SIGNAL else length // 50
    data = draw_clip(domain, length, seed=row)
    if kind != "noise":
        data[:] = 1.0 if kind == "full" else 0.0
    if kind == "click" and length:
        data[length // 2] = 1.0
    changed = each.choose(Visit(1, row, clock)).apply(domain, data)
    assert changed.dtype == np.float32
    assert np.isfinite(changed).all()
    assert changed.shape[1:] == data.shape[1:]
    if name == "tempo":
        assert len(changed) == round(length / 1.1)
    else:
        assert len(changed) == length
    if domain is Domain.SIGNAL:
        assert np.abs(changed).max(initial=0) <= 1
    if domain is Domain.SPECTROGRAM:
        assert changed.min(initial=0) >= 0
