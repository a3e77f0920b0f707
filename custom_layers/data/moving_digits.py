r"""Films in which digits fly about and bounce off the walls.

    p_t     = fold(p_0 + t v)       (1) the corner of a digit at step t, v its velocity, in pixels
    fold(q) = |((q + room) mod 2 room) - room|       (2) reflected at 0 and at `room`
    film_t  = max over the digits of the picture at round(p_t)     (3)

`room` is the size of the film minus that of a digit. (2) is one straight line, folded: so every
position has a formula, and no step depends on the one before.
Source: Srivastava, Mansimov and Salakhutdinov 2015, arXiv:1502.04681, section 4.1 ("Moving MNIST");
there with two digits, 64 x 64 pixels, 20 pictures.
"""

from typing import NamedTuple

import numpy as np

from custom_layers.core.shape_check import require, require_positive_integer
from custom_layers.data.idx_images import Images

OWNER = "moving_digits"


class Films(NamedTuple):
    """Films of moving digits.

    Attributes:
        pixels: float32 (count, steps, size, size) in [0, 1].
        labels: (count, digits), which digits fly in each film.
        corners: float64 (count, steps, digits, 2), row and column of each digit's upper left corner.
        velocities: float64 (count, digits, 2), pixels a step at the first step, down and to the right.
    """

    pixels: np.ndarray
    labels: np.ndarray
    corners: np.ndarray
    velocities: np.ndarray


def moving_digits(
    images: Images,
    count: int,
    steps: int = 20,
    size: int = 64,
    digits: int = 2,
    speed: float = 3.0,
    seed: int = 0,
    directions: int | None = None,
) -> Films:
    """Make films of the pictures, each digit from a random place in a random direction.

    Args:
        images: what flies; drawn anew for each film.
        count, steps, digits: int >= 1.
        size: rows and columns of the films; larger than the pictures, which are square.
        speed: pixels a step, >= 0.
        seed: int. Same seed: same films.
        directions: int >= 1, of how many ways, equally spaced, one is drawn: the first is to the right,
            the others follow clockwise. A wall turns them into one another where they are an even
            number. None: any angle.

    Raises: ValueError for pictures that are not square or do not fit, for a speed below 0, and for no
        directions.
    """
    numbers = {"count": count, "steps": steps, "digits": digits, "size": size}
    if directions is not None:
        numbers["directions"] = directions
    for name, value in numbers.items():
        require_positive_integer(value, owner=OWNER, name=name)
    height, width = images.pixels.shape[1:]
    require(
        height == width < size,
        OWNER,
        "`size` must be larger than the pictures, which must be square",
        f"size={size}, pictures of {height} x {width}",
        "Choose 64 for MNIST's, as the paper does, or 48.",
    )
    require(
        np.isfinite(speed) and speed >= 0,
        OWNER,
        "`speed` must be a number of pixels a step, 0 or more",
        f"speed={speed!r}",
        "The default is 3.",
    )
    random, room = np.random.default_rng(seed), size - height
    chosen = random.integers(len(images.pixels), size=(count, digits))
    first = random.uniform(0, room, (count, digits, 2))
    angle = random.uniform(0, 2 * np.pi, (count, digits))
    if directions is not None:
        angle = 2 * np.pi * random.integers(directions, size=(count, digits)) / directions
    velocities = speed * np.stack([np.sin(angle), np.cos(angle)], axis=-1)
    straight = first[:, None] + np.arange(steps)[:, None, None] * velocities[:, None]
    corners = folded(straight, room)  # (1)
    films = np.zeros((count, steps, size, size), "uint8")
    places = np.round(corners).astype(int)
    for film, step, digit in np.ndindex(count, steps, digits):
        row, column = places[film, step, digit]
        part = films[film, step, row : row + height, column : column + width]
        np.maximum(part, images.pixels[chosen[film, digit]], out=part)  # (3)
    pixels = films.astype("float32") / 255
    return Films(pixels, images.labels[chosen], corners, velocities)


def folded(straight: np.ndarray, room: float) -> np.ndarray:
    """Equation (2): where a straight way leads between two walls, at 0 and at `room`."""
    return np.abs((straight + room) % (2 * room) - room)
