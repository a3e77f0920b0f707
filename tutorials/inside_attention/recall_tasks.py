r"""Two tasks that only attention can do, small enough to be learnt in seconds.

A sequence holds each of n symbols once, in random order, and each has a colour of its own:

    x_t = [one-hot symbol ; one-hot colour]               (1)
    successor: y_t = colour of the symbol after x_t's     (2)  wherever it stands; the last one's
                                                               successor is the first
    neighbours: (colour of the one before, y_t)           (3)

What attention finds is read by one linear layer, so that it cannot be mended afterwards.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

import custom_layers

SYMBOLS, COLOURS = 8, 4
BATCH, STEPS, LEARNING_RATE = 64, 300, 2e-2
TESTED = 500  # sequences
# What is shared -> which projection query, key and value go through.
SHARING = {
    "one for all three": ("p", "p", "p"),
    "one for query and key": ("p", "p", "v"),
    "one for key and value": ("q", "p", "p"),
    "three": ("q", "k", "v"),
}


class Sequences(NamedTuple):
    """Inputs (1) and both answers.

    x: (count, symbols, symbols + colours).
    before, after: int (count, symbols), the colours of each position's two neighbours.
    """

    x: np.ndarray
    before: np.ndarray
    after: np.ndarray

    @property
    def neighbours(self) -> np.ndarray:
        """Equation (3), (count, symbols, 2)."""
        return np.stack([self.before, self.after], axis=-1)


def draw_sequences(count: int, seed: int) -> Sequences:
    """Random orders and colours."""
    rng = np.random.default_rng(seed)
    symbol = np.argsort(rng.random((count, SYMBOLS)), axis=1)
    colour_of = rng.integers(0, COLOURS, (count, SYMBOLS))  # by symbol, not by position

    def colour(symbols: np.ndarray) -> np.ndarray:
        return np.take_along_axis(colour_of, symbols % SYMBOLS, axis=1)

    x = np.concatenate([np.eye(SYMBOLS)[symbol], np.eye(COLOURS)[colour(symbol)]], axis=-1)
    return Sequences(x.astype("float32"), colour(symbol - 1), colour(symbol + 1))


def sharing_model(shared: str, width: int) -> keras.Model:
    """Attention after projections to `width`, some of which are one and the same.

    Args:
        shared: a key of SHARING.
        width: of queries, keys and values.
    Returns: a model from x to logits (batch, symbols, colours); its projections are its layers
        "p", "q", "k" and "v", as far as they exist.
    """
    x = keras.Input((SYMBOLS, SYMBOLS + COLOURS))
    projected = {
        name: custom_layers.Dense(width, use_bias=False, name=name)(x)
        for name in dict.fromkeys(SHARING[shared])
    }
    query, key, value = (projected[name] for name in SHARING[shared])
    found = custom_layers.Attention(use_scale=True, name="attention")([query, value, key])
    return keras.Model(x, custom_layers.Dense(COLOURS)(found))


def heads_model(num_heads: int, key_dim: int, hidden: int = 0) -> keras.Model:
    """Multi-head attention and a linear answer to (3).

    Args:
        hidden: width of a layer with a ReLU between the two; 0 is none.
    Returns: a model from x to logits (batch, symbols, 2, colours); its layer "attention" attends.
    """
    x = keras.Input((SYMBOLS, SYMBOLS + COLOURS))
    attention = custom_layers.MultiHeadAttention(
        num_heads, key_dim, output_shape=2 * SYMBOLS, name="attention"
    )
    found = attention(x, x)
    if hidden:
        found = custom_layers.Dense(hidden, activation="relu")(found)
    logits = custom_layers.Dense(2 * COLOURS)(found)
    return keras.Model(x, keras.layers.Reshape((SYMBOLS, 2, COLOURS))(logits))


def learn(
    build: Callable[..., keras.Model],
    sizes: tuple[Any, ...],
    task: str,
    seeds: Sequence[int],
    steps: int = STEPS,
) -> tuple[list[float], Any]:
    """Build a network, train it by one `fit`, and ask it about sequences that it has not seen.

    Args:
        build, sizes: `sharing_model` or `heads_model`, and its arguments.
        task: "after" (2) or "neighbours" (3).
        seeds: of the weights, a network for each; the sequences are always the same ones.
    Returns: for each seed, the share of positions that are answered right, with all their parts;
        the network of the last seed.
    """
    train, test = draw_sequences(BATCH * steps, seed=0), draw_sequences(TESTED, seed=1)
    shares = []
    for seed in seeds:
        keras.utils.set_random_seed(seed)
        model = build(*sizes)
        model.compile(
            keras.optimizers.Adam(LEARNING_RATE),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            jit_compile=False,
        )
        model.fit(train.x, getattr(train, task), batch_size=BATCH, shuffle=False, verbose=0)
        answers = model.predict(test.x, batch_size=TESTED, verbose=0).argmax(axis=-1)
        right = (answers == getattr(test, task)).reshape(TESTED, SYMBOLS, -1)
        shares.append(float(right.all(axis=-1).mean()))
    return shares, model


def largest_two_weights(model: keras.Model) -> np.ndarray:
    """(heads, 2), over sequences that the network has not seen, on average."""
    x = draw_sequences(TESTED, seed=1).x
    _, weights = model.get_layer("attention")(x, x, return_attention_scores=True)
    return np.sort(weights, axis=-1)[..., :-3:-1].mean(axis=(0, 2), dtype=float)
