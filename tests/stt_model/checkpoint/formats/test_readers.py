"""Weights out of deployed models: the same as went in, and a refusal of what is another network."""

import bz2
import gzip
import io
import zipfile

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

from stt_model.base.errors import CheckpointError
from stt_model.checkpoint.directory import weights_digest
from stt_model.checkpoint.formats.registry import open_model
from stt_model.checkpoint.geometry import LSTM_KERNEL, Geometry
from stt_model.export.tflite_conversion import RuntimeMetadata, convert
from tests.stt_model.checkpoint.formats.deployed_models import (
    TocoModel,
    frozen_graph,
    memory_mapped,
)
from tests.stt_model.checkpoints import BYTES, ENGLISH, random_weights

KINDS = ("plain", "layer_norm", "bytes")


def alphabet_of(kind):
    return BYTES if kind == "bytes" else ENGLISH


def weights_of(kind, n_hidden=32):
    geometry = Geometry(n_hidden, alphabet_of(kind).classes, layer_norm=kind == "layer_norm")
    return geometry, random_weights(geometry)


def toco(kind="plain", **options):
    return TocoModel(weights_of(kind)[1], alphabet_of(kind), **options)


def mlir(kind, *, quantize):
    geometry, weights = weights_of(kind)
    metadata = RuntimeMetadata(alphabet_of(kind), 500, "mk")
    return convert(weights, geometry, metadata, quantize=quantize)


@pytest.fixture
def opened(tmp_path):
    def open_bytes(data, name="model.tflite"):
        path = tmp_path / name
        path.write_bytes(data)
        return open_model(path)

    return open_bytes


def check_same(model, kind):
    geometry, weights = weights_of(kind)
    assert model.geometry == geometry
    assert not model.quantised
    assert weights_digest(dict(model.weights())) == weights_digest(weights)


def check_within_half_a_step(model, kind):
    _, weights = weights_of(kind)
    assert model.quantised
    for name, values in model.weights():
        steps = model.variables[name].steps
        largest = max(steps, default=0) / 2 * (1 + 1e-5)
        np.testing.assert_allclose(values, weights[name], rtol=1e-6, atol=largest)
    assert model.variables[LSTM_KERNEL].steps


@pytest.mark.parametrize("kind", KINDS)
def test_the_old_converters_float_files_hold_the_checkpoint(kind, opened):
    model = opened(toco(kind).to_bytes())
    check_same(model, kind)
    assert model.alphabet == alphabet_of(kind)
    assert model.settings["audio_sample_rate"] == 16000


@pytest.mark.parametrize("kind", KINDS)
def test_the_new_converters_float_files_hold_the_checkpoint(kind, opened):
    model = opened(mlir(kind, quantize=False))
    check_same(model, kind)
    assert model.alphabet == alphabet_of(kind)
    assert model.settings["export_language"] == "mk"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("make", [lambda kind: toco(kind, quantize=True).to_bytes(), mlir])
