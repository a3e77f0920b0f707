"""One token a step: the shared loop, and greedy search on top of it.

y_t = argmax_y log p(y | y_1 ... y_{t-1})                                            (1)
"""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from custom_layers.decoding.step_function import (
    Decoded,
    StepFunction,
    batch_of,
    check_arguments,
    next_log_probabilities,
    same_shapes,
    write_step,
)


def decode_one_path(
    step: StepFunction,
    state: Any,
    choose: Callable[[Any, Any], Any],
    *,
    start: int,
    end: int,
    max_steps: Any,
    padding: int,
    adjust: Callable[[Any], Any],
) -> Decoded:
    """Follow one path a sentence until every sentence has ended or `max_steps` are done.

    Args:
        choose: (log probabilities (rows, vocabulary), step number) -> tokens (rows,) int32.
        adjust: logits -> log probabilities that `choose` sees and that are summed.

    The others as in `greedy`. A finished sentence yields `padding` and adds no log probability.
    """
    batch = batch_of(state)
    tokens = tf.fill([batch], start)
    limit = tf.cast(max_steps, tf.int32)
    paths = tf.fill([batch, limit], padding)

    def unfinished(t: Any, tokens: Any, finished: Any, *_: Any) -> Any:
        return tf.logical_and(t < limit, tf.logical_not(tf.reduce_all(finished)))

    def advance(t: Any, tokens: Any, finished: Any, total: Any, paths: Any, state: Any) -> Any:
        logits, state = step(tokens, state)
        log_probabilities = adjust(logits)
        chosen = choose(log_probabilities, t)  # (rows,)
        gained = tf.gather(log_probabilities, chosen, axis=1, batch_dims=1)
        total = total + tf.where(finished, tf.zeros_like(gained), gained)
        tokens = tf.where(finished, padding, chosen)
        paths = write_step(paths, t, tokens)
        return t + 1, tokens, finished | (tokens == end), total, paths, state

    row = tf.TensorShape([None])
    steps, _, _, total, paths, _ = tf.while_loop(
        unfinished,
        advance,
        (
            tf.constant(0),
            tokens,
            tf.zeros([batch], tf.bool),
            tf.zeros([batch]),
            paths,
            state,
        ),
        shape_invariants=(
            tf.TensorShape([]),
            row,
            row,
            row,
            tf.TensorShape([None, None]),
            same_shapes(state),
        ),
    )
    return Decoded(paths[:, :steps], total)


def greedy(
    step: StepFunction,
    state: Any,
    *,
    start: int,
    end: int,
    max_steps: Any,
    forbidden: Sequence[int] = (),
    padding: int = 0,
) -> Decoded:
    """Decode by taking the most probable token of each step (1).

    Args:
        step: (tokens (rows,), state) -> (logits (rows, vocabulary), state).
        state: nest of tensors, first axis = batch, handed to the first step.
        start, end: token numbers that open and close a sentence.
        max_steps: int or scalar tensor >= 1, the number of tokens after which a sentence is cut.
        forbidden: token numbers that are never emitted.
        padding: token number that follows `end`. Default 0.

    Returns: `Decoded`. Ties go to the smaller token number.

    Raises: ValueError when `state` holds no tensor, one without the batch as first axis, or
    `max_steps` < 1.
    """
    check_arguments("greedy", state, max_steps)
    return decode_one_path(
        step,
        state,
        lambda log_probabilities, t: tf.argmax(log_probabilities, axis=-1, output_type=tf.int32),
        start=start,
        end=end,
        max_steps=max_steps,
        padding=padding,
        adjust=lambda logits: next_log_probabilities(logits, forbidden),
    )
