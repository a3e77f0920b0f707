r"""A timer set by hand: one peephole unit that counts in whole steps.

    i_t = 1,  g_t = 1                                     (1)
    f_t = sigmoid( K (d - 1/2 - c_{t-1}))                 (2) shut when d steps are counted
    c_t = f_t c_{t-1} + 1                                 (3) 1, 2, ..., d, 1, 2, ...
    o_t = sigmoid(-K (d - 1/2 - c_t))                     (4) open at d alone
    h_t = o_t tanh(c_t)                                   (5)

K says how sharply a gate turns at its threshold, d - 1/2.
"""

import keras
import numpy as np

import custom_layers
from custom_layers.data import TimingTask

SHARPNESS = 40.0  # K: half a step from the threshold a gate is open or shut to the eighth digit
OPEN = 20.0  # before a sigmoid or a tanh: 1 in float32


def timer(interval: int) -> keras.Layer:
    """A peephole LSTM of one unit that puts out about 1 each `interval` steps, and about 0 else."""
    layer = custom_layers.PeepholeLSTM(1, return_sequences=True, name="timer")
    layer.build((None, None, 1))
    threshold = SHARPNESS * (interval - 0.5)
    kernel, recurrent_kernel = np.zeros((2, 1, 4))
    bias = np.array([OPEN, threshold, OPEN, -threshold])  # slots i, f, g, o
    peepholes = np.array([0.0, -SHARPNESS, SHARPNESS])  # slots i, f, o
    layer.set_weights([kernel, recurrent_kernel, bias, peepholes])
    return layer


def widest_last_gap(interval: int, start: float = 0.0) -> float:
    """The most that tanh(c) can grow in the last of `interval` equal steps from c = `start`.

    It is what gates that see h instead of c are left with to tell the last step from the one before.
    """
    step = np.linspace(1e-4, 5, 200_000) / interval
    before, after = (start + count * step for count in (interval - 1, interval))
    return float(np.max(np.tanh(after) - np.tanh(before)))


def first_mistake(spikes: np.ndarray, task: TimingTask) -> int:
    """Steps before the first one whose spike is missing or uncalled for; all steps if none is.

    Args:
        spikes: (1, steps, 1), more than a half is a spike.
    """
    wrong = ((spikes > 0.5) != (task.y > 0)).ravel()
    return int(np.argmax(wrong)) if wrong.any() else wrong.size
