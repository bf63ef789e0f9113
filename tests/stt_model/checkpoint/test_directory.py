"""Checkpoint directories: what is read, what is refused and how, what is written and when."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from stt_model.base.errors import CheckpointError
from stt_model.checkpoint import writing as checkpoint_module
from stt_model.checkpoint.bundle import Bundle
from stt_model.checkpoint.bundle_writer import write_bundle
from stt_model.checkpoint.directory import (
    geometry_of_weights,
    open_checkpoint,
    read_weights,
    weights_digest,
)
from stt_model.checkpoint.geometry import LSTM_BIAS, LSTM_KERNEL, Geometry
from stt_model.checkpoint.writing import check_save_directory, write_checkpoint
from stt_model.corpus.audio_settings import AudioSettings
from stt_model.text.alphabet import CharacterAlphabet
from tests.stt_model.checkpoints import (
    BYTES,
    ENGLISH,
    GERMAN,
    N_HIDDEN,
    geometry_for,
    json_flags,
    line_flags,
    make_checkpoint,
    random_weights,
    save_variables,
    training_variables,
    write_state,
)


def same_weights(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> bool:
    return found.keys() == expected.keys() and all(
        found[name].tobytes() == expected[name].tobytes() for name in expected
    )


def refusal(directory: Path, **arguments: object) -> str:
    """The one line with which opening is refused."""
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(directory, **arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def write_variables(directory: Path, variables: dict[str, object]) -> None:
    """A directory whose best checkpoint holds these variables, with the English alphabet."""
    make_checkpoint(directory)
    save_variables(directory / "best_dev-7", variables)


class TestGeometry:
    def test_shapes_from_input_to_output(self):
        assert list(Geometry(2048, 29).shapes().items()) == [
            ("layer_1/weights", (494, 2048)),
            ("layer_1/bias", (2048,)),
            ("layer_2/weights", (2048, 2048)),
            ("layer_2/bias", (2048,)),
            ("layer_3/weights", (2048, 2048)),
            ("layer_3/bias", (2048,)),
            (LSTM_KERNEL, (4096, 8192)),
            (LSTM_BIAS, (8192,)),
            ("layer_5/weights", (2048, 2048)),
            ("layer_5/bias", (2048,)),
            ("layer_6/weights", (2048, 29)),
            ("layer_6/bias", (29,)),
        ]

    def test_layer_norm_on_all_dense_layers_but_the_last(self):
        added = Geometry(8, 29, layer_norm=True).shapes().keys() - Geometry(8, 29).shapes().keys()
        assert added == {
            f"layer_{number}/LayerNorm/{part}"
            for number in (1, 2, 3, 5)
            for part in ("beta", "gamma")
        }

    def test_is_told_by_the_weights(self):
        geometry = geometry_for(GERMAN, layer_norm=True)
        assert geometry_of_weights(random_weights(geometry)) == geometry


class TestOpening:
    @pytest.mark.parametrize("alphabet", [ENGLISH, BYTES], ids=["characters", "bytes"])
    @pytest.mark.parametrize("layer_norm", [False, True], ids=["plain", "layer_norm"])
    @pytest.mark.parametrize("flags", [json_flags, line_flags])
    @pytest.mark.parametrize("adam", [True, False], ids=["adam", "no_adam"])
    def test_folders_of_coqui_and_deepspeech_are_read(
        self, tmp_path, alphabet, layer_norm, flags, adam
    ):
        weights = make_checkpoint(
            tmp_path,
            alphabet=alphabet,
            layer_norm=layer_norm,
            flags=flags(alphabet, layer_norm),
            adam=adam,
            step=3663881,
        )
        found = open_checkpoint(tmp_path)

        assert found.geometry == Geometry(N_HIDDEN, alphabet.classes, layer_norm)
        assert found.alphabet == alphabet
        assert (found.which, found.step, found.learning_rate) == ("best", 3663881, 0.001)
        assert found.has_adam == adam
        assert not found.cudnn
        assert not found.mixed_precision
        assert found.flags["n_hidden"] == N_HIDDEN
        assert found.notes == ()
        assert same_weights(read_weights(found), weights)

    def test_deepspeech_0_7_has_no_learning_rate(self, tmp_path):
        make_checkpoint(tmp_path, learning_rate=None, flags=line_flags())
        assert open_checkpoint(tmp_path).learning_rate is None

    def test_cudnn_keeps_its_moments_elsewhere(self, tmp_path):
        weights = make_checkpoint(tmp_path, cudnn=True)
        found = open_checkpoint(tmp_path)
        assert found.cudnn
        assert not found.has_adam
        assert same_weights(read_weights(found), weights)

    def test_mixed_precision_has_float32_weights(self, tmp_path):
        weights = make_checkpoint(tmp_path, mixed_precision=True)
        found = open_checkpoint(tmp_path)
        assert found.mixed_precision
        assert same_weights(read_weights(found), weights)

    def test_best_before_last(self, tmp_path):
        best = make_checkpoint(tmp_path, seed=1, which="best", step=3)
        last = make_checkpoint(tmp_path, seed=2, which="last", step=5)
        for which, step, weights in (("auto", 3, best), ("best", 3, best), ("last", 5, last)):
            found = open_checkpoint(tmp_path, which)
            assert found.step == step
            assert same_weights(read_weights(found), weights)

    def test_last_where_there_is_no_best(self, tmp_path):
        make_checkpoint(tmp_path, which="last")
        assert open_checkpoint(tmp_path).which == "last"
        assert "no best checkpoint" in refusal(tmp_path, which="best")

    def test_an_unknown_which(self, tmp_path):
        assert "expected auto or best or last, found 'init'" in refusal(tmp_path, which="init")

    @pytest.mark.parametrize(
        "path",
        [
            "/home/somebody/models/best_dev-7",
            "models/best_dev-7",
            r"C:\\Users\\somebody\\best_dev-7",
            "s3://bucket/models/best_dev-7",
        ],
    )
    def test_state_of_another_machine(self, tmp_path, path):
        make_checkpoint(tmp_path)
        write_state(tmp_path, path, kept=("/elsewhere/best_dev-1",))
        assert open_checkpoint(tmp_path).prefix == tmp_path / "best_dev-7"

    def test_state_on_one_line_after_others(self, tmp_path):
        make_checkpoint(tmp_path)
        (tmp_path / "best_dev_checkpoint").write_text(
            "all_model_checkpoint_paths: 'other' model_checkpoint_path: 'best_dev-7'\r\n"
        )
        assert open_checkpoint(tmp_path).prefix.name == "best_dev-7"

    def test_one_index_without_state(self, tmp_path):
        make_checkpoint(tmp_path)
        (tmp_path / "best_dev_checkpoint").unlink()
        found = open_checkpoint(tmp_path)
        assert found.which == "best"
        assert found.notes == ("no state file; took the only checkpoint there is, best_dev-7",)

    def test_several_indexes_without_state(self, tmp_path):
        for step in (1, 2):
            make_checkpoint(tmp_path, which="last", step=step)
        (tmp_path / "checkpoint").unlink()
        assert "which of these to take: train-1, train-2" in refusal(tmp_path)

    def test_lineage(self, tmp_path):
        make_checkpoint(tmp_path)
        (tmp_path / "lineage.json").write_text('{"mode": "transfer"}')
        assert open_checkpoint(tmp_path).lineage == {"mode": "transfer"}
        (tmp_path / "lineage.json").write_text("{")
        found = open_checkpoint(tmp_path)
        assert (found.lineage, found.notes) == (None, ("lineage.json cannot be read",))

    def test_description_is_json(self, tmp_path):
        make_checkpoint(tmp_path)
        description = json.loads(json.dumps(open_checkpoint(tmp_path).describe()))
        assert description["geometry"]["n_hidden"] == N_HIDDEN
        assert description["alphabet"]["labels"] == list(ENGLISH.labels)
        assert description["parameters"] == sum(
            map(np.size, random_weights(geometry_for()).values())
        )

    def test_needs_no_tensorflow(self, tmp_path):
        make_checkpoint(tmp_path)
        script = (
            "import sys; from stt_model.checkpoint.directory import open_checkpoint, read_weights; "
            f"read_weights(open_checkpoint({str(tmp_path)!r})); print('tensorflow' in sys.modules)"
        )
        run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        assert (run.stdout.strip(), run.returncode) == ("False", 0), run.stderr


class TestFlags:
    def test_a_contradicting_geometry_is_noted_and_the_weights_are_right(self, tmp_path):
        make_checkpoint(tmp_path, flags="--n_hidden=2048\n--layer_norm\n")
        found = open_checkpoint(tmp_path)
        assert found.geometry == geometry_for()
        assert len(found.notes) == 2
        assert "n_hidden 2048, the weights 8" in found.notes[0]
        assert "layer_norm True, the weights False" in found.notes[1]

    def test_none(self, tmp_path):
        make_checkpoint(tmp_path)
        (tmp_path / "flags.txt").unlink()
        assert open_checkpoint(tmp_path).flags == {}

    def test_lines(self, tmp_path):
        make_checkpoint(
            tmp_path,
            flags="--train_files=a.csv,b.csv\n--lm_alpha=0.75\n--nouse_x\n--normalize_y\n--utf8=false",
        )
        flags = open_checkpoint(tmp_path).flags
        assert flags["train_files"] == "a.csv,b.csv"
        assert flags["lm_alpha"] == 0.75
        assert (flags["use_x"], flags["normalize_y"], flags["utf8"]) == (False, True, False)

    @pytest.mark.parametrize("flags", ['{"n_hidden": ', '{"n_hidden": 8,,}'])
    def test_damaged_json(self, tmp_path, flags):
        make_checkpoint(tmp_path, flags=flags)
        assert "flags.txt: damaged JSON" in refusal(tmp_path)

    def test_other_audio_settings(self, tmp_path):
        make_checkpoint(tmp_path)
        assert open_checkpoint(tmp_path).audio == AudioSettings(16000, 32, 20)
        (tmp_path / "flags.txt").write_text(
            "--audio_sample_rate=8000\n--feature_win_len=25\n--feature_win_step=10\n"
        )
        found = open_checkpoint(tmp_path)
        assert (found.audio, found.audio.window, found.audio.stride) == (
            AudioSettings(8000, 25, 10),
            200,
            80,
        )

    @pytest.mark.parametrize(
        ("setting", "value", "found"),
        [
            ("audio_sample_rate", 0, "from 4000 to 192000, found 0"),
            ("feature_win_len", "long", "from 5 to 200, found 'long'"),
            ("feature_win_step", 0.5, "from 1 to 200, found 0.5"),
            ("relu_clip", 6, "only 20 is supported"),
            ("audio_sample_rate", 22050, "found 32 ms at 22050 Hz"),
        ],
    )
    def test_settings_that_cannot_be(self, tmp_path, setting, value, found):
        make_checkpoint(tmp_path, flags=f"--{setting}={value}\n")
        assert found in refusal(tmp_path)


class TestAlphabets:
    @pytest.mark.parametrize("flags", ["", "--utf8\n", "--nobytes_output_mode\n"])
    def test_bytes_by_256_classes_or_by_the_older_flag(self, tmp_path, flags):
        make_checkpoint(tmp_path, alphabet=BYTES, flags=flags)
        assert open_checkpoint(tmp_path).alphabet == BYTES
        (tmp_path / "alphabet.txt").unlink()
        assert open_checkpoint(tmp_path).alphabet == BYTES

    def test_255_characters_are_no_bytes(self, tmp_path):
        alphabet = CharacterAlphabet(chr(0x4E00 + number) for number in range(255))
        make_checkpoint(tmp_path, alphabet=alphabet)
        assert open_checkpoint(tmp_path).alphabet == alphabet

    def test_flags_of_bytes_on_other_outputs(self, tmp_path):
        make_checkpoint(tmp_path, flags="--bytes_output_mode\n")
        assert "has 255 labels, but the checkpoint's output layer has 29 classes" in refusal(
            tmp_path
        )

    def test_that_of_another_model(self, tmp_path):
        make_checkpoint(tmp_path, alphabet=GERMAN)
        (tmp_path / "alphabet.txt").write_text("a\nb\n", encoding="utf-8")
        message = refusal(tmp_path)
        assert "alphabet.txt has 2 labels" in message
        assert f"has {GERMAN.classes} classes" in message

    def test_an_alphabet_beside_a_bytes_model(self, tmp_path):
        make_checkpoint(tmp_path, alphabet=BYTES, flags="")
        (tmp_path / "alphabet.txt").write_text("a\nb\n", encoding="utf-8")
        assert "this is a bytes model (--bytes_output_mode)" in refusal(tmp_path)

    def test_none_must_be_given(self, tmp_path):
        make_checkpoint(tmp_path)
        (tmp_path / "alphabet.txt").unlink()
        message = refusal(tmp_path)
        assert "no alphabet.txt; give the alphabet of its 28 labels" in message
        assert "--alphabet_config_path" in message
        assert open_checkpoint(tmp_path, alphabet=ENGLISH).alphabet == ENGLISH
        assert "the given alphabet" in refusal(tmp_path, alphabet=GERMAN)


class TestRefusals:
    def test_no_directory(self, tmp_path):
        assert "no such checkpoint directory" in refusal(tmp_path / "none")

    def test_an_empty_directory(self, tmp_path):
        assert "found an empty directory" in refusal(tmp_path)

    def test_a_directory_of_other_things(self, tmp_path):
        (tmp_path / "notes.md").touch()
        assert "no checkpoint: expected best_dev_checkpoint or checkpoint" in refusal(tmp_path)
        assert "found notes.md" in refusal(tmp_path)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "hello",
            'model_checkpoint_path: ""',
            # Longer than any file's name can be.
            f'model_checkpoint_path: "{"best_dev" * 99}"',
        ],
    )
    def test_a_state_file_that_names_nothing(self, tmp_path, text):
        make_checkpoint(tmp_path)
        (tmp_path / "best_dev_checkpoint").write_text(text)
        assert "expected a line model_checkpoint_path" in refusal(tmp_path)

    def test_a_state_file_without_its_index(self, tmp_path):
        make_checkpoint(tmp_path)
        (tmp_path / "best_dev-7.index").unlink()
        assert "but best_dev-7.index is not in" in refusal(tmp_path)

    def test_an_index_without_its_data(self, tmp_path):
        make_checkpoint(tmp_path)
        (tmp_path / "best_dev-7.data-00000-of-00001").unlink()
        assert "best_dev-7.data-00000-of-00001: the checkpoint's data file is missing" in refusal(
            tmp_path
        )

    @pytest.mark.parametrize("share", [0, 0.5, 0.999])
    def test_truncated_data(self, tmp_path, share):
        make_checkpoint(tmp_path)
        data = tmp_path / "best_dev-7.data-00000-of-00001"
        os.truncate(data, int(data.stat().st_size * share))
        assert "truncated: expected" in refusal(tmp_path)

    def test_damaged_weights_are_found_when_read(self, tmp_path):
        make_checkpoint(tmp_path)
        entry = Bundle(tmp_path / "best_dev-7").entries["layer_3/weights"]
        with (tmp_path / "best_dev-7.data-00000-of-00001").open("r+b") as data:
            data.seek(entry.offset)
            data.write(b"\xff" * 4)
        with pytest.raises(CheckpointError, match="layer_3/weights are damaged"):
            read_weights(open_checkpoint(tmp_path))

    def test_everything_that_is_wrong_with_the_variables_at_once(self, tmp_path):
        variables = training_variables(random_weights(geometry_for()), adam=False)
        del variables["layer_1/bias"], variables[LSTM_KERNEL]
        variables["layer_2/weights"] = np.zeros((8, 9), np.float32)
        variables["layer_5/weights"] = variables["layer_5/weights"].astype(np.float16)
        variables["layer_7/weights"] = variables["layer_4/bias"] = np.zeros(8, np.float32)
        write_variables(tmp_path, variables)
        message = refusal(tmp_path)
        assert f"missing: layer_1/bias, {LSTM_KERNEL};" in message
        assert "unexpected: layer_4/bias, layer_7/weights;" in message
        assert "mis-shaped: layer_2/weights (expected [8, 8], found [8, 9]);" in message
        assert "of the wrong type: layer_5/weights (expected float32, found float16)" in message

    @pytest.mark.parametrize("odd", ["layer_1/weights", "layer_1/bias", "layer_6/weights"])
    def test_the_odd_one_out_is_told_as_mis_shaped(self, tmp_path, odd):
        variables = training_variables(random_weights(geometry_for()), adam=False)
        variables[odd] = np.zeros((3, 5), np.float32)
        write_variables(tmp_path, variables)
        assert f"mis-shaped: {odd} (expected" in refusal(tmp_path)
        assert refusal(tmp_path).count("expected") == 1

    def test_layer_norm_in_some_layers_only(self, tmp_path):
        variables = training_variables(random_weights(geometry_for(layer_norm=True)), adam=False)
        del variables["layer_5/LayerNorm/gamma"]
        write_variables(tmp_path, variables)
        assert "missing: layer_5/LayerNorm/gamma" in refusal(tmp_path)

    @pytest.mark.parametrize(
        ("names", "meaning"),
        [
            (["b1", "h1", "b2", "h2", "lstm_fused_cell/kernel"], "DeepSpeech 0.6 or older"),
            (["_CHECKPOINTABLE_OBJECT_GRAPH", "model/layer/kernel"], "TensorFlow 2 or Keras"),
            (["bert/embeddings/word_embeddings"], "found bert/embeddings/word_embeddings"),
            (["cudnn_lstm/opaque_kernel"], "cuDNN's opaque form"),
        ],
    )
    def test_other_people_s_checkpoints(self, tmp_path, names, meaning):
        write_variables(tmp_path, {name: np.zeros(3, np.float32) for name in names})
        message = refusal(tmp_path)
        assert "not a checkpoint of Coqui STT or DeepSpeech 0.7 to 0.9" in message
        assert sorted(names)[0] in message
        assert meaning in message

    def test_the_recurrent_layer_under_its_older_name(self, tmp_path):
        variables = training_variables(random_weights(geometry_for()), adam=False)
        variables["lstm_fused_cell/kernel"] = variables.pop(LSTM_KERNEL)
        write_variables(tmp_path, variables)
        message = refusal(tmp_path)
        assert f"missing: {LSTM_KERNEL}; unexpected: lstm_fused_cell/kernel" in message
        assert "DeepSpeech 0.6 or older" in message


@pytest.fixture
def weights() -> dict[str, np.ndarray]:
    return random_weights(geometry_for())


class TestWriting:
    @pytest.mark.parametrize("alphabet", [ENGLISH, BYTES], ids=["characters", "bytes"])
    @pytest.mark.parametrize("layer_norm", [False, True], ids=["plain", "layer_norm"])
    @pytest.mark.parametrize("which", ["best", "last"])
    def test_round_trip(self, tmp_path, alphabet, layer_norm, which):
        weights = random_weights(geometry_for(alphabet, layer_norm))
        prefix = write_checkpoint(
            tmp_path / "new",
            weights,
            alphabet,
            which=which,
            step=12,
            learning_rate=0.0005,
            adam={name: (values + 1, values + 2) for name, values in weights.items()},
            beta_powers=(0.5, 0.75),
            flags={"epochs": 3},
            lineage={"mode": "scratch"},
        )
        found = open_checkpoint(tmp_path / "new")

        assert prefix == found.prefix
        assert prefix.name == {"best": "best_dev-12", "last": "train-12"}[which]
        assert (found.which, found.step, found.learning_rate) == (which, 12, 0.0005)
        assert (found.alphabet, found.geometry) == (alphabet, geometry_for(alphabet, layer_norm))
        assert found.flags == {
            "epochs": 3,
            "n_hidden": N_HIDDEN,
            "layer_norm": layer_norm,
            "bytes_output_mode": alphabet.is_bytes,
        }
        assert found.lineage == {"mode": "scratch"}
        assert found.has_adam
        assert found.notes == ()
        assert found.digest() == weights_digest(weights)
        assert same_weights(read_weights(found), weights)

    def test_tensorflow_reads_it(self, tmp_path, weights):
        adam = {name: (values + 1, values + 2) for name, values in weights.items()}
        prefix = write_checkpoint(
            tmp_path, weights, ENGLISH, step=3, adam=adam, beta_powers=(0.5, 0.75)
        )
        assert tf.train.latest_checkpoint(str(tmp_path), "best_dev_checkpoint") == str(prefix)
        reader = tf.train.load_checkpoint(str(prefix))
        types = reader.get_variable_to_dtype_map()
        assert types.keys() == training_variables(weights).keys()
        assert types["global_step"] == tf.int64
        assert reader.get_tensor("global_step") == 3
        assert reader.get_tensor("beta1_power") == 0.5
        assert reader.get_tensor("beta2_power") == 0.75
        for name, values in weights.items():
            np.testing.assert_array_equal(reader.get_tensor(name), values)
            np.testing.assert_array_equal(reader.get_tensor(f"{name}/Adam"), values + 1)
            np.testing.assert_array_equal(reader.get_tensor(f"{name}/Adam_1"), values + 2)

    def test_without_moments(self, tmp_path, weights):
        write_checkpoint(tmp_path, weights, ENGLISH)
        assert Bundle(tmp_path / "best_dev-0").entries.keys() == {
            *weights,
            "beta1_power",
            "beta2_power",
            "global_step",
            "learning_rate",
        }

    def test_a_bytes_model_gets_no_alphabet_file(self, tmp_path):
        write_checkpoint(tmp_path, random_weights(geometry_for(BYTES)), BYTES)
        assert not (tmp_path / "alphabet.txt").exists()

    def test_best_and_last_side_by_side(self, tmp_path, weights):
        other = random_weights(geometry_for(), seed=1)
        write_checkpoint(tmp_path, weights, ENGLISH, which="best", step=3)
        write_checkpoint(tmp_path, other, ENGLISH, which="last", step=3)
        assert same_weights(read_weights(open_checkpoint(tmp_path, "best")), weights)
        assert same_weights(read_weights(open_checkpoint(tmp_path, "last")), other)

    @pytest.mark.parametrize("step", [3, 4], ids=["same step", "next step"])
    def test_replaces_the_older_one(self, tmp_path, weights, step):
        other = random_weights(geometry_for(), seed=1)
        write_checkpoint(tmp_path, weights, ENGLISH, step=3)
        (tmp_path / "best_dev-3.meta").touch()
        (tmp_path / "best_dev-30.index.copy").touch()
        prefix = write_checkpoint(tmp_path, other, ENGLISH, step=step)
        assert same_weights(read_weights(open_checkpoint(tmp_path)), other)
        assert {path.name for path in tmp_path.iterdir()} == {
            "alphabet.txt",
            "best_dev-30.index.copy",
            f"{prefix.name}.data-00000-of-00001",
            f"{prefix.name}.index",
            "best_dev_checkpoint",
            "flags.txt",
        }

    def test_keeps_what_the_other_state_file_names(self, tmp_path, weights):
        write_checkpoint(tmp_path, weights, ENGLISH, step=3)
        shutil.copy(tmp_path / "best_dev_checkpoint", tmp_path / "checkpoint")
        write_checkpoint(tmp_path, random_weights(geometry_for(), seed=1), ENGLISH, step=4)
        assert same_weights(read_weights(open_checkpoint(tmp_path, "last")), weights)

    def test_keeps_what_it_is_told_to(self, tmp_path, weights):
        source = write_checkpoint(tmp_path, weights, ENGLISH, step=3)
        for step in (4, 5):
            write_checkpoint(tmp_path, weights, ENGLISH, step=step, keep=[source])
        bundles = {path.stem for path in tmp_path.glob("*.index")}
        assert bundles == {"best_dev-3", "best_dev-5"}

    def test_goes_on_in_coqui_s_directory(self, tmp_path, weights):
        make_checkpoint(tmp_path, step=7)
        (tmp_path / "alphabet.txt").unlink()
        write_checkpoint(tmp_path, weights, ENGLISH, step=8)
        found = open_checkpoint(tmp_path)
        assert found.prefix.name == "best_dev-8"
        assert found.flags["train_files"] == ["a.csv"]

    @pytest.mark.parametrize(
        ("existing", "layer_norm", "difference"),
        [
            (CharacterAlphabet("'zyxwvutsrqponmlkjihgfedcba "), False, "alphabet"),
            (GERMAN, False, "geometry"),
            (ENGLISH, True, "geometry"),
            (BYTES, False, "geometry"),
        ],
    )
    @pytest.mark.parametrize("which", ["best", "last"])
    def test_never_mixes_models(self, tmp_path, weights, existing, layer_norm, difference, which):
        make_checkpoint(tmp_path, alphabet=existing, layer_norm=layer_norm)
        before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        with pytest.raises(CheckpointError, match=f"a checkpoint of another {difference}; save"):
            write_checkpoint(tmp_path, weights, ENGLISH, which=which)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before

    def test_never_replaces_what_it_cannot_read(self, tmp_path, weights):
        write_variables(tmp_path, {"bert/weights": np.zeros(3)})
        with pytest.raises(CheckpointError, match=r"bert/weights.*; or save into another, empty"):
            check_save_directory(tmp_path, geometry_for(), ENGLISH)

    def test_refuses_before_it_writes(self, tmp_path, weights):
        broken = {**weights, "layer_2/bias": np.full(8, np.nan, np.float32)}
        short = {name: values for name, values in weights.items() if name != LSTM_BIAS}
        wide = {**weights, LSTM_BIAS: np.zeros(33, np.float32)}
        double = {**weights, "layer_1/bias": np.zeros(8)}
        moments = {name: (values, values) for name, values in short.items()}
        target = tmp_path / "new"
        for arguments, message in (
            ((broken, ENGLISH, {}), "not finite, nothing was written: layer_2/bias"),
            ((short, ENGLISH, {}), f"missing: {LSTM_BIAS}"),
            ((wide, ENGLISH, {}), "mis-shaped"),
            ((double, ENGLISH, {}), r"layer_1/bias \(expected float32, found float64\)"),
            ((weights, GERMAN, {}), "needs 32 classes .* has 29"),
            ((weights, ENGLISH, {"adam": moments}), f"moments do not fit .*: {LSTM_BIAS}"),
            ((weights, ENGLISH, {"which": "auto"}), "expected best or last, found 'auto'"),
        ):
            values, alphabet, options = arguments
            with pytest.raises(CheckpointError, match=message):
                write_checkpoint(target, values, alphabet, **options)
        assert not target.exists()

    def test_a_disk_that_changes_bytes(self, tmp_path, weights, monkeypatch):
        def write_and_spoil(prefix, variables):
            write_bundle(prefix, variables)
            data = prefix.with_name(f"{prefix.name}.data-00000-of-00001")
            spoilt = bytearray(data.read_bytes())
            spoilt[Bundle(prefix).entries["layer_3/bias"].offset] ^= 1
            data.write_bytes(spoilt)

        monkeypatch.setattr(checkpoint_module, "write_bundle", write_and_spoil)
        with pytest.raises(CheckpointError, match="the bytes of layer_3/bias are damaged"):
            write_checkpoint(tmp_path, weights, ENGLISH)
        assert list(tmp_path.iterdir()) == []


class TestCrashes:
    """Whoever looks after each single step of a write finds the old or the new, whole."""

    @staticmethod
    def states_during(action, directory: Path, monkeypatch) -> list[Path]:
        """Copies of ``directory`` taken before every change of its names, and at the end."""
        copies: list[Path] = []

        def watched(original):
            def call(*arguments, **options):
                copy = directory.with_name(f"{directory.name}-{len(copies)}")
                shutil.copytree(directory, copy)
                copies.append(copy)
                return original(*arguments, **options)

            return call

        for name in ("replace", "unlink", "mkdir"):
            monkeypatch.setattr(Path, name, watched(getattr(Path, name)))
        monkeypatch.setattr(
            checkpoint_module, "write_bundle", watched(checkpoint_module.write_bundle)
        )
        action()
        monkeypatch.undo()
        return [*copies, directory]

    @pytest.mark.parametrize("step", [7, 8], ids=["same step", "next step"])
    @pytest.mark.parametrize("which", ["best", "last"])
    def test_replacing(self, tmp_path, weights, monkeypatch, step, which):
        directory = tmp_path / "watched"
        old = make_checkpoint(directory, seed=5, step=7, which=which)
        states = self.states_during(
            lambda: write_checkpoint(directory, weights, ENGLISH, which=which, step=step),
            directory,
            monkeypatch,
        )
        found = [read_weights(open_checkpoint(state, which)) for state in states]
        is_new = [same_weights(state, weights) for state in found]
        assert len(states) > 8
        assert is_new == sorted(is_new)
        assert not is_new[0]
        assert is_new[-1]
        assert all(
            new or same_weights(state, old) for new, state in zip(is_new, found, strict=True)
        )

    def test_the_first(self, tmp_path, weights, monkeypatch):
        directory = tmp_path / "watched"
        directory.mkdir()
        states = self.states_during(
            lambda: write_checkpoint(directory, weights, ENGLISH), directory, monkeypatch
        )
        outcomes = []
        for state in states:
            try:
                outcomes.append(same_weights(read_weights(open_checkpoint(state)), weights))
            except CheckpointError as error:
                assert "no checkpoint" in str(error)
                outcomes.append(None)
        assert outcomes[0] is None
        assert outcomes[-1] is True
        assert False not in outcomes

    def test_leftovers_of_a_killed_writer_are_removed(self, tmp_path, weights):
        (tmp_path / ".writing-best_dev").mkdir()
        (tmp_path / ".writing-best_dev" / "best_dev-0.data-00000-of-00001").write_bytes(b"half")
        write_checkpoint(tmp_path, weights, ENGLISH)
        assert not list(tmp_path.glob(".*"))
        assert same_weights(read_weights(open_checkpoint(tmp_path)), weights)

    def test_a_full_disk_leaves_the_old_one_alone(self, tmp_path, weights):
        make_checkpoint(tmp_path)
        before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
        try:
            with pytest.raises(CheckpointError, match=r"cannot write .*File too large") as caught:
                write_checkpoint(tmp_path, weights, ENGLISH)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert "\n" not in str(caught.value)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before

    def test_a_directory_that_cannot_be_made(self, tmp_path, weights):
        (tmp_path / "file").touch()
        with pytest.raises(CheckpointError, match="cannot write the checkpoint: Not a directory"):
            write_checkpoint(tmp_path / "file" / "new", weights, ENGLISH)


class TestDigest:
    def test_is_of_names_shapes_and_values(self, weights):
        digest = weights_digest(weights)
        assert digest == weights_digest(dict(reversed(weights.items())))
        renamed = {name.replace("layer_2", "layer_4"): value for name, value in weights.items()}
        reshaped = {**weights, "layer_2/bias": weights["layer_2/bias"].reshape(2, 4)}
        changed = {**weights, "layer_2/bias": np.nextafter(weights["layer_2/bias"], np.float32(1))}
        digests = {digest, *map(weights_digest, (renamed, reshaped, changed))}
        assert len(digests) == 4

    def test_is_not_of_the_files(self, tmp_path, weights):
        write_checkpoint(tmp_path / "a", weights, ENGLISH)
        write_checkpoint(tmp_path / "b", weights, ENGLISH, which="last", step=9, learning_rate=1)
        assert open_checkpoint(tmp_path / "a").digest() == open_checkpoint(tmp_path / "b").digest()


def test_a_name_that_would_break_the_line_is_refused_in_one_line(tmp_path):
    (tmp_path / "best_dev_checkpoint").write_text('model_checkpoint_path: "best_dev-7\x7f\nx"\n')
    with pytest.raises(CheckpointError, match="expected a line model_checkpoint_path") as refused:
        open_checkpoint(tmp_path)
    assert str(refused.value).isprintable()
