"""What every decoder asks for (a step function) and what it gives back (`Decoded`).

A step function maps the tokens of one step and a state to the logits of the next token:

    step(tokens, state) -> (logits, state)

tokens: (rows,) int32; state: any nest of tensors whose first axis is `rows`; logits:
(rows, vocabulary), floating point. A row is a sentence, or, in beam search, a hypothesis.

The state that comes out has the structure, dtypes and shapes of the state that went in. What grows
with the sentence, such as the keys and values of a Transformer, is allocated for all steps:
(rows, 2, max_steps, heads, key_dim), and the number of the step is a tensor (rows,) as well.
"""

import numbers
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from custom_layers.core.shape_check import require

StepFunction = Callable[[Any, Any], tuple[Any, Any]]


class Decoded(NamedTuple):
    """Decoded sentences.

    tokens: (batch, steps) int32, without the start token; the end token is included, what follows
        it is `padding`. `steps` is the length of the longest sentence decoded.
    log_probabilities: (batch,) float32, the natural logarithm of the probability of the sentence,
        its end token included, under the distribution that was decoded from; summed in float32.
    """

    tokens: Any
    log_probabilities: Any


def check_arguments(function: str, state: Any, max_steps: Any) -> None:
    """Raise ValueError for a state without a batch axis, or a `max_steps` that is no count.

    What only the run knows (the value of a tensor, an unknown shape) is not checked.
    """
    leaves = tf.nest.flatten(state)
    require(
        bool(leaves),
        function,
        "`state` must hold at least one tensor, whose first axis is the batch",
        f"state={state!r}",
        "Pass tf.zeros((batch, 1)) for a step without state.",
    )
    rows = [_rows_of(function, leaf) for leaf in leaves]
    known = sorted({row for row in rows if row is not None})
    require(
        len(known) <= 1,
        function,
        "the tensors of `state` must have the same first axis, the batch",
        f"first axes {known}",
        "Repeat or gather the rows that differ.",
    )
    if not tf.is_tensor(max_steps):
        require(
            isinstance(max_steps, numbers.Integral) and int(max_steps) >= 1,
            function,
            "`max_steps` must be at least 1, and an integer",
            f"max_steps={max_steps!r}",
            "Pass the length of the longest sentence to allow.",
        )


def _rows_of(function: str, leaf: Any) -> int | None:
    """Size of the first axis as far as it is known."""
    require(
        hasattr(leaf, "shape"),
        function,
        "`state` must be a nest of tensors",
        f"a {type(leaf).__name__} in it, {leaf!r}",
        "Leave it to the closure of `step`, or pass a tensor with the batch as first axis.",
    )
    shape = tf.TensorShape(leaf.shape)
    require(
        shape.rank != 0,
        function,
        "each tensor of `state` must have the batch as its first axis",
        "one of shape ()",
        "Pass tf.fill([batch], x) and read its first entry.",
    )
    return shape[0] if shape.rank else None


def write_step(paths: Any, t: Any, tokens: Any) -> Any:
    """Put `tokens` (...,) at step `t` of `paths` (..., max_steps); the shape stays, as XLA asks."""
    return tf.where(tf.range(tf.shape(paths)[-1]) == t, tokens[..., None], paths)


def batch_of(state: Any) -> Any:
    """Number of rows, a scalar tensor, read off the first tensor of `state`."""
    return tf.shape(tf.nest.flatten(state)[0])[0]


def next_log_probabilities(logits: Any, forbidden: Sequence[int]) -> Any:
    """Log probabilities, float32 (rows, vocabulary), the `forbidden` tokens at probability zero."""
    logits = tf.cast(logits, tf.float32)
    if forbidden:
        vocabulary = tf.shape(logits)[-1]
        barred = tf.reduce_any(
            tf.range(vocabulary)[:, None] == tf.constant(list(forbidden), tf.int32), axis=-1
        )
        logits = tf.where(barred[None, :], float("-inf"), logits)
    return tf.nn.log_softmax(logits)


def same_shapes(state: Any) -> Any:
    """Shape invariants that let the batch axis of every tensor of `state` be unknown."""

    def same_shape(x: Any) -> Any:
        shape = tf.TensorShape(x.shape)
        return shape if shape.rank is None else tf.TensorShape([None, *shape[1:]])

    return tf.nest.map_structure(same_shape, state)
