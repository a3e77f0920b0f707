r"""Films of flying digits, and the patches in which a network reads them.

    patches[f, t, r, c, PATCH i + j] = film[f, t, PATCH r + i, PATCH c + j]     (1)

A picture of 32 x 32 pixels becomes one of 16 x 16 patches with four channels: nothing is lost, and a
convolution over it costs a quarter.
Source: Shi et al. 2015, arXiv:1506.04214, section 4.1, there with patches of 4 x 4 pixels.
"""

import numpy as np

from custom_layers.data import Films, moving_digits
from tutorials.digit_images import digits

SIZE, PATCH = 32, 2  # pixels: of a film's side, of a patch's
SEEN, AHEAD = 10, 10  # frames that are given, frames that are asked for
SPEED = 1.5  # pixels a frame


def films(part: str, count: int, seed: int, size: int = SIZE, flying: int = 2) -> tuple[Films, str]:
    """Films of SEEN + AHEAD frames, and which digits fly in them.

    Args:
        part: "train" or "test"; they share no digit.
        count: how many films. size: pixels of a side. flying: digits in each film.
    """
    images, what = digits(part, 30 * count)
    return moving_digits(images, count, SEEN + AHEAD, size, flying, SPEED, seed), what


def patches(pixels: np.ndarray) -> np.ndarray:
    """Equation (1): (films, steps, size, size) to (films, steps, side, side, channels)."""
    films, steps, size, _ = pixels.shape
    side = size // PATCH
    split = pixels.reshape(films, steps, side, PATCH, side, PATCH)
    return split.transpose(0, 1, 2, 4, 3, 5).reshape(films, steps, side, side, PATCH**2)


def pixels(patches: np.ndarray) -> np.ndarray:
    """Equation (1) read from right to left: the films that the patches are of."""
    films, steps, side, _, _ = patches.shape
    split = patches.reshape(films, steps, side, side, PATCH, PATCH)
    return split.transpose(0, 1, 2, 4, 3, 5).reshape(films, steps, side * PATCH, side * PATCH)


def squared_error(said: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Sum over a frame's pixels, mean over films, of each step: (steps,) from two of patches or pixels.

    A frame of nothing but ground has as error the ink of the true one.
    """
    axes = tuple(range(2, true.ndim))
    return ((said.astype("float64") - true) ** 2).sum(axis=axes).mean(axis=0)


def most_apart(films: Films) -> int:
    """The film whose digits keep the largest distance in the frames ahead: the one to look at."""
    corners = films.corners[:, SEEN:]
    between = corners[:, :, :, None] - corners[:, :, None]
    distance = np.linalg.norm(between, axis=-1)
    distance[..., *np.diag_indices(corners.shape[2])] = np.inf  # of each to itself
    return int(distance.min(axis=(1, 2, 3)).argmax())
