r"""Forecasts of films that need no training.

    stay:    film_{S+k} = film_S                                                     (1)
    move on: film_{S+k} = film_S shifted by round(k d / BACK), where d makes the      (2)
             squared difference of film_{S-BACK} shifted by d, and film_S, smallest

(2) is what video coders call motion compensation, here with one motion for the whole picture. What
leaves the picture is lost, what comes in is ground.
"""

import itertools

import numpy as np

BACK = 3  # frames between the two that are compared: speeds are no whole numbers
FARTHEST = 6  # pixels in BACK frames, down and to the right


def stay(seen: np.ndarray, ahead: int) -> np.ndarray:
    """Equation (1): (films, steps, size, size) to (films, ahead, size, size)."""
    return np.repeat(seen[:, -1:], ahead, axis=1)


def shifted(picture: np.ndarray, down: int, right: int) -> np.ndarray:
    """A picture (size, size) moved by whole pixels, ground where nothing comes from."""
    size, moved = len(picture), np.zeros_like(picture)
    if max(abs(down), abs(right)) >= size:
        return moved
    to_rows, to_columns = (
        slice(max(down, 0), size + min(down, 0)),
        slice(max(right, 0), size + min(right, 0)),
    )
    rows, columns = (
        slice(max(-down, 0), size + min(-down, 0)),
        slice(max(-right, 0), size + min(-right, 0)),
    )
    moved[to_rows, to_columns] = picture[rows, columns]
    return moved


def motion(before: np.ndarray, after: np.ndarray) -> tuple[int, int]:
    """The d of (2): pixels down and to the right."""
    steps = range(-FARTHEST, FARTHEST + 1)
    return min(
        itertools.product(steps, steps),
        key=lambda d: float(((shifted(before, *d) - after) ** 2).sum()),
    )


def move_on(seen: np.ndarray, ahead: int) -> np.ndarray:
    """Equation (2): (films, steps, size, size) to (films, ahead, size, size)."""
    said = []
    for film in seen:
        d = np.array(motion(film[-1 - BACK], film[-1]))
        ways = [np.round(k * d / BACK).astype(int) for k in range(1, ahead + 1)]
        said.append([shifted(film[-1], *way) for way in ways])
    return np.array(said)