def test_quantised_files_hold_it_to_half_a_step(kind, make, opened):
    data = mlir(kind, quantize=True) if make is mlir else make(kind)
    check_within_half_a_step(opened(data), kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", ["pb", "pbmm", "pbmm with lengths"])
def test_frozen_graphs_hold_the_checkpoint(kind, layout, opened):
    graph = frozen_graph(weights_of(kind)[1], alphabet_of(kind) if layout == "pb" else None)
    if layout == "pb":
        data = graph.SerializeToString()
    else:
        data = memory_mapped(graph, with_lengths=layout != "pbmm")
    model = opened(data, f"model.{layout.split()[0]}")
    check_same(model, kind)
    assert model.format == layout.split()[0]
    assert model.alphabet == (alphabet_of(kind) if layout == "pb" else None)


def test_a_file_is_told_by_its_content_not_by_its_name(opened):
    assert opened(toco().to_bytes(), "model.pb").format == "tflite"


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_any_number_of_frames_at_a_time_is_read(steps, opened):
    check_same(opened(toco(steps=steps).to_bytes()), "plain")


def test_an_old_file_without_metadata_has_no_alphabet(opened):
    model = opened(toco(metadata=False).to_bytes())
    check_same(model, "plain")
    assert (model.alphabet, model.settings) == (None, {})


def test_other_audio_settings_are_read(opened):
    settings = opened(toco(rate=8000, window=40).to_bytes()).settings
    assert (settings["audio_sample_rate"], settings["feature_win_len"]) == (8000, 40)


def test_a_float_twin_of_a_quantised_file_gives_the_imported_weights_probabilities(opened):
    from stt_model import network

    data = mlir("plain", quantize=True)
    model = opened(data)
    twin = flatbuffer_utils.read_model_from_bytearray(bytearray(data))
    for tensor in twin.subgraphs[0].tensors:
        if tensor.type == schema.TensorType.INT8:
            numbers = np.array(twin.buffers[tensor.buffer].data, np.uint8).view(np.int8)
            values = numbers * np.float32(tensor.quantization.scale[0])
            twin.buffers[tensor.buffer].data = np.frombuffer(
                values.astype(np.float32).tobytes(), np.uint8
            )
            tensor.type, tensor.quantization = schema.TensorType.FLOAT32, None
    interpreter = tf.lite.Interpreter(
        model_content=bytes(flatbuffer_utils.convert_object_to_bytearray(twin))
    )
    interpreter.allocate_tensors()
    inputs = {each["name"]: each["index"] for each in interpreter.get_input_details()}
    outputs = {each["name"]: each["index"] for each in interpreter.get_output_details()}
    features = np.random.default_rng(1).normal(0, 3, (16, 26)).astype(np.float32)
    padded = np.pad(features, [(9, 9), (0, 0)])
    windows = np.stack([padded[frame : frame + 19] for frame in range(16)])[np.newaxis]
    interpreter.set_tensor(inputs["input_node"], windows)
    for name in ("previous_state_c", "previous_state_h"):
        interpreter.set_tensor(inputs[name], np.zeros((1, 32), np.float32))
    interpreter.invoke()
    ours = network.build(model.geometry)
    network.load_weights(ours, model.geometry, dict(model.weights()))
    expected = tf.nn.softmax(ours(features[np.newaxis])[0])
    found = interpreter.get_tensor(outputs["logits"])
    np.testing.assert_allclose(found, expected, atol=2e-5)


# What may differ


def test_names_of_inner_tensors_do_not_count(opened):
    made = toco("layer_norm")
    kept = {*made.graph.inputs, *made.graph.outputs}
    for number, tensor in enumerate(made.graph.tensors):
        if number not in kept:
            tensor.name = b"layer_1/weights"
    check_same(opened(made.to_bytes()), "layer_norm")


def test_operands_of_sums_and_products_may_be_swapped(opened):
    made = toco("layer_norm")
    for kind in ("ADD", "MUL", "MINIMUM", "SQUARED_DIFFERENCE"):
        for operator in made.operators(kind):
            operator.inputs = operator.inputs[::-1]
    check_same(opened(made.to_bytes()), "layer_norm")


def test_further_outputs_do_no_harm(opened):
    made = toco()
    made.graph.outputs[1:1] = [made.operators("MINIMUM")[2].outputs[0]]
    check_same(opened(made.to_bytes()), "plain")


def test_steps_may_have_copies_of_their_weights(opened):
    made = toco()
    for cell in made.operators("FULLY_CONNECTED")[3:19]:
        cell.inputs[1] = made.constant(np.ascontiguousarray(made.weights[LSTM_KERNEL].T))
    check_same(opened(made.to_bytes()), "plain")


# What is refused


def cells(made):
    return made.operators("FULLY_CONNECTED")[3:19]


def change_step_weights(made):
    values = np.ascontiguousarray(made.weights[LSTM_KERNEL].T)
    values[5, 5] += 1
    cells(made)[7].inputs[1] = made.constant(values)


def swap_gates(made):
    for split in made.operators("SPLIT"):
        i, j, f, o = split.outputs
        split.outputs = [i, f, j, o]


def skip_a_state(made):
    # Step 3 takes the state that step 2 took.
    joined = made.operators("CONCATENATION")
    joined[3].inputs[1] = joined[2].inputs[1]


def repeat_a_frame(made):
    joined = made.operators("CONCATENATION")
    joined[3].inputs[0] = joined[2].inputs[0]


def reverse_frames(made):
    (last,) = made.operators("CONCATENATION")[16:]
    last.inputs = last.inputs[::-1]


def set_zero_point(made):
    kernel = made.graph.tensors[cells(made)[0].inputs[1]]
    kernel.quantization.zeroPoint = [3]


def set_scales(made):
    kernel = made.graph.tensors[cells(made)[0].inputs[1]]
    kernel.quantization.scale = [0.1] * 128
    kernel.quantization.zeroPoint = [0] * 128


def make_sparse(made):
    made.graph.tensors[cells(made)[0].inputs[1]].sparsity = schema.SparsityParametersT()


def shuffle_weights(made):
    cells(made)[0].builtinOptions.weightsFormat = 1


def set_constant(made, tensor, value):
    made.buffer_of(tensor).data = np.frombuffer(np.float32(value).tobytes(), np.uint8)


def set_beta(made):
    made.operators("SOFTMAX")[0].builtinOptions.beta = 0.5


def drop_relu(made):
    made.operators("FULLY_CONNECTED")[0].builtinOptions.fusedActivationFunction = 0


def relu6(made):
    made.operators("FULLY_CONNECTED")[0].builtinOptions.fusedActivationFunction = 3


def activate_a_sum(made):
    made.operators("ADD")[0].builtinOptions.fusedActivationFunction = 1


def mean_over_frames(made):
    data = np.int32([0]).tobytes()
    made.buffer_of(made.operators("MEAN")[0].inputs[1]).data = np.frombuffer(data, np.uint8)


def add_forget_bias(made):
    one = made.constant(np.ones((1, 32), np.float32))
    for split in made.operators("SPLIT"):
        forget = split.outputs[2]
        gate = next(op for op in made.operators("LOGISTIC") if op.inputs == [forget])
        gate.inputs = made.add("ADD", [forget, one], [1, 32])


def set_clip(made):
    set_constant(made, made.operators("MINIMUM")[1].inputs[1], 6)


REFUSED = [
    (set_clip, "clipped at 6"),
    (change_step_weights, "other weights in the recurrent layer, frame 7"),
    (swap_gates, "gates in another order"),
    (add_forget_bias, "gates in another order"),
    (skip_a_state, "another state or another frame in the recurrent layer, frame 3"),
    (repeat_a_frame, "another state or another frame in the recurrent layer, frame 3"),
    (reverse_frames, "another state or another frame in the recurrent layer, frame 0"),
    (set_zero_point, "zero point"),
    (set_scales, "128 scales"),
    (make_sparse, "sparse weights"),
    (shuffle_weights, "shuffled weights"),
    (set_beta, "beta 0.5"),
    (drop_relu, "without a ReLU"),
    (relu6, "activation number 3"),
    (activate_a_sum, "an activation within the recurrent layer"),
]


@pytest.mark.parametrize(("change", "message"), REFUSED)
def test_another_network_is_refused(change, message, opened):
    made = toco(quantize=True)
    change(made)
    with pytest.raises(CheckpointError, match=message) as raised:
        opened(made.to_bytes())
    assert "\n" not in str(raised.value)
    assert "model.tflite" in str(raised.value)


def test_another_layer_normalisation_is_refused(opened):
    made = toco("layer_norm")
    set_constant(made, made.operators("ADD")[0].inputs[1], 1e-3)
    with pytest.raises(CheckpointError, match="epsilon"):
        opened(made.to_bytes())
    made = toco("layer_norm")
    mean_over_frames(made)
    with pytest.raises(CheckpointError, match="mean over the axes"):
        opened(made.to_bytes())


def test_a_mean_that_drops_its_axis_is_refused(opened):
    made = toco("layer_norm")
    made.operators("MEAN")[0].builtinOptions.keepDims = False
    with pytest.raises(CheckpointError, match="a mean without its axis in the layer normalisation"):
        opened(made.to_bytes())


def test_an_archive_is_told_to_be_unpacked(opened, tmp_path):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as package:
        package.writestr("model.tflite", b"")
    for data in (gzip.compress(b"model"), bz2.compress(b"model"), archive.getvalue()):
        with pytest.raises(CheckpointError, match=r"found an archive; unpack it with `stt-boots"):
            opened(data, "package.tar")


def test_a_window_that_the_metadata_contradict_is_refused(opened):
    made = toco()
    made.graph.tensors[made.graph.inputs[3]].shape = [256]
    with pytest.raises(CheckpointError, match="256 samples, but 32 ms at 16000 Hz"):
        opened(made.to_bytes())


def test_a_model_for_something_else_is_refused(opened):
    @tf.function(input_signature=[tf.TensorSpec([1, 4])])
    def double(x):
        return {"doubled": 2 * x}

    module = tf.Module()
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [double.get_concrete_function()], module
    )
    with pytest.raises(CheckpointError, match="no output logits"):
        opened(converter.convert())


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("forget_bias", 1.0, "forget bias of 1, expected 0"),
        ("cell_clip", 3.0, "clipped at 3"),
        ("use_peephole", True, "peepholes"),
    ],
)
def test_another_recurrent_layer_in_a_frozen_graph_is_refused(setting, value, message, opened):
    graph = frozen_graph(weights_of("plain")[1])
    (block,) = (node for node in graph.node if node.op == "BlockLSTM")
    if value is True:
        block.attr[setting].b = True
    else:
        block.attr[setting].f = value
    with pytest.raises(CheckpointError, match=message):
        opened(graph.SerializeToString())


