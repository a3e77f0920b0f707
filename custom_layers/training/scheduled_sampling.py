r"""Scheduled sampling: from teacher forcing to the decoder's own tokens, in the course of training.

    epsilon_i = max(floor, k - c i)           (1)  linear
    epsilon_i = k^i,  k < 1                   (2)  exponential
    epsilon_i = k / (k + exp(i / k)),  k >= 1 (3)  inverse sigmoid

epsilon_i is the probability of feeding the true token at training step i = 0, 1, ...; the decoder's
`probability` of feeding its own is 1 - epsilon_i. (3) crosses one half at i = k log k.
Source: Bengio et al. 2015, arXiv:1506.03099, section 2.4 (the floor is the paper's epsilon).
"""

import math
from collections.abc import Callable
from typing import Any

import keras

from custom_layers.core.shape_check import require

Decay = Callable[[int], float]  # training step -> probability of the true token


def linear_decay(k: float, c: float, floor: float = 0.0) -> Decay:
    """Equation (1).

    Args:
        k: probability at the first step, in [0, 1].
        c: how much is taken off at each step, 0 or more.
        floor: the last value, in [0, k].
    Raises: ValueError for arguments out of these ranges.
    """
    require(
        0 <= floor <= k <= 1 and c >= 0,
        "linear_decay",
        "`k` must be in [0, 1], `floor` in [0, k] and `c` 0 or more",
        f"k={k!r}, c={c!r}, floor={floor!r}",
        "linear_decay(1, 1 / steps) ends at 0 after so many steps.",
    )
    return lambda step: max(floor, k - c * step)


def exponential_decay(k: float) -> Decay:
    """Equation (2).

    Args:
        k: in (0, 1).
    Raises: ValueError for another k.
    """
    require(
        0 < k < 1,
        "exponential_decay",
        "`k` must be in (0, 1)",
        f"k={k!r}",
        "With k = 0.5 ** (1 / n) it halves every n steps.",
    )
    return lambda step: k**step


def inverse_sigmoid_decay(k: float) -> Decay:
    """Equation (3), as 1 / (1 + exp(i / k - log k)).

    Args:
        k: 1 or more.
    Raises: ValueError for another k.
    """
    require(
        k >= 1,
        "inverse_sigmoid_decay",
        "`k` must be 1 or more",
        f"k={k!r}",
        "It falls to one half at step k log k.",
    )
    return lambda step: 1 / (1 + math.exp(min(step / k - math.log(k), 700.0)))


class ScheduledSampling(keras.callbacks.Callback):
    """Set a decoder's `probability` to 1 - epsilon_i before each training step i.

        decoder = custom_layers.RNNDecoder(..., sampling_probability=0.0)
        model.fit(..., callbacks=[ScheduledSampling(decoder, inverse_sigmoid_decay(500))])

    The steps are those of the optimizer: a training that goes on, goes on with the schedule.

    Args:
        decoder: layer with a variable `probability`, such as `custom_layers.RNNDecoder`.
        decay: training step -> epsilon_i.
    Raises: ValueError when `decay` is no function, at the start of training for a decoder without that
        variable, and at a step where epsilon_i is outside [0, 1].
    Source: Bengio et al. 2015, arXiv:1506.03099, section 2.4.
    """

    def __init__(self, decoder: Any, decay: Decay) -> None:
        super().__init__()
        require(
            callable(decay),
            "scheduled_sampling",
            "`decay` must be a function of the training step",
            f"decay={decay!r}",
            "Use linear_decay, exponential_decay or inverse_sigmoid_decay.",
        )
        self.decoder = decoder
        self.decay = decay
        self._step = 0

    def on_train_begin(self, logs: Any = None) -> None:
        require(
            getattr(self.decoder, "probability", None) is not None,
            "scheduled_sampling",
            "`decoder` must have a variable `probability`",
            f"decoder={self.decoder!r}",
            "Make it with sampling_probability=0.0, and call it once before training.",
        )
        self._step = int(keras.ops.convert_to_numpy(self.model.optimizer.iterations))

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        epsilon = self.decay(self._step)
        require(
            0 <= epsilon <= 1,
            "scheduled_sampling",
            "`decay` must give a probability in [0, 1]",
            f"decay({self._step})={epsilon!r}",
            "It is the share of true tokens.",
        )
        if hasattr(self.model, "jax_state_sync"):
            self.model.jax_state_sync()  # while JAX trains, the variables are behind its own state
        self.decoder.probability.assign(1 - epsilon)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._step += self.model.steps_per_execution
