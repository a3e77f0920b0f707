r"""The best forecast there can be, of one digit whose picture and speed are known.

Frames show a digit at whole pixels. So ten of them leave open where exactly it is and flies to: the ways
W that agree with all ten places. Squares are least for the mean of the frames that these ways lead to:

    best_{S+k} = mean over W of frame_{S+k}(way)                                     (1)

The ways are drawn at random, uniform in place and angle as the films are, near the true one.
"""

from typing import Any

import numpy as np

from custom_layers.data.moving_digits import folded
from tutorials.conv_lstm.films import AHEAD, SEEN, SIZE, SPEED

NEAR = 1.0, 0.3  # pixels, radians: no way that agrees lies farther off
FEWEST = 5  # ways that agree: a film with fewer is left out


def places(first: np.ndarray, angle: Any, room: float) -> np.ndarray:
    """Where a digit is seen, in whole pixels: (..., 2) and (...) to (..., SEEN + AHEAD, 2)."""
    velocity = SPEED * np.stack([np.sin(angle), np.cos(angle)], axis=-1)
    steps = np.arange(SEEN + AHEAD)[:, None]
    return np.round(folded(first[..., None, :] + steps * velocity[..., None, :], room)).astype(int)


def frame(picture: np.ndarray, place: np.ndarray) -> np.ndarray:
    """The picture (side, side) in a frame (SIZE, SIZE) with nothing else."""
    shown, side = np.zeros((SIZE, SIZE)), len(picture)
    shown[place[0] : place[0] + side, place[1] : place[1] + side] = picture
    return shown


def error_of_ink(pictures: np.ndarray, films: int, ways: int, seed: int) -> np.ndarray:
    """Squared error of (1) as a share of the digit's ink, by frames ahead: (AHEAD,).

    Args:
        pictures: (count, side, side), in [0, 1]; one is drawn for each film.
        films: how many. ways: how many are drawn, of which those that agree are kept.
    """
    random, room = np.random.default_rng(seed), SIZE - pictures.shape[1]
    missed, ink = np.zeros(AHEAD), 0.0
    for _ in range(films):
        picture = pictures[random.integers(len(pictures))].astype("float64")
        first, angle = random.uniform(0, room, 2), random.uniform(0, 2 * np.pi)
        true = places(first, angle, room)
        near = first + random.uniform(-NEAR[0], NEAR[0], (ways, 2))
        possible = np.all((near >= 0) & (near <= room), axis=1)
        drawn = places(near, angle + random.uniform(-NEAR[1], NEAR[1], ways), room)
        agree = drawn[possible & np.all(drawn[:, :SEEN] == true[:SEEN], axis=(1, 2))]
        if len(agree) < FEWEST:
            continue
        for k in range(AHEAD):
            there, counts = np.unique(agree[:, SEEN + k], axis=0, return_counts=True)
            shown = (frame(picture, place) for place in there)
            best = sum(n * one for n, one in zip(counts, shown, strict=True)) / len(agree)  # (1)
            missed[k] += ((best - frame(picture, true[SEEN + k])) ** 2).sum()
        ink += (picture**2).sum()
    return missed / ink
