"""Sampling with a temperature.

    y_t ~ softmax(logits_t / temperature)                                                (1)

Temperature 1 samples the model's own distribution; towards 0 it becomes greedy search.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from custom_layers.decoding.greedy import decode_one_path, greedy
from custom_layers.decoding.step_function import (
    Decoded,
    StepFunction,
    check_arguments,
    next_log_probabilities,
)


def sample(
    step: StepFunction,
    state: Any,
    *,
    start: int,
    end: int,
    max_steps: Any,
    temperature: Any = 1.0,
    seed: Any = 0,
    forbidden: Sequence[int] = (),
    padding: int = 0,
) -> Decoded:
    """Decode by drawing each token (1).

    Args:
        temperature: number or scalar tensor > 0; the Python number 0 means greedy search.
        seed: int or scalar tensor. Same seed, same batch: same sentences. Draws are stateless;
            the place of a sentence in its batch takes part in them.

    The other arguments and the errors are those of `greedy`.

    Returns: `Decoded`; the log probabilities are those of the tempered distribution.

    Raises: ValueError when a Python `temperature` is negative.
    """
    check_arguments("sample", state, max_steps)
    if isinstance(temperature, int | float):
        if not temperature >= 0:
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
        adjust=lambda logits: next_log_probabilities(
            tf.cast(logits, tf.float32) / tf.cast(temperature, tf.float32), forbidden
        ),
    )
