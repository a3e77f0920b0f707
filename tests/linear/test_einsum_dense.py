"""The equations in NumPy, shapes that Keras's layer gets wrong, and what is refused."""

import keras
import numpy as np
import pytest
from keras import ops

from custom_layers.linear.einsum_dense import EinsumDense, einsum_dense_step
from custom_layers.linear.einsum_equation import shapes_of


def test_equals_numpy():
    rng = np.random.default_rng(0)
    x, kernel, bias = (rng.standard_normal(s) for s in ((2, 3, 4), (4, 5, 6), (5, 1)))
    tensors = (ops.convert_to_tensor(a, dtype="float64") for a in (x, kernel, bias))
    step = einsum_dense_step("abc,cde->abde", *tensors, ops.square)
    z = np.tensordot(x, kernel, 1) + bias
    np.testing.assert_allclose(ops.convert_to_numpy(step.z), z, atol=1e-5)  # float32 on Torch
    np.testing.assert_allclose(ops.convert_to_numpy(step.y), z**2, atol=1e-4)


@pytest.mark.parametrize(
    ("equation", "bias_axes", "inputs", "output", "kernel", "bias", "whole"),
    [
        ("abc,cd->abd", "d", (7, 3, 4), (None, 5), (4, 5), (5,), (7, None, 5)),
        ("abc,cde->abde", "be", (7, 3, 4), (3, 5, 6), (4, 5, 6), (3, 1, 6), (7, 3, 5, 6)),
        ("...c,cd->...d", "d", (7, 2, 3, 5, 4), (6,), (4, 6), (6,), (7, 2, 3, 5, 6)),
        ("ab...,bcd->acd...", "c", (7, 3, 4, 2), (5, 6), (3, 5, 6), (5, 1, 1, 1), (7, 5, 6, 4, 2)),
        ("...ab,bc->...ac", "a", (7, 4), (5,), (4, 5), None, (7, 5)),
        ("abc,bcd->abd", "b", (7, 3, 4), (None, 5), (3, 4, 5), (3, 1), (7, None, 5)),
    ],
)
def test_shapes(equation, bias_axes, inputs, output, kernel, bias, whole):
    if bias is None:  # a bias along the batch, whose size is known here
        bias = (inputs[0], 1)
    shapes = shapes_of(equation, bias_axes, inputs, output)
    assert (shapes.kernel, shapes.bias, tuple(shapes.output)) == (kernel, bias, whole)
    summed = [i for i, letter in enumerate(equation.split(",")[1].split("->")[0]) if letter in "c"]
    if equation == "abc,cde->abde":
        assert shapes.summed_axes == summed == [0]
        assert shapes.output_axes == [1, 2]


def test_three_unnamed_axes_keep_their_order():
    layer = EinsumDense("...x,xy->...y", output_shape=64)
    inputs = keras.Input((3, 5, 7, 11))
    assert layer(inputs).shape == (None, 3, 5, 7, 64)
    assert layer(np.zeros((2, 3, 5, 7, 11), dtype="float32")).shape == (2, 3, 5, 7, 64)


def test_sizes_that_only_the_data_know():
    inputs = keras.Input((None, 4))
    layer = EinsumDense("abc,cde->abde", (None, 2, 3), bias_axes="de", activation="tanh")
    model = keras.Model(inputs, layer(inputs))
    assert model.output_shape == (None, None, 2, 3)
    x = np.random.default_rng(0).standard_normal((5, 6, 4)).astype("float32")
    wanted = np.tanh(np.tensordot(x, ops.convert_to_numpy(layer.kernel), 1))
    np.testing.assert_allclose(model.predict(x, batch_size=2, verbose=0), wanted, atol=1e-5)


def test_numpys_integers_count_and_a_size_of_the_inputs_may_be_left_out():
    assert EinsumDense("ab,bc->ac", np.int64(3)).get_config()["output_shape"] == (3,)
    layer = EinsumDense("abc,bcd->abd", (None, 5), bias_axes="b")
    layer.build((None, 3, 4))
    assert (tuple(layer.kernel.shape), tuple(layer.bias.shape)) == ((3, 4, 5), (3, 1))


@pytest.mark.parametrize(
    ("equation", "output_shape", "bias_axes", "inputs", "message"),
    [
        ("ab,bc", 3, None, (2, 4), r"`equation` must be X,W->Y, .*equation='ab,bc'"),
        ("ab, bc -> ac", 3, None, (2, 4), r"without spaces"),
        ("a...,ab->b...", 3, None, (2, 4), r"needs two letters"),
        ("...ab,bc->ac", 3, None, (2, 4), r"`equation` must be"),
        ("ab,bc->ad", 3, None, (2, 4), r"output's axis `d` must be one of the inputs or of the"),
        ("ab,bce->ac", 3, None, (2, 4), r"kernel's axis `e` must be one of the inputs or of the"),
        ("abc,cd->abd", (None, 5), None, (2, 4), r"must have 3 axes, one for each letter"),
        ("ab,bc->ac", 5, None, (2, 3, 4), r"must have 2 axes, .*Use `\.\.\.`"),
        ("...abc,cd->...abd", (1, 5), None, (2, 4), r"must have at least 3 axes"),
        ("abc,cd->abd", 5, None, (2, 3, 4), r"`output_shape` must have 2 sizes, .* but the batch"),
        ("...c,cd->...d", (3, 5), None, (2, 3, 4), r"`output_shape` must have 1 sizes"),
        ("abc,cd->abd", (9, 5), None, (2, 3, 4), r"agree on the size of their shared axis `b`"),
        ("abc,cd->abd", (3, 5), "c", (2, 3, 4), r"`bias_axes` must be letters of the output"),
        ("abc,cd->abd", (3, 5), "", (2, 3, 4), r"`bias_axes` must be letters of the output"),
        ("abc,cd->abd", (3, None), None, (2, 3, 4), r"axis `d`, whose size must be known"),
        ("abc,cd->abd", (3, 5), None, (2, 3, None), r"axis `c`, whose size must be known"),
        ("abc,cd->abd", (None, 5), "b", (2, None, 4), r"axis `b`, whose size must be known"),
    ],
)
def test_what_does_not_fit_is_named(equation, output_shape, bias_axes, inputs, message):
    with pytest.raises(ValueError, match=rf"einsum_dense: .*{message}"):
        EinsumDense(equation, output_shape, bias_axes=bias_axes).build(inputs)


@pytest.mark.parametrize(
    "act",
    [
        lambda: EinsumDense("ab,bc->ac", 2, lora_rank=1),
        lambda: EinsumDense("ab,bc->ac", 2, lora_alpha=1.0),
        lambda: EinsumDense("ab,bc->ac", 2, gptq_unpacked_column_size=1),
        lambda: built().enable_lora(1),
        lambda: built().quantize("int8"),
        lambda: built(dtype="int8_from_float32"),
    ],
)
def test_lora_and_quantization_point_to_keras(act):
    with pytest.raises(NotImplementedError, match=r"einsum_dense: .*keras\.layers\.EinsumDense"):
        act()


def built(**config):
    layer = EinsumDense("ab,bc->ac", 2, **config)
    layer.build((None, 3))
    return layer
