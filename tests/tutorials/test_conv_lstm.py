"""The page on ConvLSTM: its films, forecasts without training, its networks, its cone."""

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import custom_layers
from custom_layers.data.local_files import DATA_FOLDER_VARIABLE
from tutorials.conv_lstm import baselines, films, limits, model
from tutorials.conv_lstm.inside import Inside, look_inside


@pytest.fixture
def random():
    return np.random.default_rng(0)


def test_patches_hold_every_pixel_where_equation_1_says(random):
    film = random.random((2, 3, 8, 8))
    found = films.patches(film)
    assert found.shape == (2, 3, 4, 4, 4)
    for r, c, i, j in np.ndindex(4, 4, 2, 2):
        assert_array_equal(found[:, :, r, c, 2 * i + j], film[:, :, 2 * r + i, 2 * c + j])
    assert_array_equal(films.pixels(found), film)


def test_films_of_the_two_parts_share_no_digit_and_are_reproducible(monkeypatch):
    monkeypatch.delenv(DATA_FOLDER_VARIABLE, raising=False)
    train, what = films.films("train", 3, seed=0)
    assert what == "drawn digits"
    assert train.pixels.shape == (3, films.SEEN + films.AHEAD, films.SIZE, films.SIZE)
    assert_array_equal(train.pixels, films.films("train", 3, seed=0)[0].pixels)
    assert not np.array_equal(train.pixels, films.films("test", 3, seed=0)[0].pixels)


def test_squared_error_sums_over_pixels_and_is_the_ink_of_what_nobody_drew(random):
    film = random.random((5, 4, 8, 8))
    ink = [(film[:, t] ** 2).sum() / 5 for t in range(4)]
    assert_allclose(films.squared_error(np.zeros_like(film), film), ink)
    said = random.random(film.shape)
    in_patches = films.squared_error(films.patches(said), films.patches(film))
    assert_allclose(in_patches, films.squared_error(said, film))


def test_the_film_to_look_at_is_the_one_whose_digits_keep_apart(random):
    corners = random.uniform(0, 18, (20, films.SEEN + films.AHEAD, 3, 2))
    shown = films.Films(np.empty(0), np.empty(0), corners, np.empty(0))
    closest = [
        min(
            np.hypot(*(film[t, a] - film[t, b]))
            for t in range(films.SEEN, films.SEEN + films.AHEAD)
            for a, b in [(0, 1), (0, 2), (1, 2)]
        )
        for film in corners
    ]
    assert films.most_apart(shown) == np.argmax(closest)


def test_ways_of_the_limit_are_those_of_the_films():
    shown, _ = films.films("test", 6, seed=3, flying=1)
    angle = np.arctan2(shown.velocities[..., 0], shown.velocities[..., 1])[:, 0]
    found = limits.places(shown.corners[:, 0, 0], angle, films.SIZE - 14)
    assert_array_equal(found, np.round(shown.corners[:, :, 0]).astype(int))


def test_who_knows_the_way_has_no_error_and_who_does_not_has_some(monkeypatch):
    pictures = np.ones((1, 14, 14))
    of_rounding = limits.error_of_ink(pictures, films=8, ways=4000, seed=0)
    assert np.all((of_rounding > 0.001) & (of_rounding < 0.3))
    monkeypatch.setattr(limits, "NEAR", (0.0, 0.0))
    assert_array_equal(limits.error_of_ink(pictures, films=8, ways=10, seed=0), 0)


@pytest.mark.parametrize("way", [(0, 0), (2, -3), (-1, 4), (-6, -6), (9, 0)])
def test_a_shifted_picture_is_as_rolled_with_ground_behind(random, way):
    picture = random.random((8, 8))
    expected = np.zeros((8, 8))
    for row, column in np.ndindex(8, 8):
        to = row + way[0], column + way[1]
        if min(to) >= 0 and max(to) < 8:
            expected[to] = picture[row, column]
    assert_array_equal(baselines.shifted(picture, *way), expected)


def test_one_motion_is_found_and_goes_on(random):
    """A blot that moves by 1.5 pixels down and 1 to the left with each frame."""
    film = np.zeros((1, 8, 24, 24))
    blot = random.random((5, 5))
    for t in range(8):
        row, column = round(1.5 * t), 14 - t
        film[0, t, row : row + 5, column : column + 5] = blot
    d = baselines.motion(film[0, 4 - baselines.BACK], film[0, 4])
    assert d == (round(1.5 * 4) - round(1.5 * 1), -3)
    said = baselines.move_on(film[:, :5], 3)
    for k in range(1, 4):
        way = round(k * d[0] / 3), -k
        assert_array_equal(said[0, k - 1], baselines.shifted(film[0, 4], *way))
    assert_array_equal(baselines.stay(film[:, :5], 2)[0], film[0, [4, 4]])


@pytest.mark.parametrize("layers", [keras.layers, custom_layers], ids=["keras", "custom"])
def test_running_free_reads_its_own_pictures(layers, random):
    """Step by step: append what was said last to what is read, and read it all again."""
    taught = model.next_frame(layers, filters=3, size=8)
    seen = random.random((2, 4, 4, 4, 4)).astype("float32")
    free = model.running_free(taught, seen=4, ahead=3)
    read = seen
    for _ in range(3):
        read = np.concatenate([read, taught.predict(read, verbose=0)[:, -1:]], axis=1)
    assert_allclose(free.predict(seen, verbose=0), read[:, 4:], atol=1e-6)
    assert [id(v) for v in free.trainable_variables] == [id(v) for v in taught.trainable_variables]


def test_dense_network_says_frames_too(random):
    seen = random.random((2, 3, 4, 4, 4)).astype("float32")
    said = model.dense_next_frame(custom_layers, units=5, size=8)
    assert said(seen).shape == seen.shape


def test_what_is_seen_inside_is_the_film_s_and_the_pull_is_the_slope_of_the_patch(random):
    """The state of the last step is read off by one convolution: its slope is known by hand."""
    net = model.next_frame(custom_layers, filters=3, size=16)
    film = random.random((4, 8, 8, 4)).astype("float32")
    inside = look_inside(net, film, (2, 5))
    states, _, cell = net.get_layer("memory")(film[None])
    assert_allclose(inside.values["state"], states[0], atol=1e-6)
    assert_allclose(inside.values["cell"][-1], cell[0], atol=1e-6)
    gates = [inside.values[f"{name} gate"] for name in ("input", "forget", "output")]
    assert min(gate.min() for gate in gates) > 0
    last = inside.values["output gate"][-1] * np.tanh(inside.values["cell"][-1])
    assert_allclose(inside.values["state"][-1], last, atol=1e-6)
    kernel, said = net.get_layer("picture").kernel.numpy()[0], net(film[None])[0, -1, 2, 5].numpy()
    slope = kernel @ (said * (1 - said))  # (3, 3, filters), through the sigmoid
    expected = np.zeros((8, 8))
    expected[1:4, 4:7] = np.linalg.norm(slope, axis=-1)
    assert_allclose(inside.pull[-1], expected, atol=1e-6)
    assert_array_equal(inside.reach(), [4, 3, 2, 1])  # one patch farther with each step back


def test_reach_is_the_largest_distance_along_rows_or_columns():
    pull = np.zeros((3, 6, 7))
    pull[0, 5, 2], pull[0, 1, 1], pull[1, 1, 6] = 1e-9, 1.0, 2.0
    assert_array_equal(Inside({}, pull, (1, 2)).reach(), [4, 4, 0])
