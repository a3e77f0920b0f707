r"""Sampling with a temperature, from all tokens or from the most probable ones.

    p_i    = softmax(logits_t / temperature)_i                                           (1)
    V_k    = the k tokens of largest p                                                   (2)
    p'_i   = p_i / sum_{j in V_k} p_j    for i in V_k                                    (3)
    V_p    = the fewest tokens of V_k, largest p' first, with sum_{j in V_p} p'_j >= p   (4)
    y_t    ~ p'_i / sum_{j in V_p} p'_j  over i in V_p                                   (5)

k is `top_k`, p is `top_p`. Without `top_k` V_k is the vocabulary, without `top_p` V_p is V_k. Of
tokens of equal probability those of smaller number come first, as in greedy search: V_k never has
more than k tokens. Temperature 1 samples the model's own distribution; towards 0 it becomes greedy
search, which `top_k=1` is at any temperature.
Source: (2) Fan et al. 2018, arXiv:1805.04833, the paragraph "Generation" of section 4; (4) Holtzman
et al. 2020, arXiv:1904.09751, section 3.1. Each paper truncates in one way; (4) after (2) is ours.
"""

import numbers
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from custom_layers.core.shape_check import require
from custom_layers.decoding.greedy import decode_one_path, greedy
from custom_layers.decoding.step_function import (
    Decoded,
    StepFunction,
    check_arguments,
    next_log_probabilities,
)


def most_probable(log_probabilities: Any, top_k: int | None, top_p: float | None) -> Any:
    """Log probabilities of (5), minus infinity outside V_p.

    Args:
        log_probabilities: (rows, vocabulary) float32, the logarithm of (1).
        top_k: k of (2), an integer of 1 or more; None or more than the vocabulary takes all.
        top_p: p of (4) in (0, 1]; None or 1 takes all. Sums are those of float32.
    """
    share = 1.0 if top_p is None else float(top_p)
    if top_k is None and share == 1:
        return log_probabilities
    shape = tf.shape(log_probabilities)
    k = shape[-1] if top_k is None else tf.minimum(int(top_k), shape[-1])
    kept, tokens = tf.math.top_k(log_probabilities, k)  # (2), (rows, k), largest first
    if share < 1:
        p = tf.nn.softmax(kept)  # (3)
        sum_before = tf.cumsum(p, axis=-1, exclusive=True)
        kept = tf.where(sum_before < share, kept, float("-inf"))  # (4)
    rows = tf.broadcast_to(tf.range(shape[0])[:, None], tf.shape(tokens))
    nothing = tf.fill(shape, float("-inf"))
    places = tf.stack([rows, tokens], axis=-1)
    return tf.nn.log_softmax(tf.tensor_scatter_nd_update(nothing, places, kept))  # (5)


def sample(
    step: StepFunction,
    state: Any,
    *,
    start: int,
    end: int,
    max_steps: Any,
    temperature: Any = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: Any = 0,
    forbidden: Sequence[int] = (),
    padding: int = 0,
) -> Decoded:
    """Decode by drawing each token (5).

    Args:
        temperature: number or scalar tensor > 0; the number 0 means greedy search.
        top_k: int >= 1, draw from the `top_k` most probable tokens (2). Default: from all.
        top_p: number in (0, 1], draw from the fewest most probable tokens that have together at
            least this probability (4). Default: from all. Beside `top_k` it is taken second.
        seed: int or scalar tensor. Same seed, same batch: same sentences. Draws are stateless;
            the place of a sentence in its batch takes part in them.

    The other arguments and the errors are those of `greedy`.

    Returns: `Decoded`; the log probabilities are those of (5), the tempered, truncated and
    renormalised distribution. Forbidden tokens are taken out before (1).

    Raises: ValueError when the number `temperature` is negative, or `top_k` or `top_p` out of
    range.
    """
    check_arguments("sample", state, max_steps)
    _check_truncation(top_k, top_p)
    if isinstance(temperature, numbers.Real):
        if not float(temperature) >= 0:
            raise ValueError(
                "sample: `temperature` must be 0 or more. "
                f"Received: temperature={temperature}. Pass 0 for greedy search."
            )
        if temperature == 0:
            return greedy(
                step,
                state,
                start=start,
                end=end,
                max_steps=max_steps,
                forbidden=forbidden,
                padding=padding,
            )

    def draw(log_probabilities: Any, t: Any) -> Any:
        key = tf.stack([tf.cast(seed, tf.int32), t])
        drawn = tf.random.stateless_categorical(log_probabilities, 1, seed=key, dtype=tf.int32)
        return drawn[:, 0]

    return decode_one_path(
        step,
        state,
        draw,
        start=start,
        end=end,
        max_steps=max_steps,
        padding=padding,
        adjust=lambda logits: most_probable(
            next_log_probabilities(
                tf.cast(logits, tf.float32) / tf.cast(temperature, tf.float32), forbidden
            ),
            top_k,
            top_p,
        ),
    )


def _check_truncation(top_k: Any, top_p: Any) -> None:
    require(
        top_k is None
        or (
            isinstance(top_k, numbers.Integral) and not isinstance(top_k, bool) and int(top_k) >= 1
        ),
        "sample",
        "`top_k` must be an integer of 1 or more, or None",
        f"top_k={top_k!r}",
        "Pass None to draw from all tokens.",
    )
    require(
        top_p is None or (isinstance(top_p, numbers.Real) and 0 < float(top_p) <= 1),
        "sample",
        "`top_p` must be greater than 0 and at most 1, or None",
        f"top_p={top_p!r}",
        "Pass None to draw from all tokens.",
    )
