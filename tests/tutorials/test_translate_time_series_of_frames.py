"""The page on films of a moving digit: its data by hand, its networks, and how it measures."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import custom_layers
from custom_layers.data import Images, drawn_digits
from custom_layers.data.local_files import DATA_FOLDER_VARIABLE
from tutorials import side_by_side
from tutorials.digit_images import digits
from tutorials.translate_time_series_of_frames import films, model, pictures, shifts, watching
from tutorials.translate_time_series_of_frames.films import BAR, NOISE, SIZE
from tutorials.translate_time_series_of_frames.model import LAST, LSTM, MEAN, Answers


def some_digits(count=30):
    drawn = drawn_digits(count, seed=0)
    return Images(drawn.pixels[:, ::2, ::2], drawn.labels, drawn.source)


def some_films(count=12, steps=5, seed=0):
    return films.films(some_digits(), count, steps, seed).hidden(seed + 1)


def test_the_way_at_each_step_is_followed_from_wall_to_wall():
    """Step by step: move, and turn round where a wall has been passed."""
    random, room = np.random.default_rng(0), 18
    first, velocity = random.uniform(0, room, (40, 2)), random.uniform(-4, 4, (40, 2))
    found = films.after_bounces(first, velocity, 30, room)
    place, now = first.copy(), velocity.copy()
    turned = 0
    for step in range(30):
        np.testing.assert_allclose(found[:, step], now)
        place += now
        over, under = place > room, place < 0
        place[over], place[under] = 2 * room - place[over], -place[under]
        now[over | under] *= -1
        turned += int((over | under).sum())
    assert turned > 100


def test_ways_are_numbered_clockwise_from_the_right():
    down_right = [(0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1)]
    assert films.ways_of(np.array(down_right, float)).tolist() == list(range(8))
    assert films.ways_of(np.array([1e-9, 1.0])) == films.ways_of(np.array([-1e-9, 1.0])) == 0
    assert films.opposite(np.arange(8)).tolist() == [4, 5, 6, 7, 0, 1, 2, 3]
    assert len(set(films.ARROWS)) == films.WAYS


def test_between_two_frames_the_digit_has_gone_the_way_of_the_label():
    """By the middle of the ink, where no wall turned it on the way."""
    made = films.films(some_digits(), 60, 12, seed=4)
    straight = np.flatnonzero(made.ways[:, 0] == made.ways[:, -1])
    bright = made.pixels / made.pixels.sum(axis=(2, 3), keepdims=True)
    middle = np.stack(
        [bright.sum(axis=3) @ np.arange(SIZE), bright.sum(axis=2) @ np.arange(SIZE)], axis=-1
    )
    gone = films.ways_of(middle[:, -1] - middle[:, 0])
    agree = gone == made.ways[:, -1]
    assert len(straight) > 15
    assert agree[straight].mean() > 0.9  # no whole pixels: a short way may look crooked
    assert agree.mean() < 0.75


def test_backwards_is_another_film_with_its_own_labels():
    made = some_films(steps=6)
    back = made.backwards()
    np.testing.assert_array_equal(back.pixels[:, 1], made.pixels[:, 4])
    np.testing.assert_array_equal(back.digits, made.digits)
    np.testing.assert_array_equal((back.ways[:, 0] - made.ways[:, 5]) % 8, 4)
    np.testing.assert_array_equal((back.at_the_end()[1] - made.ways[:, 0]) % 8, 4)
    np.testing.assert_array_equal(back.backwards().ways, made.ways)


def test_a_bar_hides_each_frame_anew_and_noise_is_all_over_it():
    ones = np.ones((200, 3, SIZE, SIZE), "float32")
    seen = films.behind_bars(ones, seed=5)
    again, other = films.behind_bars(ones, seed=5), films.behind_bars(ones, seed=6)
    np.testing.assert_array_equal(seen, again)
    assert not np.array_equal(seen, other)
    assert np.all(ones == 1)  # not in place
    widths, places, lying = [], set(), 0
    for frame in seen.reshape(-1, SIZE, SIZE):
        rows, columns = frame.mean(axis=1) < 0.5, frame.mean(axis=0) < 0.5
        dark = rows if rows.any() else columns
        assert not (rows.any() and columns.any())
        at = np.flatnonzero(dark)
        assert at[-1] - at[0] + 1 == len(at)  # one bar
        widths.append(len(at))
        places.add(int(at[0]))
        lying += int(rows.any())
        clear = np.outer(~rows, ~columns)
        assert frame[clear].mean() == pytest.approx(1, abs=0.05)
        assert frame[~clear].mean() == pytest.approx(0, abs=0.1)
        assert frame[clear].std() == pytest.approx(NOISE, rel=0.2)
    assert max(widths) == BAR
    assert min(widths) == BAR // 2  # at the border
    assert 240 < lying < 360
    bars = seen.reshape(200, 3, -1) < 0.5
    assert np.mean((bars[:, 0] == bars[:, 1]).mean(axis=1) > 0.95) < 0.1  # anew in each frame
    assert len(places) > 20


def test_a_third_of_the_ink_is_hidden():
    """The noise of a seed is the same: what a film of twice the ink has more is the ink that is left."""
    pixels = films.films(some_digits(), 200, 3, seed=0).pixels
    share = films.hidden_ink(pixels, seed=5)
    left = films.behind_bars(2 * pixels, seed=5) - films.behind_bars(pixels, seed=5)
    np.testing.assert_allclose(
        share, 1 - left.sum(axis=(2, 3)) / pixels.sum(axis=(2, 3)), atol=1e-5
    )
    assert share.mean() == pytest.approx(1 / 3, abs=0.05)


@pytest.mark.parametrize("phase", [False, True])
def test_correlation_finds_a_known_shift(phase):
    picture = np.random.default_rng(0).standard_normal((SIZE, SIZE))
    moved = np.roll(picture, (3, -2), axis=(0, 1))
    a, b = np.fft.fft2(np.stack([picture, moved]))
    spectrum = a.conj() * b
    if phase:
        spectrum /= np.abs(spectrum)
    places = np.array([(row, column) for row in range(-4, 5) for column in range(-4, 5)])
    fit = shifts.fit_of_shifts(spectrum[None], places)[0]
    assert places[fit.argmax()].tolist() == [3, -2]
    if not phase:  # equation (2) without Fourier
        by_hand = [np.sum(np.roll(picture, place, axis=(0, 1)) * moved) for place in places]
        np.testing.assert_allclose(fit / SIZE**2, by_hand, atol=1e-9)


@pytest.mark.parametrize(("frames", "phase"), [(2, True), (3, False), (4, True)])
def test_each_way_is_found_of_smooth_pictures_that_move(frames, phase):
    """Moved by parts of pixels: a Gaussian, whose middle is anywhere."""
    at, steps = np.arange(SIZE), np.arange(5)[:, None]
    for way, velocity in enumerate(shifts.velocities()):
        row, column = (15 + steps * v for v in velocity)
        film = np.exp(-((at[:, None] - row[..., None]) ** 2) / 8)
        film = film * np.exp(-((at - column[..., None]) ** 2) / 8)
        assert shifts.ways_by_correlation(film[None], frames, phase).tolist() == [way]


def test_all_pairs_of_the_last_frames_by_hand():
    """Equation (3): every earlier frame, shifted as far as it would have moved until the later one."""
    pixels = np.random.default_rng(0).standard_normal((60, 4, 8, 8))
    k = np.fft.fftfreq(8)
    fit = np.zeros((60, 8))
    for way, (down, right) in enumerate(shifts.velocities()):
        for s, t in [(1, 2), (2, 3), (1, 3)]:
            turn = np.exp(-2j * np.pi * (t - s) * (down * k[:, None] + right * k))
            moved = np.fft.ifft2(np.fft.fft2(pixels[:, s]) * turn)
            fit[:, way] += (moved * pixels[:, t]).sum(axis=(1, 2)).real
    found = shifts.ways_by_correlation(pixels, 3, phase=False)
    np.testing.assert_array_equal(found, fit.argmax(axis=1))


def test_only_the_last_frames_are_compared():
    made = films.films(some_digits(), 20, 8, seed=0)
    late = made.pixels[:, -3:]
    np.testing.assert_array_equal(
        shifts.ways_by_correlation(made.pixels, 3, True), shifts.ways_by_correlation(late, 3, True)
    )


def test_the_best_window_is_tried_out():
    made = films.films(some_digits(), 60, 6, seed=2)
    truth = made.ways[:, -1]
    chosen = np.mean(
        shifts.ways_by_correlation(made.pixels, *shifts.best_window(made.pixels, truth, 4)) == truth
    )
    for frames in (2, 3, 4):
        for phase in (False, True):
            share = np.mean(shifts.ways_by_correlation(made.pixels, frames, phase) == truth)
            assert share <= chosen


@pytest.mark.parametrize("reads", [LAST, MEAN, LSTM])
def test_a_network_has_an_answer_to_each_question(reads):
    net = model.network(custom_layers, reads, steps=5, updates=10)
    digit, way = net(some_films().pixels[..., None])
    assert (digit.shape, way.shape) == ((12, 10), (12, 8))


def test_what_each_network_can_see():
    made = some_films()
    changed = made.pixels.copy()
    changed[:, 1] += 1
    order = np.array([3, 0, 4, 1, 2])
    for reads, sees_change, sees_order in (
        (LAST, False, True),
        (MEAN, True, False),
        (LSTM, True, True),
    ):
        keras.utils.set_random_seed(1)
        net = model.network(custom_layers, reads, steps=5, updates=10)
        logits, after, shuffled = (
            np.concatenate(net(x[..., None]), axis=1)
            for x in (made.pixels, changed, made.pixels[:, order])
        )
        assert (np.abs(after - logits).max() > 1e-4) == sees_change, reads
        assert (np.abs(shuffled - logits).max() > 1e-4) == sees_order, reads


def test_after_the_last_frame_both_lstms_say_the_same():
    every, end = (
        model.network(custom_layers, LSTM, 5, 10, every_frame=every) for every in (True, False)
    )
    end.set_weights(every.get_weights())
    x = some_films().pixels[..., None]
    for each, last in zip(every(x), end(x), strict=True):
        assert each.shape == (12, 5, each.shape[-1])
        np.testing.assert_allclose(each[:, -1], last, atol=1e-6)


def test_the_reader_says_where_and_what_by_hand():
    """Equation (2) of the model, from the pooled parts of a frame."""
    keras.utils.set_random_seed(0)
    reader = model.frame_reader(custom_layers)
    pooled = keras.Model(reader.input, reader.get_layer("pool").output)
    frames = some_films().pixels[0, :, ..., None]
    a, features = pooled(frames).numpy(), reader(frames).numpy()
    W, b = reader.get_layer("where").get_weights()
    where = np.maximum(a.reshape(len(a), -1) @ W + b, 0)
    K, c = reader.get_layer("shapes").get_weights()
    windows = np.lib.stride_tricks.sliding_window_view(a, (3, 3), axis=(1, 2))
    shapes = np.maximum(np.einsum("nijfab,abfk->nijk", windows, K) + c, 0)
    expected = np.concatenate([where, shapes.max(axis=(1, 2))], axis=-1)
    assert features.shape == (5, model.WHERE + model.WHAT)
    np.testing.assert_allclose(features, expected, atol=1e-5)


def test_both_namespaces_are_trained_alike():
    made = some_films(count=48, steps=3)
    pair = side_by_side.train_both(
        lambda layers: model.network(layers, LSTM, 3, 10, every_frame=True),
        made.pixels[..., None],
        list(made.at_every_frame()),
        batch_size=16,
    )
    assert pair.losses.shape == (2, 3)
    assert pair.apart(3) < 1e-5
    modules = {type(layer).__module__.split(".")[0] for layer in pair.custom.layers}
    assert "custom_layers" in modules


def test_right_is_counted_for_each_answer_apart():
    made = films.Films(np.zeros((2, 3, 1, 1)), np.array([4, 5]), np.array([[0, 1, 2], [3, 4, 5]]))
    digit, way = model.right(Answers(np.array([4, 4]), np.array([2, 5])), made)
    assert (digit, way) == (0.5, 1)
    every = Answers(np.array([[4, 0, 4], [5, 5, 0]]), np.array([[0, 0, 0], [3, 0, 5]]))
    assert model.right(every.last(), made) == (0.5, 0.5)
    digit, way = model.right(every, made)
    assert (digit.tolist(), way.tolist()) == ([1, 0.5, 0.5], [1, 0, 0.5])


def test_answers_are_the_largest_logits():
    net = model.network(custom_layers, LSTM, 4, 10, every_frame=True)
    made = some_films(steps=4)
    for said, logits in zip(
        model.answers(net, made.pixels), net(made.pixels[..., None]), strict=True
    ):
        np.testing.assert_array_equal(said, np.argmax(logits, axis=-1))


def shares(gradient):
    norms = np.sqrt((np.asarray(gradient, "float64") ** 2).sum(axis=2))
    return np.mean([film / film.sum() for film in norms], axis=0)


def test_gradients_of_the_end_are_those_of_the_rest_of_the_network():
    """From the features on: the LSTM and a head alone, which a tape can watch from outside."""
    keras.utils.set_random_seed(3)
    made = some_films(count=4, steps=3)
    net = model.network(custom_layers, LSTM, 3, 10, every_frame=True)
    found = watching.gradients_of_the_end(net, made)
    features = tf.constant(net.get_layer("frames")(made.pixels[..., None]))
    cell = net.get_layer("lstm").cell
    for name, truth in zip(watching.QUESTIONS, made.at_the_end(), strict=True):
        with tf.GradientTape() as tape:
            tape.watch(features)
            states, carried = [], [tf.zeros((4, model.UNITS)), tf.zeros((4, model.UNITS))]
            for t in range(3):
                h, carried = cell(features[:, t], carried)
                tape.watch(h)
                states.append(h)
                carried = [h, carried[1]]
            logits = net.get_layer(name)(h)
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(labels=truth, logits=logits)
            )
        by_features, by_states = tape.gradient(loss, [features, states])
        np.testing.assert_allclose(found[name].frames, shares(by_features), rtol=1e-3)
        by_states = np.stack(by_states, axis=1)
        np.testing.assert_allclose(found[name].states, shares(by_states), rtol=1e-3)


def test_what_is_lost_without_a_frame(monkeypatch):
    """A network that reads the digit off the second frame and the way off the third."""
    made = films.Films(np.zeros((4, 3, 2, 2), "float32"), np.arange(4), np.full((4, 3), 5))
    made.pixels[:, 1] = 7
    made.pixels[:, 2] = 7

    def seeing(_, pixels):
        second, third = (pixels[:, t].min(axis=(1, 2)) > 5 for t in (1, 2))
        digit, way = np.where(second, np.arange(4), 9), np.where(third, 5, 0)
        return Answers(np.repeat(digit[:, None], 3, axis=1), np.repeat(way[:, None], 3, axis=1))

    monkeypatch.setattr(watching, "answers", seeing)
    lost = watching.lost_without(None, made, seed=0)
    assert {name: values.tolist() for name, values in lost.items()} == {
        "digit": [0, 1, 0],
        "way": [0, 0, 1],
    }
    assert made.pixels[:, 1:].min() == 7  # not in place


def test_without_files_the_films_are_of_drawn_digits(monkeypatch, capsys):
    monkeypatch.delenv(DATA_FOLDER_VARIABLE, raising=False)
    images, what = digits("train", 40)
    made = films.films(images, 6, 4, seed=0)
    assert what == "drawn digits"
    assert "drawn instead" in capsys.readouterr().out
    assert made.pixels.shape == (6, 4, SIZE, SIZE)
    assert made.pixels.max() > 0.5


def test_pictures_are_drawn(tmp_path):
    made = some_films(count=2, steps=4)
    share = np.array([0.1, 0.4, 0.6, 0.7])
    found = watching.Gradients(share, share[::-1])
    drawn = [
        pictures.save_films(
            [("seen", made, 0), ("seen", made, 1)],
            (np.array([1, 2]), np.array([0, 7])),
            tmp_path / "films.png",
        ),
        pictures.save_frames_seen(
            {"at every frame": (share, share), "at the end": (share, share)},
            (0.5, 0.1),
            tmp_path / "seen.png",
        ),
        pictures.save_what_decides(
            {"digit": found, "way": found},
            {"digit": share, "way": share},
            tmp_path / "decides.png",
        ),
    ]
    assert all(path.stat().st_size > 10_000 for path in drawn)
