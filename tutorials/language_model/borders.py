"""What happens at the border of two windows: to the state, and to the gradient."""

from typing import Any

import numpy as np
import tensorflow as tf

from custom_layers.data import TextStreams
from custom_layers.debugging import record


def outputs_and_gradient(
    layer: Any, x: np.ndarray, cotangent: np.ndarray
) -> tuple[Any, np.ndarray]:
    """What a layer puts out, and the gradient of sum(outputs * cotangent) by all its weights in a row.

    Args:
        x, cotangent: (batch, steps, features), (batch, steps, units).
    """
    with tf.GradientTape() as tape:
        y = layer(tf.constant(x))
        loss = tf.reduce_sum(y * cotangent)
    weights = [weight.value for weight in layer.trainable_variables]
    found = [tf.convert_to_tensor(g) for g in tape.gradient(loss, weights)]
    return y.numpy(), np.concatenate([np.ravel(gradient) for gradient in found])


def in_windows(
    layer: Any, x: np.ndarray, cotangent: np.ndarray, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """The same window by window: the outputs one after the other, the gradients added."""
    parts = [
        outputs_and_gradient(layer, x[:, t : t + steps], cotangent[:, t : t + steps])
        for t in range(0, x.shape[1], steps)
    ]
    outputs, gradients = zip(*parts, strict=True)
    return np.concatenate(outputs, axis=1), np.sum(gradients, axis=0)


def logits_apart(
    keeping: Any, forgetting: Any, numbers: np.ndarray, *, windows: int, steps: int
) -> float:
    """Largest difference between the logits of windows one after the other and of one long window.

    Args:
        keeping, forgetting: models of one batch and the same weights, with `stateful=True` and without.
    """
    batch = keeping.inputs[0].shape[0]
    short, long = (TextStreams(numbers, batch, n) for n in (steps, windows * steps))
    parts = [keeping.predict_on_batch(short.window(n)[0]) for n in range(windows)]
    whole = forgetting.predict_on_batch(long.window(0)[0])
    return float(np.abs(np.concatenate(parts, axis=1) - whole).max())


def reach_of_gradient(model: Any, streams: TextStreams, windows: int = 6) -> np.ndarray:
    """|dL/dh_t| for L the loss of a window's last character alone, as a share of that of the last h.

    Args:
        model: compiled, of one recurrent layer of ours, named recurrent_1.
        windows: as many are averaged, over all rows.

    Returns: (steps,), the first step of the window first.
    """
    norms = []
    for n in range(windows):
        x, y = streams.window(n)
        with record(model) as trace, tf.GradientTape() as tape:
            logits = model(tf.constant(x))
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y[:, -1], logits[:, -1])
            loss = tf.reduce_sum(losses)
        state = trace.read(tape, loss)["recurrent_1/h"]
        of_rows = np.linalg.norm(state.gradient.numpy(), axis=-1)  # (batch, steps)
        norms.append((of_rows / of_rows[:, -1:]).mean(axis=0))
    return np.mean(norms, axis=0)


def relative(own: np.ndarray, other: np.ndarray) -> float:
    """Length of the difference, as a share of the other's."""
    return float(np.linalg.norm(own - other) / np.linalg.norm(other))
