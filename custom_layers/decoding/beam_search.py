r"""Beam search with a length penalty.

    score(y) = log p(y) / ((5 + |y|) / 6)^alpha                                          (1)

|y| counts the end token. alpha = 0 ranks by probability alone, which favours short sentences.
Source: the length penalty is equation 14 of Wu et al. 2016, arXiv:1609.08144, section 7.
Differs from it: no coverage penalty and no pruning by score; finished hypotheses stay in the beam
and compete with the others for their places by (1). The search ends when no open hypothesis can
overtake the best finished one, which changes no result:

    score(y) <= log p(y_1 ... y_t) / ((5 + max_steps) / 6)^alpha    for every y that begins so  (2)
"""

import numbers
from collections.abc import Sequence
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


def length_penalty_of(lengths: Any, alpha: float) -> Any:
    """Denominator of (1) for `lengths`, any shape."""
    return ((5 + tf.cast(lengths, tf.float32)) / 6) ** alpha


def beam_search(
    step: StepFunction,
    state: Any,
    *,
    start: int,
    end: int,
    max_steps: Any,
    beam_width: int = 4,
    length_penalty: float = 0.6,
    forbidden: Sequence[int] = (),
    padding: int = 0,
) -> Decoded:
    """Decode by keeping the `beam_width` best hypotheses of each sentence.

    Args:
        step: (tokens (rows,), state) -> (logits (rows, vocabulary), state), where rows is
            batch x beam_width and the hypotheses of one sentence are neighbours.
        state: nest of tensors, first axis = batch; this function repeats it for the hypotheses.
            What stays the same over all steps is cheaper in the closure of `step`, repeated there
            by `tf.repeat(x, beam_width, axis=0)`.
        beam_width: int >= 1. With 1 the result is greedy search.
        length_penalty: alpha of (1), >= 0. Default 0.6.

    The other arguments are those of `greedy`.

    Returns: `Decoded`, the best hypothesis of each sentence by (1). A hypothesis cut at
    `max_steps` takes part like a finished one.

    Raises: ValueError when `beam_width` is no integer of 1 or more, or `length_penalty` < 0; and
    as `greedy`.
    """
    check_arguments("beam_search", state, max_steps)
    if not isinstance(beam_width, numbers.Integral) or beam_width < 1:
        raise ValueError(
            "beam_search: `beam_width` must be at least 1, and an integer. "
            f"Received: beam_width={beam_width!r}. Pass 1 for greedy search."
        )
    if not length_penalty >= 0:
        raise ValueError(
            "beam_search: `length_penalty` must be 0 or more. "
            f"Received: length_penalty={length_penalty}. Pass 0 to rank by probability alone."
        )
    batch = batch_of(state)
    state = tf.nest.map_structure(lambda x: tf.repeat(x, beam_width, axis=0), state)
    limit = tf.cast(max_steps, tf.int32)

    # Only the first hypothesis of a sentence is alive before the first step: all are alike.
    alive_first = tf.where(tf.range(beam_width) == 0, 0.0, float("-inf"))
    totals = tf.tile(alive_first[None], [batch, 1])  # (batch, beam)
    tokens = tf.fill([batch, beam_width], start)
    lengths = tf.zeros([batch, beam_width], tf.int32)
    finished = tf.zeros([batch, beam_width], tf.bool)
    paths = tf.fill([batch, beam_width, limit], padding)

    def unfinished(t: Any, tokens: Any, totals: Any, lengths: Any, finished: Any, *_: Any) -> Any:
        scores = totals / length_penalty_of(lengths, length_penalty)
        best = tf.reduce_max(tf.where(finished, scores, float("-inf")), axis=-1, keepdims=True)
        bounds = totals / length_penalty_of(limit, length_penalty)  # (2)
        alive = tf.logical_not(finished | tf.math.is_inf(totals))
        return tf.logical_and(t < limit, tf.reduce_any(alive & (bounds >= best)))

    def advance(
        t: Any, tokens: Any, totals: Any, lengths: Any, finished: Any, paths: Any, state: Any
    ) -> Any:
        logits, state = step(tf.reshape(tokens, [-1]), state)
        vocabulary = tf.shape(logits)[-1]
        gains = tf.reshape(
            next_log_probabilities(logits, forbidden), [batch, beam_width, vocabulary]
        )
        # A finished hypothesis has one continuation, the padding, which costs nothing.
        only_padding = tf.where(tf.range(vocabulary) == padding, 0.0, float("-inf"))
        gains = tf.where(finished[..., None], only_padding, gains)
        candidates = totals[..., None] + gains  # (batch, beam, vocabulary)
        candidate_lengths = lengths + tf.cast(tf.logical_not(finished), tf.int32)
        scores = candidates / length_penalty_of(candidate_lengths, length_penalty)[..., None]

        flat = [batch, beam_width * vocabulary]
        _, best = tf.math.top_k(tf.reshape(scores, flat), k=beam_width)  # (batch, beam)
        parent = best // vocabulary
        tokens = best % vocabulary
        totals = tf.gather(tf.reshape(candidates, flat), best, axis=1, batch_dims=1)
        lengths = tf.gather(candidate_lengths, parent, axis=1, batch_dims=1)
        finished = tf.gather(finished, parent, axis=1, batch_dims=1) | (tokens == end)
        paths = write_step(tf.gather(paths, parent, axis=1, batch_dims=1), t, tokens)
        rows = tf.reshape(parent + beam_width * tf.range(batch)[:, None], [-1])
        state = tf.nest.map_structure(lambda x: tf.gather(x, rows), state)
        return t + 1, tokens, totals, lengths, finished, paths, state

    beam = tf.TensorShape([None, beam_width])
    _, _, totals, lengths, _, paths, _ = tf.while_loop(
        unfinished,
        advance,
        (tf.constant(0), tokens, totals, lengths, finished, paths, state),
        shape_invariants=(
            tf.TensorShape([]),
            beam,
            beam,
            beam,
            beam,
            tf.TensorShape([None, beam_width, None]),
            same_shapes(state),
        ),
    )
    scores = totals / length_penalty_of(lengths, length_penalty)
    winner = tf.argmax(scores, axis=-1, output_type=tf.int32)
    best_paths = tf.gather(paths, winner, axis=1, batch_dims=1)
    longest = tf.reduce_max(tf.gather(lengths, winner, axis=1, batch_dims=1))
    return Decoded(best_paths[:, :longest], tf.gather(totals, winner, axis=1, batch_dims=1))
