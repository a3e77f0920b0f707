"""The picture of the page: how much of a gradient is left, so many steps back."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from tutorials.figures import saved


def save_gradients_over_time(
    vanishing: Mapping[str, np.ndarray], truncations: Mapping[str, np.ndarray], path: Path
) -> Path:
    """Two panels over the steps of a sequence.

    Args:
        vanishing: by the name of a network, the norm of its state's gradient at each step, (steps,).
        truncations: likewise, of one network whose gradient ends at borders, where it is 0.
        path: the PNG.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    for name, norms in vanishing.items():
        left.semilogy(np.arange(1, len(norms) + 1), norms / norms[-1], label=name)
    left.set_title("A gradient on its way back from the last step")
    left.set_ylabel("norm, as a share of the last step's")
    for row, (name, norms) in enumerate(truncations.items()):
        reached = np.where(norms > 0, norms, np.nan)
        width = 7 if row == 0 else 2
        color = "0.8" if row == 0 else f"C{row - 1}"
        steps = np.arange(1, len(norms) + 1)
        right.plot(steps, reached / norms[-1], color=color, linewidth=width, label=name)
        first = int(np.argmax(norms > 0))
        right.plot(steps[first], norms[first] / norms[-1], "o", color=color)
    right.set_title("What truncation leaves of the LSTM's")
    right.set_ylim(bottom=0)
    for axes in (left, right):
        axes.set_xlabel("step")
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    return saved(figure, path)
