"""How every page keeps a figure that it has drawn."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

DOTS_PER_INCH = 110


def saved(figure: Any, path: Path) -> Path:
    """Write a figure of matplotlib as a PNG, and close it. Returns: where it lies."""
    figure.savefig(path, dpi=DOTS_PER_INCH)
    plt.close(figure)
    return path
