"""Digits drawn with seven strokes, a little differently each time: where MNIST's are not at hand.

  a          0 abcdef   1 bc     2 abdeg   3 abcdg   4 bcfg
f   b        5 acdfg    6 acdefg 7 abc     8 abcdefg 9 abcdfg
  g
e   c
  d
"""

import numpy as np

from custom_layers.core.shape_check import require_positive_integer
from custom_layers.data.idx_images import Images

SIZE = 28
STROKES = ("abcdef", "bc", "abdeg", "abcdg", "bcfg", "acdfg", "acdefg", "abc", "abcdefg", "abcdfg")
CORNERS = {  # of each stroke in a box of width 1 and height 2: (x, y) of both ends
    "a": ((0, 0), (1, 0)),
    "b": ((1, 0), (1, 1)),
    "c": ((1, 1), (1, 2)),
    "d": ((0, 2), (1, 2)),
    "e": ((0, 1), (0, 2)),
    "f": ((0, 0), (0, 1)),
    "g": ((0, 1), (1, 1)),
}


def drawn_digits(count: int, seed: int = 0) -> Images:
    """Pictures (count, 28, 28) of digits in equal numbers, in random order.

    Position, size, slant and width of the stroke are random, and each corner is a little off.

    Args:
        count: int >= 1.
        seed: int. Same seed: same pictures.
    """
    count = require_positive_integer(count, owner="drawn_digits", name="count")
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(count) % 10).astype("uint8")
    return Images(np.stack([_draw(int(label), random) for label in labels]), labels)


def _draw(digit: int, random: np.random.Generator) -> np.ndarray:
    """One picture, uint8 (28, 28)."""
    width, height = random.uniform(8, 11), random.uniform(7, 9)  # of the box, and of half of it
    left, top = (SIZE - np.array([width, 2 * height])) / 2 + random.uniform(-1.5, 1.5, 2)
    slant, thickness = random.uniform(-0.15, 0.25), random.uniform(1.0, 1.7)
    off = {corner: random.normal(0, 0.5, 2) for corner in np.ndindex(2, 3)}
    rows, columns = np.mgrid[:SIZE, :SIZE]
    distance = np.full((SIZE, SIZE), np.inf)
    for stroke in STROKES[digit]:
        ends = []
        for x, y in CORNERS[stroke]:
            lean = slant * (1 - y) * height
            ends.append(np.array([left + x * width + lean, top + y * height]) + off[x, y])
        distance = np.minimum(distance, _distance(columns, rows, *ends))
    ink = np.clip(thickness + 0.5 - distance, 0, 1)  # half a pixel of grey at the border
    return np.round(255 * ink).astype("uint8")


def _distance(x: np.ndarray, y: np.ndarray, begin: np.ndarray, end: np.ndarray) -> np.ndarray:
    """From each point to the nearest one of a straight stroke."""
    way = end - begin
    share = ((x - begin[0]) * way[0] + (y - begin[1]) * way[1]) / (way @ way)
    share = np.clip(share, 0, 1)
    return np.hypot(x - begin[0] - share * way[0], y - begin[1] - share * way[1])
