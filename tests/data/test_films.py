"""Pictures in IDX files, digits drawn by us, and films in which either fly about."""

import gzip
import os
import pathlib
import struct

import numpy as np
import pytest

from custom_layers.data import DataError, Images, drawn_digits, moving_digits, read_images
from custom_layers.data.moving_digits import folded

REAL = pathlib.Path(os.environ.get("CUSTOM_LAYERS_DATA", "nowhere")) / "mnist"


def idx(array, magic=None):
    magic = 0x800 + array.ndim if magic is None else magic
    return struct.pack(f">I{array.ndim}I", magic, *array.shape) + array.tobytes()


@pytest.fixture
def files(tmp_path):
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (5, 3, 4)).astype("uint8")
    labels = np.arange(5, dtype="uint8")
    (tmp_path / "images").write_bytes(idx(pixels))
    (tmp_path / "labels").write_bytes(gzip.compress(idx(labels)))
    return tmp_path / "images", tmp_path / "labels", pixels, labels


def test_pictures_and_labels_are_read_zipped_or_not(files):
    images, labels, pixels, numbers = files
    found = read_images(images, labels)
    np.testing.assert_array_equal(found.pixels, pixels)
    np.testing.assert_array_equal(found.labels, numbers)
    assert found.source == str(images)


def refused(rule, images, labels):
    with pytest.raises(DataError, match=rule) as caught:
        read_images(images, labels)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("read_images: ")


def test_a_file_that_is_none_is_refused_in_one_line(files, tmp_path):
    images, labels, pixels, _ = files
    refused(
        "must begin with the magic number 0x00000803.*0x00000801, which is that of l",
        labels,
        labels,
    )
    refused("must begin with the magic number 0x00000801.*that of pictures", images, images)
    wrong = tmp_path / "wrong"
    for content, told in (
        (idx(pixels, magic=0x0D03), "magic number 0x00000d03"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "magic number 0x89504e47"),
        (b"", "0 bytes, too short for its header"),
        (b"\x00\x00\x08\x03\x00", "5 bytes, too short for its header"),
    ):
        wrong.write_bytes(content)
        refused(told, wrong, labels)
    for content, told in (
        (
            idx(pixels)[:-1],
            "header 5 x 3 x 4 must be followed by 60 numbers.*59 of them.*not whole",
        ),
        (idx(pixels) + b"0", "61 of them"),
    ):
        wrong.write_bytes(content)
        refused(told, wrong, labels)
    wrong.write_bytes(gzip.compress(idx(pixels))[:-9])
    refused("must be readable.*end-of-stream", wrong, labels)
    wrong.write_bytes(idx(pixels[:4]))
    refused("a label for each picture. Received: 4 pictures.*5 labels", wrong, labels)
    refused("must be readable.*No such file", tmp_path / "missing", labels)
    refused("must be readable.*which is a folder", tmp_path, labels)


@pytest.mark.skipif(not REAL.is_dir(), reason="CUSTOM_LAYERS_DATA names no folder with mnist/")
def test_the_real_test_set():
    found = read_images(REAL / "t10k-images-idx3-ubyte.gz", REAL / "t10k-labels-idx1-ubyte.gz")
    assert found.pixels.shape == (10_000, 28, 28)
    assert np.bincount(found.labels).tolist() == [
        *(980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)
    ]
    assert 30 < found.pixels.mean() < 40


def test_drawn_digits_are_in_equal_numbers_and_drawn_anew():
    drawn = drawn_digits(200, seed=1)
    assert np.bincount(drawn.labels).tolist() == [20] * 10
    np.testing.assert_array_equal(drawn.pixels, drawn_digits(200, seed=1).pixels)
    assert not np.array_equal(drawn.pixels, drawn_digits(200, seed=2).pixels)
    assert len(np.unique(drawn.pixels.reshape(200, -1), axis=0)) == 200
    border = [
        drawn.pixels[:, 0],
        drawn.pixels[:, -1],
        drawn.pixels[:, :, 0],
        drawn.pixels[:, :, -1],
    ]
    assert max(side.max() for side in border) == 0  # the whole digit is in the picture
    ink = [drawn.pixels[drawn.labels == digit].mean() for digit in range(10)]
    assert min(ink) == ink[1]
    assert max(ink) == ink[8]


def test_digits_can_be_told_apart_by_the_nearest_mean():
    learned, asked = drawn_digits(1000, seed=3), drawn_digits(500, seed=4)
    means = np.stack([learned.pixels[learned.labels == d].mean(axis=0) for d in range(10)])
    distances = ((asked.pixels[:, None].astype(float) - means) ** 2).sum(axis=(2, 3))
    assert np.mean(distances.argmin(axis=1) == asked.labels) > 0.7  # by chance 0.1


