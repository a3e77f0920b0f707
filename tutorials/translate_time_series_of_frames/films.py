r"""Films of one digit that moves in one of eight ways, a third of it hidden, on average, in each frame.

    v_t  = v sign(((p_1 + (t-1) v + room) mod 2 room) - room)  (1) the velocity after the bounces
    way  = round(8 angle(v_t) / 2 pi) mod 8                    (2) 0 to the right, then clockwise
    seen = film * (1 - bar) + 0.2 noise                        (3) a bar and noise, anew in each frame

p_1 is the place at the first frame. (1) is the slope of `folded`, which bends a straight way at the
walls (`custom_layers.data.moving_digits`).
Films played backwards end where they began, and move the other way: v_t becomes -v_{T+1-t}.    (4)
"""

from typing import NamedTuple

import numpy as np

from custom_layers.data import Images, moving_digits

WAYS, SIZE, SPEED = 8, 32, 1.0  # classes; rows and columns in pixels; pixels a frame
BAR, NOISE = 10, 0.2  # pixels across; standard deviation, where ink is 1
ARROWS = "→↘↓↙←↖↑↗"  # by the number of a way


class Films(NamedTuple):
    """Films of one digit each.

    pixels: float32 (count, steps, SIZE, SIZE). digits: (count,), 0 to 9. ways: (count, steps), which way
    the digit moves at each frame, 0 to 7.
    """

    pixels: np.ndarray
    digits: np.ndarray
    ways: np.ndarray

    def backwards(self) -> "Films":
        """The same films from their last frame to the first: (4)."""
        return Films(self.pixels[:, ::-1], self.digits, opposite(self.ways[:, ::-1]))

    def hidden(self, seed: int) -> "Films":
        """The same films behind bars and noise: (3)."""
        return self._replace(pixels=behind_bars(self.pixels, seed))

    def at_every_frame(self) -> tuple[np.ndarray, np.ndarray]:
        """Digits and ways, each (count, steps)."""
        return np.repeat(self.digits[:, None], self.ways.shape[1], axis=1), self.ways

    def at_the_end(self) -> tuple[np.ndarray, np.ndarray]:
        """Digits and ways at the last frame, each (count,)."""
        return self.digits, self.ways[:, -1]


def films(images: Images, count: int, steps: int, seed: int) -> Films:
    """Clean films of these digits, drawn anew for each film."""
    made = moving_digits(images, count, steps, SIZE, 1, SPEED, seed, directions=WAYS)
    room = SIZE - images.pixels.shape[1]
    velocity = after_bounces(made.corners[:, 0, 0], made.velocities[:, 0], steps, room)
    return Films(made.pixels, made.labels[:, 0].astype("int32"), ways_of(velocity))


def after_bounces(first: np.ndarray, velocity: np.ndarray, steps: int, room: float) -> np.ndarray:
    """Equation (1): the velocity at each step.

    Args:
        first, velocity: (count, 2), corner and velocity at the first step, in pixels.
        room: where the far wall is; the near one is at 0.

    Returns: (count, steps, 2).
    """
    straight = first[:, None] + np.arange(steps)[:, None] * velocity[:, None]
    return velocity[:, None] * np.sign((straight + room) % (2 * room) - room)


def ways_of(velocity: np.ndarray) -> np.ndarray:
    """Equation (2): (..., 2), down and to the right, to int32 (...)."""
    angle = np.arctan2(velocity[..., 0], velocity[..., 1])
    return (np.round(WAYS * angle / (2 * np.pi)) % WAYS).astype("int32")


def opposite(ways: np.ndarray) -> np.ndarray:
    """The ways turned round."""
    return (ways + WAYS // 2) % WAYS


def behind_bars(pixels: np.ndarray, seed: int) -> np.ndarray:
    """Equation (3): in each frame a bar of BAR pixels, upright or lying, is black; noise is all over it.

    Args:
        pixels: (count, steps, size, size).
        seed: int. Same seed: same bars and noise.
    """
    random = np.random.default_rng(seed)
    black = bars(pixels.shape, random)
    noise = random.standard_normal(pixels.shape, "float32")
    return np.where(black, np.float32(0), pixels) + np.float32(NOISE) * noise


def hidden_ink(pixels: np.ndarray, seed: int) -> np.ndarray:
    """The share of each frame's ink that `behind_bars` with this seed hides: (count, steps)."""
    black = bars(pixels.shape, np.random.default_rng(seed))
    return (pixels * black).sum(axis=(2, 3)) / pixels.sum(axis=(2, 3))


def bars(of: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    """Where the bars of films of shape (count, steps, size, size) are: bool, of that shape."""
    shape, size = of[:2], of[-1]
    first = random.integers(-(BAR // 2), size - BAR // 2, (*shape, 1))  # may stand out by a half
    across = np.arange(size) - first
    bar = (across >= 0) & (across < BAR)
    upright = random.integers(2, size=(*shape, 1, 1)).astype(bool)
    return np.broadcast_to(np.where(upright, bar[..., None, :], bar[..., :, None]), of)
