"""What every decoder asks for (a step function) and what it gives back (`Decoded`).

A step function maps the tokens of one step and a state to the logits of the next token:

    step(tokens, state) -> (logits, state)

tokens: (rows,) int32; state: any nest of tensors whose first axis is `rows`; logits:
(rows, vocabulary), floating point. A row is a sentence, or, in beam search, a hypothesis.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

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
    """Raise ValueError for a state without tensors or a Python `max_steps` below 1."""
    if not tf.nest.flatten(state):
        raise ValueError(
            f"{function}: `state` must hold at least one tensor, whose first axis is the batch. "
            f"Received: state={state!r}. Pass tf.zeros((batch, 1)) for a step without state."
        )
    if isinstance(max_steps, int) and max_steps < 1:
        raise ValueError(
            f"{function}: `max_steps` must be at least 1. Received: max_steps={max_steps}. "
            "Pass the length of the longest sentence to allow."
        )


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
    return tf.nest.map_structure(lambda x: tf.TensorShape([None, *x.shape[1:]]), state)
