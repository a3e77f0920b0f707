r"""The slope of a loss by each single number of its arguments, without any calculus.

dL/dq_i = (L(q_i + e) - L(q_i - e)) / 2e, up to e^2     (1)
"""

from collections.abc import Callable, Mapping

import numpy as np


def central_differences(
    loss: Callable[[Mapping[str, np.ndarray]], float],
    arguments: Mapping[str, np.ndarray],
    epsilon: float = 1e-5,
) -> dict[str, np.ndarray]:
    """Equation (1) for every entry of every argument.

    Args:
        loss: from all arguments to a number.
        arguments: float64 arrays by name; they are left as they are.
        epsilon: e; 1e-5 is about the best of float64.
    Returns: arrays of the arguments' shapes.
    """
    slopes = {name: np.zeros_like(array) for name, array in arguments.items()}
    for name, array in arguments.items():
        for place in np.ndindex(array.shape):
            ends = []
            for move in (epsilon, -epsilon):
                moved = array.copy()
                moved[place] += move
                ends.append(loss({**arguments, name: moved}))
            slopes[name][place] = (ends[0] - ends[1]) / (2 * epsilon)  # (1)
    return slopes
