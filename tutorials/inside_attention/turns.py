"""Time as a ratio: two calls in turns, so that whatever else the machine does hits both."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

WARM_UP, TURNS = 3, 11


def time_ratio(first: Callable[..., Any], second: Callable[..., Any], *inputs: Any) -> float:
    """How many times as long `first` takes as `second`, in graphs: the median over the turns."""
    graphs = tf.function(first), tf.function(second)
    ratios = []
    for _ in range(WARM_UP + TURNS):
        begun = time.perf_counter()
        graphs[0](*inputs).numpy()
        between = time.perf_counter()
        graphs[1](*inputs).numpy()
        ratios.append((between - begun) / (time.perf_counter() - between))
    return float(np.median(ratios[WARM_UP:]))
