r"""Does padding change anything? Sequences of different lengths, each alone and all in one rectangle.

    alone      y_b = layer(x_b),                       x_b (n_b, features)                   (1)
    together   y = layer(x, mask),                     x (batch, longest, features)          (2)
    loss       L = sum_b sum_{t < n_b} d_{b,t} . y_{b,t},   d random                         (3)

What stands behind the end of a sequence in (2) is noise, not zeros: zeros could be harmless by chance.
Compared are y where t < n_b, dL/dx there, and dL/dw; where t >= n_b, dL/dx must be 0 to the last bit.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

FEATURES, UNITS = 3, 4
LENGTHS = (7, 2, 5, 3)
Call = Callable[[Any, Any, Any], Sequence[Any]]


class Case(NamedTuple):
    """A layer, and how it is called.

    make: from `keras.layers` or `custom_layers`.
    call: from the layer, inputs and mask (or None) to its outputs: those of rank 3 have steps.
    """

    make: Callable[[Any], Any]
    call: Call


class Apart(NamedTuple):
    """Largest differences between alone and together, as shares of the largest entry alone.

    outputs, inputs, weights: of the outputs, of dL/dx and of dL/dw. padding: the largest |dL/dx| of a
    padded step, as a share of the largest dL/dx.
    """

    outputs: float
    inputs: float
    weights: float
    padding: float


def _steps_and_states(layer: Any, x: Any, mask: Any) -> Sequence[Any]:
    return tuple(layer(x, mask=mask))


def _steps(layer: Any, x: Any, mask: Any) -> Sequence[Any]:
    return (layer(x, mask=mask),)


def _multi_head(layer: Any, x: Any, mask: Any) -> Sequence[Any]:
    keys = None if mask is None else mask[:, None, :]  # for every query the same
    return (layer(query=x, value=x, attention_mask=keys),)


def _dot(layer: Any, x: Any, mask: Any) -> Sequence[Any]:
    return (layer([x, x], mask=None if mask is None else [None, mask]),)


def _bahdanau(layer: Any, x: Any, mask: Any) -> Sequence[Any]:
    return (layer(x, x, mask=mask),)


def _pooling_alone(layer: Any, x: Any, mask: Any) -> Sequence[Any]:
    return (layer(x),)  # it takes no mask, and warns of one that is attached to x


_recurrent: Mapping[str, Any] = {"return_sequences": True, "return_state": True, "dtype": "float64"}
CASES: Mapping[str, Case] = MappingProxyType(
    {
        "SimpleRNN": Case(lambda layers: layers.SimpleRNN(UNITS, **_recurrent), _steps_and_states),
        "GRU": Case(lambda layers: layers.GRU(UNITS, **_recurrent), _steps_and_states),
        "LSTM": Case(lambda layers: layers.LSTM(UNITS, **_recurrent), _steps_and_states),
        "Bidirectional LSTM": Case(
            lambda layers: layers.Bidirectional(layers.LSTM(UNITS, **_recurrent), dtype="float64"),
            _steps_and_states,
        ),
        "MultiHeadAttention": Case(
            lambda layers: layers.MultiHeadAttention(2, 3, dtype="float64"), _multi_head
        ),
        "AdditiveAttention": Case(lambda layers: layers.AdditiveAttention(dtype="float64"), _dot),
        "Attention": Case(lambda layers: layers.Attention(use_scale=True, dtype="float64"), _dot),
        "GlobalAveragePooling1D": Case(
            lambda layers: layers.GlobalAveragePooling1D(dtype="float64"), _steps
        ),
    }
)
OURS_ALONE: Mapping[str, Case] = MappingProxyType(
    {
        "BahdanauAttention": Case(
            lambda layers: layers.BahdanauAttention(UNITS, dtype="float64"), _bahdanau
        )
    }
)
NO_MASK: Mapping[str, Case] = MappingProxyType(
    {
        "GlobalMaxPooling1D": Case(
            lambda layers: layers.GlobalMaxPooling1D(dtype="float64"), _pooling_alone
        )
    }
)


class Sequences(NamedTuple):
    """x: (batch, longest, features), random, noise behind each end. mask: bool (batch, longest)."""

    x: np.ndarray
    mask: np.ndarray


def sequences(lengths: Sequence[int] = LENGTHS, seed: int = 0) -> Sequences:
    """Sequences of these lengths, float64."""
    mask = np.arange(max(lengths)) < np.array(lengths)[:, None]
    return Sequences(np.random.default_rng(seed).standard_normal((*mask.shape, FEATURES)), mask)


def differences(case: Case, layers: Any, masked: bool = True, seed: int = 0) -> Apart:
    """Equations (1) to (3), with random weights.

    Args:
        layers: `keras.layers` or `custom_layers`.
        masked: whether the mask is handed over in (2).
        seed: of sequences, weights and d.
    """
    rng = np.random.default_rng(seed)
    x, mask = sequences(seed=seed)
    layer = case.make(layers)
    together = case.call(layer, tf.constant(x), tf.constant(mask))  # builds the weights
    layer.set_weights([0.7 * rng.standard_normal(w.shape) for w in layer.get_weights()])
    d = [rng.standard_normal(y.shape) for y in together]
    weights = [w.value for w in layer.trainable_variables]

    def pass_(rows: np.ndarray, kept: Any, d_rows: Sequence[np.ndarray]) -> tuple[Any, Any]:
        inputs = tf.constant(rows)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = case.call(layer, inputs, kept)
            loss = tf.add_n(
                [tf.reduce_sum(y * d_y) for y, d_y in zip(outputs, d_rows, strict=True)]
            )
        found = tape.gradient(loss, [inputs, *weights], unconnected_gradients="zero")
        return [y.numpy() for y in outputs], [gradient.numpy() for gradient in found]

    judged = [d_y * mask[..., None] if d_y.ndim == 3 else d_y for d_y in d]  # (3): t < n_b
    outputs, (dx, *dw) = pass_(x, tf.constant(mask) if masked else None, judged)
    alone: list[list[np.ndarray]] = [[] for _ in outputs]
    dx_alone, dw_alone = np.zeros_like(dx), [np.zeros_like(g) for g in dw]
    for b, n in enumerate(mask.sum(axis=1)):
        row = slice(b, b + 1)
        d_row = [d_y[row, :n] if d_y.ndim == 3 else d_y[row] for d_y in d]
        outputs_b, (dx_b, *dw_b) = pass_(x[row, :n], None, d_row)  # (1)
        dx_alone[row, :n] = dx_b
        dw_alone = [total + part for total, part in zip(dw_alone, dw_b, strict=True)]
        for kept_so_far, y in zip(alone, outputs_b, strict=True):
            kept_so_far.append(y[0])
    together_rows = [
        np.concatenate([y[b, :n] for b, n in enumerate(mask.sum(axis=1))]) if y.ndim == 3 else y
        for y in outputs
    ]
    alone_rows = [
        np.concatenate(ys) if y.ndim == 3 else np.stack(ys)
        for ys, y in zip(alone, outputs, strict=True)
    ]
    size = np.abs(dx_alone).max()
    return Apart(
        outputs=_apart(together_rows, alone_rows),
        inputs=float(np.abs((dx - dx_alone)[mask]).max() / size),
        weights=_apart(dw, dw_alone),
        padding=float(np.abs(dx[~mask]).max() / size),
    )


def _apart(own: Sequence[np.ndarray], other: Sequence[np.ndarray]) -> float:
    """The largest difference, as a share of the largest entry; 0 for a layer without weights."""
    if not own:
        return 0.0
    largest = max(np.abs(array).max() for array in other)
    return float(max(np.abs(a - b).max() for a, b in zip(own, other, strict=True)) / largest)