def dots(count=3):
    """One bright pixel, another one in each picture, so that places can be read off a film."""
    pixels = np.zeros((count, 3, 3), "uint8")
    for k in range(count):
        pixels[k, 0, 0] = 100 + k
    return Images(pixels, np.arange(count, dtype="uint8"))


def test_a_film_shows_each_digit_where_its_corner_is():
    films = moving_digits(dots(), count=4, steps=30, size=12, digits=1, speed=2.5, seed=5)
    for film, step in np.ndindex(4, 30):
        row, column = np.round(films.corners[film, step, 0]).astype(int)
        wanted = np.zeros((12, 12), "float32")
        wanted[row, column] = (100 + films.labels[film, 0]) / 255
        np.testing.assert_allclose(films.pixels[film, step], wanted, atol=1e-7)


def test_digits_fly_straight_and_bounce_at_the_walls():
    """Step by step: move, and turn round where a wall has been passed."""
    films = moving_digits(dots(), count=5, steps=60, size=12, digits=2, speed=2.5, seed=6)
    room = 12 - 3
    place, velocity = films.corners[:, 0].copy(), films.velocities.copy()
    np.testing.assert_allclose(np.linalg.norm(velocity, axis=-1), 2.5)
    for step in range(1, 60):
        place += velocity
        over, under = place > room, place < 0
        place[over], place[under] = 2 * room - place[over], -place[under]
        velocity[over | under] *= -1
        np.testing.assert_allclose(films.corners[:, step], place, atol=1e-9)


def test_where_two_digits_meet_the_brighter_pixel_is_seen():
    images = Images(np.full((2, 9, 9), 200, "uint8"), np.arange(2, dtype="uint8"))
    films = moving_digits(images, count=3, steps=2, size=10, digits=2, seed=7)
    assert films.pixels.max() == np.float32(200 / 255)  # and no sum of both


@pytest.mark.parametrize("directions", [1, 3, 4, 8])
def test_digits_fly_in_one_of_so_many_directions(directions):
    films = moving_digits(dots(), 300, 2, 12, digits=2, speed=2.0, directions=directions)
    down, right = films.velocities.reshape(-1, 2).T / 2
    turns = np.arctan2(down, right) * directions / (2 * np.pi)
    np.testing.assert_allclose(turns, np.round(turns), atol=1e-9)
    drawn = np.bincount(np.round(turns).astype(int) % directions, minlength=directions)
    assert drawn.min() > 0.6 * 600 / directions  # all of them, about as often
    np.testing.assert_allclose(np.hypot(down, right), 1)


def test_the_four_directions_are_right_down_left_and_up():
    films = moving_digits(dots(), 50, 2, 12, digits=1, speed=1.0, directions=4)
    found = {(row, column) for row, column in np.round(films.velocities[:, 0], 9) + 0.0}
    assert found == {(0, 1), (1, 0), (0, -1), (-1, 0)}


def test_any_angle_stays_what_it_was():
    films = moving_digits(dots(), 1, 2, 12, digits=1, speed=1.0, seed=3)
    random = np.random.default_rng(3)
    random.integers(3, size=(1, 1)), random.uniform(0, 9, (1, 1, 2))
    angle = random.uniform(0, 2 * np.pi)
    np.testing.assert_allclose(films.velocities[0, 0], [np.sin(angle), np.cos(angle)])


def test_a_way_far_beyond_the_walls_is_folded():
    np.testing.assert_allclose(
        folded(np.array([-1.0, 0, 4, 10, 11, 19, 21, 43]), 10), [1, 0, 4, 10, 9, 1, 1, 3]
    )


def test_films_come_back_with_their_seed():
    one, same, other = (moving_digits(dots(), 3, 5, 12, seed=s).pixels for s in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"count": 0}, "`count` must be a positive"),
        ({"steps": 0}, "`steps` must be a positive"),
        ({"digits": 1.5}, "`digits` must be a positive"),
        ({"size": 3}, "larger than the pictures.*size=3, pictures of 3 x 3"),
        ({"directions": 0}, "`directions` must be a positive"),
        ({"directions": 2.5}, "`directions` must be a positive"),
        ({"speed": -1}, "`speed` must be a number of pixels a step"),
        ({"speed": float("nan")}, "`speed` must be a number of pixels a step"),
    ],
)
def test_films_that_cannot_be_are_refused(options, rule):
    with pytest.raises(ValueError, match=rule):
        moving_digits(dots(), **{"count": 2, "size": 12, **options})
