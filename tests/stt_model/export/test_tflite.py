"""Files for Coqui STT's runtime: what they hold, and what they compute."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

from stt_model.base.errors import AlphabetError, ExportError
from stt_model.checkpoint.directory import open_checkpoint, read_weights
from stt_model.checkpoint.formats.metadata import deserialise_alphabet, serialise_alphabet
from stt_model.corpus.audio import read_audio
from stt_model.export.tflite_conversion import (
    INPUTS,
    OUTPUTS,
    RuntimeMetadata,
    convert,
)
from stt_model.export.tflite_model import TfliteModel, as_logits
from stt_model.text.alphabet import BytesAlphabet, CharacterAlphabet

GOLDEN = Path(__file__).parents[2] / "golden"
KINDS = ("alphabet", "bytes", "layer_norm")
DEMO = GOLDEN.parents[1] / "demo" / "source_checkpoint"


def metadata_of(checkpoint):
    return RuntimeMetadata(checkpoint.alphabet, beam_width=123, language="mk-Cyrl")


@cache
def converted(kind, quantize):
    checkpoint = open_checkpoint(DEMO if kind == "demo" else GOLDEN / "checkpoints" / kind)
    return convert(
        read_weights(checkpoint), checkpoint.geometry, metadata_of(checkpoint), quantize=quantize
    )


@pytest.fixture
def load(tmp_path):
    def open_model(kind, quantize):
        path = tmp_path / "model.tflite"
        path.write_bytes(converted(kind, quantize))
        return TfliteModel(path)

    return open_model


def structure(kind, quantize):
    return flatbuffer_utils.read_model_from_bytearray(bytearray(converted(kind, quantize)))


@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_are_those_of_coqui(kind, load):
    parity = np.load(GOLDEN / "parity.npz")
    model = load(kind, quantize=False)
    for clip in ("wav_16k.wav", "flac_16k.flac", "longer_16k.wav"):
        expected = tf.nn.softmax(parity[f"{kind}/{Path(clip).stem}/logits"]).numpy()
        found = model.probabilities(read_audio(GOLDEN / "audio" / clip))
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_quantised_probabilities_are_close(load):
    samples = read_audio(GOLDEN / "audio" / "wav_16k.wav")
    expected = load("layer_norm", quantize=False).probabilities(samples)
    found = load("layer_norm", quantize=True).probabilities(samples)
    assert 1e-4 < np.abs(found - expected).max() < 0.1


def test_an_utterance_starts_without_the_state_of_the_one_before(load):
    model = load("alphabet", quantize=False)
    samples = read_audio(GOLDEN / "audio" / "wav_16k.wav")
    first = model.probabilities(samples)
    np.testing.assert_array_equal(model.probabilities(samples), first)


def test_an_utterance_shorter_than_a_window_has_no_frames(load):
    assert load("alphabet", quantize=False).probabilities(np.zeros(511, np.float32)).shape == (
        0,
        29,
    )


def test_features_are_those_of_training(load):
    parity = np.load(GOLDEN / "parity.npz")
    samples = read_audio(GOLDEN / "audio" / "wav_16k.wav")
    found = load("alphabet", quantize=False).features(samples[3 * 320 : 3 * 320 + 512])
    np.testing.assert_allclose(found, parity["wav_16k/features"][3], atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_metadata(kind, load):
    checkpoint = open_checkpoint(GOLDEN / "checkpoints" / kind)
    model = load(kind, quantize=True)
    assert model.read_metadata() == {
        "metadata_version": 6,
        "metadata_sample_rate": 16000,
        "metadata_feature_win_len": 32,
        "metadata_feature_win_step": 20,
        "metadata_beam_width": 123,
        "metadata_alphabet": serialise_alphabet(checkpoint.alphabet),
        "metadata_language": b"mk-Cyrl",
    }
    assert model.read_alphabet() == checkpoint.alphabet


@pytest.mark.parametrize("quantize", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_the_runtime_finds_names_and_shapes_in_its_order(kind, quantize):
    model = structure(kind, quantize)
    (graph,) = model.subgraphs

    def described(places):
        return {graph.tensors[at].name.decode(): tuple(graph.tensors[at].shape) for at in places}

    classes = 256 if kind == "bytes" else 29
    inputs, outputs = described(graph.inputs), described(graph.outputs)
    assert tuple(inputs) == INPUTS
    assert tuple(inputs.values()) == ((1, 16, 19, 26), (1, 32), (1, 32), (512,))
    assert tuple(outputs) == OUTPUTS
    assert tuple(outputs.values())[:4] == ((16, classes), (1, 32), (1, 32), (1, 26))
    assert set(tuple(outputs.values())[4:]) == {(1,)}
    # It looks for the operation behind each, and runs those of the metadata in this order.
    makers = [
        next(place for place, each in enumerate(graph.operators) if output in each.outputs)
        for output in graph.outputs
    ]
    assert makers[4:] == sorted(makers[4:])


@pytest.mark.parametrize("kind", KINDS)
def test_the_runtime_has_every_operation_in_its_version(kind):
    names = {number: name for name, number in vars(schema.BuiltinOperator).items()}
    versions = {
        code.customCode.decode() if code.customCode else names[code.builtinCode]: code.version
        for quantize in (False, True)
        for code in structure(kind, quantize).operatorCodes
    }
    assert {"AudioSpectrogram", "Mfcc"} <= set(versions)
    # TensorFlow Lite 2.9 has version 9 of this one; the others are the first of their kind.
    assert versions.pop("FULLY_CONNECTED") <= 9
    assert set(versions.values()) == {1}


def test_quantised_is_a_quarter_of_the_size():
    assert len(converted("demo", True)) < 0.3 * len(converted("demo", False))


@pytest.mark.parametrize(
    "alphabet", [CharacterAlphabet(" abц'"), CharacterAlphabet("字𝄞"), BytesAlphabet()], ids=repr
)
def test_alphabets_read_back(alphabet):
    assert deserialise_alphabet(serialise_alphabet(alphabet)) == alphabet


def test_an_alphabet_is_little_endian():
    assert serialise_alphabet(CharacterAlphabet("aц")) == (
        b"\x02\x00\x00\x00\x01\x00a\x01\x00\x02\x00\xd1\x86"
    )
    assert serialise_alphabet(BytesAlphabet())[-10:] == b"\xfd\x00\x01\x00\xfe\xfe\x00\x01\x00\xff"


@pytest.mark.parametrize(
    "data", [b"", b"\x02\x00\x00\x00\x01\x00a", b"\x01\x00\x00\x00\x01\x00\xff"]
)
def test_a_damaged_alphabet_is_refused(data):
    with pytest.raises(AlphabetError, match="damaged alphabet"):
        deserialise_alphabet(data)


def test_a_file_that_is_no_model_is_refused(tmp_path):
    (tmp_path / "noise.tflite").write_bytes(bytes(range(256)))
    with pytest.raises(ExportError, match=r"noise\.tflite: expected a \.tflite model"):
        TfliteModel(tmp_path / "noise.tflite")


def test_another_model_is_refused(tmp_path):
    twice = tf.function(lambda x: 2 * x, input_signature=[tf.TensorSpec([1], name="x")])
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [twice.get_concrete_function()], tf.Module()
    )
    (tmp_path / "twice.tflite").write_bytes(converter.convert())
    with pytest.raises(ExportError, match="found one without input_node, previous_state_c"):
        TfliteModel(tmp_path / "twice.tflite")


def test_logits_of_probabilities_stand_for_them():
    probabilities = np.array([[0.0, 0.25, 0.75]], np.float32)
    np.testing.assert_allclose(tf.nn.softmax(as_logits(probabilities)), probabilities, atol=1e-7)
