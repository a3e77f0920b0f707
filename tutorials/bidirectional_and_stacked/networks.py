"""Networks that name the blotted articles: forward, backward, in both directions, and in layers."""

from typing import Any

import keras

import custom_layers
from tutorials.bidirectional_and_stacked.articles import ARTICLES

WIDTH = 32  # of the embedding and of each direction
LEARNING_RATE = 5e-3


def reader(layers: Any, words: int, direction: str) -> keras.Model:
    """A compiled network from word numbers (batch, steps) to logits (batch, steps, 5).

    Args:
        layers: `keras.layers` or `custom_layers`.
        words: how many different numbers there are.
        direction: "forward", "backward" or "both".
    """
    numbers = keras.Input((None,), dtype="int32")
    embedded = layers.Embedding(words, WIDTH, mask_zero=True, name="embedding")(numbers)
    if direction == "both":
        lstm = layers.LSTM(WIDTH, return_sequences=True)
        h = layers.Bidirectional(lstm, name="both")(embedded)
    elif direction == "backward":
        lstm = layers.LSTM(2 * WIDTH, return_sequences=True, go_backwards=True, name="backward")
        h = keras.ops.flip(lstm(embedded), axis=1)  # it comes last step first
    else:
        h = layers.LSTM(2 * WIDTH, return_sequences=True, name="forward")(embedded)
    return compiled(keras.Model(numbers, layers.Dense(len(ARTICLES) + 1, name="answer")(h)))


def deep_reader(words: int, depth: int, residual: bool) -> keras.Model:
    """Likewise in both directions, each a stack of LSTM cells.

    Args:
        words: how many different numbers there are.
        depth: cells in a stack.
        residual: whether each cell's input is added to its output.
    """
    numbers = keras.Input((None,), dtype="int32")
    layers = custom_layers
    embedded = layers.Embedding(words, WIDTH, mask_zero=True, name="embedding")(numbers)
    stack = layers.RNN(cells(depth, residual), return_sequences=True, name="stack")
    h = layers.Bidirectional(stack, name="both")(embedded)
    return compiled(keras.Model(numbers, layers.Dense(len(ARTICLES) + 1, name="answer")(h)))


def cells(depth: int, residual: bool, width: int = WIDTH) -> list[Any]:
    """LSTM cells from the input upwards, `cell_1` and so on."""
    plain = [custom_layers.LSTMCell(width, name=f"cell_{n}") for n in range(1, depth + 1)]
    if not residual:
        return plain
    return [custom_layers.ResidualCell(cell, name=f"residual_{cell.name}") for cell in plain]


def compiled(model: keras.Model) -> keras.Model:
    """With a mean loss and an accuracy over the blots, which the sample weights point at."""
    model.compile(
        keras.optimizers.Adam(LEARNING_RATE),
        keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, reduction="mean_with_sample_weight"
        ),
        weighted_metrics=["sparse_categorical_accuracy"],
        jit_compile=False,
    )
    return model
