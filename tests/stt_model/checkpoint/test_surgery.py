"""Dropping, starting and reordering layers."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt_model.base.errors import CheckpointError, SurgeryError
from stt_model.checkpoint.directory import open_checkpoint, read_weights, weights_digest
from stt_model.checkpoint.geometry import LSTM_BIAS, LSTM_KERNEL, Geometry
from stt_model.checkpoint.surgery import (
    LAYERS,
    drop_layers,
    fit_output_order,
    initialise,
    operate,
    start_from_scratch,
    variables_of,
)
from stt_model.text.alphabet import CharacterAlphabet
from tests.stt_model.checkpoints import (
    BYTES,
    ENGLISH,
    GERMAN,
    geometry_for,
    make_checkpoint,
    random_weights,
)

RUSSIAN = CharacterAlphabet("абвгд ")
SHUFFLED = CharacterAlphabet("'zyxwvutsrqponmlkjihgfedcba ")

alphabets = st.lists(st.sampled_from("abcdefghäöü "), min_size=1, unique=True).map(
    CharacterAlphabet
)


def identical(first: np.ndarray, second: np.ndarray) -> bool:
    return first.shape == second.shape and first.tobytes() == second.tobytes()


def outputs(weights: dict[str, np.ndarray], output: int) -> list[float]:
    """The weights and the bias of one class."""
    return [*weights["layer_6/weights"][:, output], weights["layer_6/bias"][output]]


class TestLayers:
    @pytest.mark.parametrize("layer_norm", [False, True])
    def test_have_every_variable_once_and_in_order(self, layer_norm):
        geometry = geometry_for(layer_norm=layer_norm)
        names = [name for layer in LAYERS for name in variables_of(layer, geometry)]
        assert names == list(geometry.shapes())

    def test_own_their_normalisation(self):
        assert variables_of("layer_5", geometry_for(layer_norm=True)) == (
            "layer_5/weights",
            "layer_5/bias",
            "layer_5/LayerNorm/beta",
            "layer_5/LayerNorm/gamma",
        )
        assert variables_of("lstm", geometry_for()) == (LSTM_KERNEL, LSTM_BIAS)

    def test_others_are_refused(self):
        with pytest.raises(SurgeryError, match="no layer 'layer_4'; expected one of layer_1, "):
            variables_of("layer_4", geometry_for())


class TestInitialise:
    def test_weights_are_glorot_uniform(self):
        weights = initialise(Geometry(128, 29), seed=1)
        for name in (f"layer_{number}/weights" for number in (1, 2, 3, 5, 6)):
            rows, columns = weights[name].shape
            self.check_uniform(weights[name], np.sqrt(6 / (rows + columns)))
        self.check_uniform(weights[LSTM_KERNEL], np.sqrt(6 / (256 + 512)))

    @staticmethod
    def check_uniform(values: np.ndarray, limit: float) -> None:
        assert values.dtype == np.float32
        assert 0.99 * limit < values.max() <= limit
        assert -limit <= values.min() < -0.99 * limit
        assert abs(values.mean()) < 0.03 * limit
        np.testing.assert_allclose(values.std(), limit / np.sqrt(3), rtol=0.03)

    def test_biases_are_zero_and_normalisation_is_the_identity(self):
        for name, values in initialise(geometry_for(layer_norm=True), seed=1).items():
            if values.ndim == 1:
                assert set(values) == ({1} if name.endswith("gamma") else {0})

    def test_depends_on_the_seed_and_the_name(self):
        first, same, other = (initialise(geometry_for(), seed) for seed in (1, 1, 2))
        for name, values in first.items():
            assert identical(values, same[name])
            assert values.ndim == 1 or not identical(values, other[name])
        assert not identical(first["layer_2/weights"], first["layer_3/weights"])

    def test_values_stay_from_release_to_release(self):
        corner = initialise(geometry_for(), seed=4568)["layer_2/weights"][0, :3]
        np.testing.assert_array_equal(
            corner, np.array([-0.45880944, 0.2155102, -0.32788095], np.float32)
        )

    def test_a_negative_seed(self):
        with pytest.raises(SurgeryError, match="the seed must be 0 or more, found -1"):
            initialise(geometry_for(), -1)


class TestDropping:
    @pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
    @pytest.mark.parametrize("layer_norm", [False, True], ids=["plain", "layer_norm"])
    def test_keeps_the_first_layers_and_starts_the_others(self, count, layer_norm):
        geometry = geometry_for(layer_norm=layer_norm)
        source = random_weights(geometry)
        result, target, surgery = drop_layers(
            source, geometry, ENGLISH, RUSSIAN, drop_source_layers=count, seed=3, warm_start=False
        )
        fresh = initialise(target, 3)

        assert target == replace(geometry, n_classes=RUSSIAN.classes)
        assert {name: values.shape for name, values in result.items()} == target.shapes()
        assert surgery.dropped_layers == LAYERS[6 - count :]
        assert surgery.kept_layers == LAYERS[: 6 - count]
        for layer in LAYERS:
            expected = source if layer in surgery.kept_layers else fresh
            for name in variables_of(layer, target):
                assert identical(result[name], expected[name]), name

    def test_new_layers_are_the_same_however_many_are_dropped(self):
        geometry = geometry_for()
        results = [
            drop_layers(
                random_weights(geometry),
                geometry,
                ENGLISH,
                GERMAN,
                drop_source_layers=count,
                seed=3,
                warm_start=False,
            )[0]
            for count in (1, 2, 5)
        ]
        assert identical(results[0]["layer_6/weights"], results[2]["layer_6/weights"])
        assert identical(results[1]["layer_5/weights"], results[2]["layer_5/weights"])

    @pytest.mark.parametrize("count", [-1, 0, 6, 100])
    def test_out_of_range(self, count):
        with pytest.raises(SurgeryError, match=f"expected 1 to 5 .*, found {count}"):
            self.drop(count=count)

    def test_a_bytes_model_is_fine_tuned_instead(self):
        with pytest.raises(SurgeryError, match=r"a bytes model, .*: fine-tune it"):
            self.drop(source=BYTES)

    def test_an_alphabet_that_is_not_the_source_s(self):
        with pytest.raises(SurgeryError, match=r"of 31 labels is not .* 29 classes"):
            self.drop(source=GERMAN, geometry=geometry_for(ENGLISH))

    @staticmethod
    def drop(count=1, source=ENGLISH, target=RUSSIAN, geometry=None, **options):
        geometry = geometry or geometry_for(source)
        return drop_layers(
            random_weights(geometry),
            geometry,
            source,
            target,
            drop_source_layers=count,
            seed=3,
            **options,
        )

    @given(source=alphabets, target=alphabets)
    def test_warm_start_keeps_shared_characters_and_the_blank(self, source, target):
        geometry = geometry_for(source)
        weights = random_weights(geometry)
        result, grafted, surgery = self.drop(source=source, target=target)
        fresh = initialise(grafted, 3)

        assert set(surgery.warm_started) == set(source.labels) & set(target.labels)
        assert outputs(result, target.blank) == outputs(weights, source.blank)
        for number, character in enumerate(target.labels):
            if character in source.labels:
                kept = outputs(weights, source.labels.index(character))
                assert outputs(result, number) == kept
            else:
                assert outputs(result, number) == outputs(fresh, number)

    @pytest.mark.parametrize(("count", "warm_start"), [(1, False), (2, True), (5, True)])
    def test_no_warm_start(self, count, warm_start):
        result, target, surgery = self.drop(count, target=GERMAN, warm_start=warm_start)
        assert surgery.warm_started == ()
        assert identical(result["layer_6/weights"], initialise(target, 3)["layer_6/weights"])

    def test_to_bytes_keeps_only_the_blank(self):
        result, _, surgery = self.drop(target=BYTES)
        assert surgery.warm_started == ()
        assert outputs(result, BYTES.blank) == outputs(
            random_weights(geometry_for()), ENGLISH.blank
        )

    def test_leaves_the_source_as_it_was(self):
        geometry = geometry_for()
        source = random_weights(geometry)
        drop_layers(source, geometry, ENGLISH, GERMAN, drop_source_layers=1, seed=3)
        assert weights_digest(source) == weights_digest(random_weights(geometry))


class TestOutputOrder:
    def test_another_order_moves_the_outputs(self):
        weights = random_weights(geometry_for())
        result = fit_output_order(weights, ENGLISH, SHUFFLED)
        for character in ENGLISH.labels:
            assert outputs(result, SHUFFLED.labels.index(character)) == outputs(
                weights, ENGLISH.labels.index(character)
            )
        assert outputs(result, SHUFFLED.blank) == outputs(weights, ENGLISH.blank)
        for name in weights.keys() - {"layer_6/weights", "layer_6/bias"}:
            assert identical(result[name], weights[name])

    @pytest.mark.parametrize("alphabet", [ENGLISH, BYTES])
    def test_the_same_order_changes_nothing(self, alphabet):
        weights = random_weights(geometry_for(alphabet))
        assert weights_digest(fit_output_order(weights, alphabet, alphabet)) == weights_digest(
            weights
        )

    def test_there_and_back(self):
        weights = random_weights(geometry_for())
        there = fit_output_order(weights, ENGLISH, SHUFFLED)
        assert weights_digest(fit_output_order(there, SHUFFLED, ENGLISH)) == weights_digest(weights)

    @pytest.mark.parametrize(
        ("source", "target", "difference"),
        [
            (ENGLISH, GERMAN, "\"'\", 'ß', 'ä', 'ö', 'ü'"),
            (ENGLISH, CharacterAlphabet(ENGLISH.labels[:-1]), '"\'"'),
            (ENGLISH, BYTES, "bytes and characters"),
        ],
        ids=["more", "fewer", "kind"],
    )
    def test_other_labels(self, source, target, difference):
        with pytest.raises(SurgeryError, match=f"these differ: {difference}; transfer instead"):
            fit_output_order(random_weights(geometry_for(source)), source, target)

    def test_an_alphabet_that_is_not_the_weights(self):
        with pytest.raises(SurgeryError, match=r"of 28 labels is not .* 32 classes"):
            fit_output_order(random_weights(geometry_for(GERMAN)), ENGLISH, SHUFFLED)


class TestOperating:
    def test_transfer(self, tmp_path):
        weights = make_checkpoint(tmp_path / "in", step=42)
        surgery = operate(
            tmp_path / "in",
            tmp_path / "out",
            target_alphabet=GERMAN,
            mode="transfer",
            drop_source_layers=1,
            seed=9,
        )
        found = open_checkpoint(tmp_path / "out")
        result = read_weights(found)

        assert (found.alphabet, found.geometry) == (GERMAN, geometry_for(GERMAN))
        assert (found.which, found.step, found.has_adam) == ("best", 0, False)
        assert identical(result[LSTM_KERNEL], weights[LSTM_KERNEL])
        assert surgery.seed == 9
        assert "".join(surgery.warm_started) == " abcdefghijklmnopqrstuvwxyz"
        expected, _, _ = drop_layers(
            weights, geometry_for(), ENGLISH, GERMAN, drop_source_layers=1, seed=9
        )
        assert weights_digest(result) == weights_digest(expected)

    def test_fine_tune(self, tmp_path):
        weights = make_checkpoint(tmp_path / "in", alphabet=BYTES, layer_norm=True)
        surgery = operate(
            tmp_path / "in", tmp_path / "out", target_alphabet=BYTES, mode="fine-tune"
        )
        found = open_checkpoint(tmp_path / "out")
        assert found.alphabet == BYTES
        assert found.digest() == weights_digest(weights)
        assert (surgery.kept_layers, surgery.dropped_layers) == (LAYERS, ())
        assert (surgery.seed, surgery.reordered) == (None, False)

    def test_fine_tune_in_another_order(self, tmp_path):
        weights = make_checkpoint(tmp_path / "in")
        surgery = operate(
            tmp_path / "in", tmp_path / "out", target_alphabet=SHUFFLED, mode="fine-tune"
        )
        found = open_checkpoint(tmp_path / "out")
        assert surgery.reordered
        assert found.alphabet == SHUFFLED
        expected = fit_output_order(weights, ENGLISH, SHUFFLED)
        assert found.digest() == weights_digest(expected)

    def test_the_learning_rate_of_the_source_stays_behind(self, tmp_path):
        make_checkpoint(tmp_path / "in", learning_rate=0.25)
        operate(tmp_path / "in", tmp_path / "out", target_alphabet=ENGLISH, mode="fine-tune")
        assert open_checkpoint(tmp_path / "out").learning_rate == 0.001

    def test_which_of_the_source(self, tmp_path):
        make_checkpoint(tmp_path / "in", seed=1, which="best")
        last = make_checkpoint(tmp_path / "in", seed=2, which="last")
        operate(
            tmp_path / "in",
            tmp_path / "out",
            target_alphabet=ENGLISH,
            mode="fine-tune",
            which="last",
        )
        assert open_checkpoint(tmp_path / "out").digest() == weights_digest(last)

    def test_a_source_without_its_alphabet(self, tmp_path):
        make_checkpoint(tmp_path / "in")
        (tmp_path / "in" / "alphabet.txt").unlink()
        with pytest.raises(CheckpointError, match="no alphabet"):
            operate(tmp_path / "in", tmp_path / "out", target_alphabet=GERMAN, mode="transfer")
        operate(
            tmp_path / "in",
            tmp_path / "out",
            target_alphabet=GERMAN,
            mode="transfer",
            source_alphabet=ENGLISH,
        )
        assert open_checkpoint(tmp_path / "out").alphabet == GERMAN

    @pytest.mark.parametrize("made_before", [True, False])
    def test_refusals_leave_nothing(self, tmp_path, made_before):
        make_checkpoint(tmp_path / "in")
        out = tmp_path / "out"
        if made_before:
            out.mkdir()
        for options, message in (
            ({"mode": "transfer", "drop_source_layers": 6}, "expected 1 to 5"),
            ({"mode": "fine-tune"}, "fine-tuning needs the labels of the checkpoint"),
            ({"mode": "auto"}, "unknown mode 'auto'; expected fine-tune or transfer"),
            ({"mode": "transfer", "seed": -5}, "seed"),
        ):
            with pytest.raises(SurgeryError, match=message):
                operate(tmp_path / "in", out, target_alphabet=GERMAN, **options)
        assert out.exists() == made_before
        assert {path.name for path in tmp_path.iterdir()} == {"in", "out"} - (
            set() if made_before else {"out"}
        )

    def test_a_filled_output_is_refused(self, tmp_path):
        make_checkpoint(tmp_path / "in")
        with pytest.raises(SurgeryError, match="in: expected an empty or new directory"):
            operate(tmp_path / "in", tmp_path / "in", target_alphabet=ENGLISH, mode="fine-tune")
        with pytest.raises(SurgeryError, match="expected an empty or new directory"):
            start_from_scratch(tmp_path / "in", ENGLISH, geometry_for(), seed=1)

    def test_lineage_tells_the_whole_story(self, tmp_path):
        make_checkpoint(tmp_path / "in", step=42)
        before = datetime.now(timezone.utc).replace(microsecond=0)
        operate(tmp_path / "in", tmp_path / "a", target_alphabet=GERMAN, mode="transfer", seed=9)
        operate(
            tmp_path / "a",
            tmp_path / "b",
            target_alphabet=RUSSIAN,
            mode="transfer",
            drop_source_layers=2,
            seed=10,
        )
        lineage = json.loads((tmp_path / "b" / "lineage.json").read_text(encoding="utf-8"))
        source = lineage["source"]

        assert lineage["mode"] == "transfer"
        assert lineage["dropped_layers"] == ["layer_5", "layer_6"]
        assert lineage["kept_layers"] == ["layer_1", "layer_2", "layer_3", "lstm"]
        assert (lineage["seed"], lineage["warm_started"]) == (10, [])
        assert {"stt-bootstrap", "numpy", "python"} <= lineage["versions"].keys()
        assert datetime.fromisoformat(lineage["time"]) >= before
        assert (source["name"], source["step"]) == ("best_dev-0", 0)
        assert source["digest"] == open_checkpoint(tmp_path / "a").digest()
        assert source["alphabet_digest"] == GERMAN.digest
        assert source["lineage"] == open_checkpoint(tmp_path / "a").lineage
        assert source["lineage"]["source"]["name"] == "best_dev-42"
        assert source["lineage"]["source"]["lineage"] is None


class TestFromScratch:
    def test_is_all_new(self, tmp_path: Path):
        geometry = geometry_for(GERMAN, layer_norm=True)
        surgery = start_from_scratch(tmp_path / "out", GERMAN, geometry, seed=5)
        found = open_checkpoint(tmp_path / "out")
        assert (found.alphabet, found.geometry) == (GERMAN, geometry)
        assert found.digest() == weights_digest(initialise(geometry, 5))
        assert found.lineage["mode"] == surgery.mode == "scratch"
        assert found.lineage["source"] is None

    def test_of_an_alphabet_that_does_not_fit(self, tmp_path):
        with pytest.raises(CheckpointError, match="29"):
            start_from_scratch(tmp_path / "out", GERMAN, geometry_for(ENGLISH), seed=5)
        assert list(tmp_path.iterdir()) == []


def test_a_network_that_no_machine_can_train_is_refused_before_it_is_made(tmp_path):
    with pytest.raises(SurgeryError, match=r"--n_hidden 200000: expected a network .* GiB or more"):
        start_from_scratch(tmp_path / "new", RUSSIAN, Geometry(200_000, RUSSIAN.classes), seed=1)
    assert not (tmp_path / "new").exists()
