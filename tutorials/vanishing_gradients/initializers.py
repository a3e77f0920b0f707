r"""What an initializer does to activations and gradients, over layers and over time.

    depth:  h_l = f(h_{l-1} W_l)     a new matrix at every layer           (1)
    time:   h_t = f(h_{t-1} U)       the same matrix at every step         (2)

h_0 is normal, there are no inputs and no biases, and the loss is a random sum over the last h. If the
entries of W have variance v and f is linear, a layer multiplies the mean square of h, and that of its
gradient, by n v (n units). Over time it is the largest eigenvalue of U that counts, in the end.

    Glorot          v = 2 / (n_in + n_out), here 1 / n     n v = 1        (3) AISTATS 2010
    He              v = 2 / n_in                           n v = 2        (4) arXiv:1502.01852
    orthogonal      U U^T = 1                              n v = 1        (5) arXiv:1312.6120
    identity        U = 1                                  n v = 1        (6) arXiv:1504.00941
    uniform 1/√n    v = 1 / (3 n)                          n v = 1/3      (7) of many lecture notes

    chrono          b_f = ln u, u uniform in [1, T - 1);  b_i = -b_f      (8) arXiv:1804.11188

(8) is of the biases of an LSTM: a forget gate of sigmoid(ln u) remembers for about u steps.
"""

from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

import custom_layers
from custom_layers.debugging import record

NAMES = ("Glorot", "He", "orthogonal", "identity", "uniform 1/√n")


def initializer(name: str, units: int, seed: int | None = None) -> Any:
    """The initializer of that name, for `units` outputs.

    Args:
        name: one of NAMES.
        units: n of (7); the others read it off the matrix.
        seed: None draws from Keras's global seed.
    """
    bound = units**-0.5
    makers = {
        "Glorot": lambda: keras.initializers.GlorotUniform(seed),  # (3)
        "He": lambda: keras.initializers.HeNormal(seed),  # (4)
        "orthogonal": lambda: keras.initializers.Orthogonal(seed=seed),  # (5)
        "identity": keras.initializers.Identity,  # (6)
        "uniform 1/√n": lambda: keras.initializers.RandomUniform(-bound, bound, seed),  # (7)
    }
    return makers[name]()


class ChronoBias(keras.initializers.Initializer):
    """Equation (8), in the slots i, f, c, o.

    Args:
        steps: T, at least 3.
        seed: None draws from Keras's global seed.
    """

    def __init__(self, steps: int, seed: int | None = None) -> None:
        self.steps, self.seed = steps, seed

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        units = shape[0] // 4
        seed = keras.random.SeedGenerator(self.seed)
        u = keras.random.uniform((units,), 1.0, self.steps - 1.0, dtype=dtype, seed=seed)
        b_f, zeros = keras.ops.log(u), keras.ops.zeros((2 * units,), dtype)  # (8)
        return keras.ops.concatenate([-b_f, b_f, zeros])

    def get_config(self) -> dict[str, Any]:
        return {"steps": self.steps, "seed": self.seed}


class Passage(NamedTuple):
    """What is left on the way; both (length,), in the order of the way forward.

    activations: root mean square of h, where h_0 has 1. gradients: |dL/dh|, as a share of the last one.
    """

    activations: np.ndarray
    gradients: np.ndarray


def over_depth(
    name: str, activation: str, units: int = 128, length: int = 40, seed: int = 0
) -> Passage:
    """Equation (1), `length` layers deep."""
    start, cotangent = _normal(units, seed)
    layers = [
        custom_layers.Dense(
            units,
            activation,
            use_bias=False,
            kernel_initializer=initializer(name, units, seed=1000 * seed + number),
            dtype="float64",
            name=f"layer_{number}",
        )
        for number in range(length)
    ]
    model = keras.Sequential(layers)
    model.build(start.shape)
    with record(model) as trace, tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(start) * cotangent)
    recording = trace.read(tape, loss)
    outputs = [recording[f"{layer.name}/output"] for layer in layers]
    return _passage([q.value for q in outputs], [q.gradient for q in outputs])


def over_time(
    name: str, activation: str, units: int = 128, length: int = 40, seed: int = 0
) -> Passage:
    """Equation (2), `length` steps long."""
    start, cotangent = _normal(units, seed)
    layer = custom_layers.SimpleRNN(
        units,
        activation,
        use_bias=False,
        recurrent_initializer=initializer(name, units, seed=1000 * seed),
        dtype="float64",
    )
    nothing = tf.zeros((len(start), length, 1), tf.float64)
    layer.build(nothing.shape)
    with record(layer) as trace, tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(nothing, initial_state=[start]) * cotangent)
    h = trace.read(tape, loss)[f"{layer.name}/h"]
    return _passage(tf.unstack(h.value, axis=1), tf.unstack(h.gradient, axis=1))


def _normal(units: int, seed: int, batch: int = 16) -> tuple[Any, Any]:
    """h_0, and the weights of the sum that is the loss."""
    rng = np.random.default_rng(seed)
    first, last = rng.standard_normal((2, batch, units))
    return tf.constant(first), tf.constant(last)


def _passage(values: list[Any], gradients: list[Any]) -> Passage:
    norms = np.array([np.linalg.norm(gradient) for gradient in gradients])
    roots = np.array([np.sqrt(np.mean(np.square(value))) for value in values])
    return Passage(roots, norms / norms[-1])