def test_another_clip_in_a_frozen_graph_is_refused(opened):
    graph = frozen_graph(weights_of("plain")[1])
    minimum = next(node for node in graph.node if node.op == "Minimum")
    limit = next(node for node in graph.node if node.name == minimum.input[1])
    limit.attr["value"].tensor.float_val[:] = [6]
    with pytest.raises(CheckpointError, match="clipped at 6"):
        opened(graph.SerializeToString())


def test_names_and_order_in_a_frozen_graph_do_not_count(opened):
    graph = frozen_graph(weights_of("layer_norm")[1])
    names = {}
    kept = {"logits", "input_node", "input_samples", "previous_state_c", "previous_state_h"}
    for number, node in enumerate(graph.node):
        names[node.name] = node.name if node.name in kept else f"node_{number}"
        node.name = names[node.name]
        if node.op in ("Add", "AddV2", "Mul", "Minimum", "SquaredDifference"):
            node.input[:] = node.input[::-1]
    for node in graph.node:
        parts = [each.partition(":") for each in node.input]
        node.input[:] = [names[name] + colon + output for name, colon, output in parts]
    check_same(opened(graph.SerializeToString(), "model.pb"), "layer_norm")


@pytest.mark.parametrize("content", [b"", b"text that is no model", bytes(100)])
def test_other_files_are_refused(content, opened):
    with pytest.raises(CheckpointError, match=r"model\.tflite"):
        opened(content)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"nothing\.pb: cannot be read: No such file"):
        open_model(tmp_path / "nothing.pb")
