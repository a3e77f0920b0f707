"""EinsumDense: each form of equation, biases of one axis and of more, what is summed and what stays."""

from tests.parity.differentiate import BACKEND
from tests.parity.harness import Pair, normal

WIDE = BACKEND == "tensorflow"
x = normal(3, 6, 4)


def einsum(name, equation, output_shape, inputs=x, smooth=True, **config):
    return Pair(
        f"einsum-dense{name}",
        lambda layers: layers.EinsumDense(equation, output_shape, **config),
        inputs,
        smooth=smooth,
    )


PAIRS = [
    einsum("", "abc,cd->abd", (None, 5), bias_axes="d"),
    einsum("-matrix", "ab,bc->ac", 5, normal(7, 4), activation="softmax", bias_axes="c"),
    einsum("-vector-kernel", "ab,b->a", (), normal(7, 4)),
    einsum("-into-heads", "abc,cde->abde", (6, 2, 3), bias_axes="de", activation="gelu"),
    einsum("-out-of-heads", "abcd,cde->abe", (None, 5), normal(3, 4, 2, 3), bias_axes="e"),
    einsum("-one-kernel-per-step", "abc,bcd->abd", (6, 5), bias_axes="bd"),
    einsum("-bias-not-last", "abc,cde->abde", (None, 2, 3), bias_axes="d"),
    einsum("-bias-of-outer-axes", "abc,cde->abde", (6, 2, 3), bias_axes="be"),
    einsum("-transposed", "abc,cd->adb", (5, None), bias_axes="d"),
    einsum("-summed-and-lost", "abc,bd->ad", 5, bias_axes="d"),
    einsum("-ellipsis-left", "...b,bc->...c", 5, bias_axes="c", kernel_initializer="he_normal"),
    einsum("-ellipsis-left-matrix", "...b,bcd->...cd", (2, 3), normal(7, 4), bias_axes="c"),
    einsum("-ellipsis-left-empty", "...ab,bc->...ac", 5, normal(7, 4), bias_axes="c"),
    einsum("-ellipsis-left-two", "...bc,cd->...bd", (2, 5), normal(3, 4, 2, 3), bias_axes="bd"),
    einsum("-ellipsis-right", "ab...,bc->ac...", 5, normal(3, 4, 2, 3), bias_axes="c"),
    einsum("-ellipsis-right-empty", "ab...,bcd->acd...", (2, 3), normal(7, 4), bias_axes="d"),
    einsum("-ellipsis-right-bias", "ab...,bcd->acd...", (2, 3), x, bias_axes="c"),
    einsum(
        "-regularized",
        "abc,cd->abd",
        (None, 5),
        activation="tanh",
        bias_axes="d",
        kernel_initializer="orthogonal",
        bias_initializer="random_normal",
        kernel_regularizer="l2",
        bias_regularizer="l1",
        activity_regularizer="l2",
        kernel_constraint="non_neg",
        bias_constraint="max_norm",
        smooth=WIDE,
    ),
]
