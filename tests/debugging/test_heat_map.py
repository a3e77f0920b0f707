"""Heat maps keep the whole training in bounded memory, and go on where a log stopped."""

import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("the inspector writes TensorFlow summaries", allow_module_level=True)

import tensorflow as tf

import custom_layers
from custom_layers.debugging import GradientInspector
from custom_layers.debugging.heat_map import HeatMaps
from tests.debugging.logs import events

TAG = "lstm/h/gradient_norm_by_step"


class Pictures:
    """Stands for the writer: notes at which training steps a picture is written."""

    def __init__(self):
        self.drawn = []

    def image(self, step, tag, image):
        assert image.dtype == np.uint8
        assert image.ndim == 3
        self.drawn.append((step, tag))


def series(look):
    return {TAG: np.array([look, look + 0.5]), "lstm/i/gradient_norm_by_step": np.zeros(2)}


@pytest.mark.parametrize("looks", [1, 5, 16, 17, 33, 100])
def test_columns_are_bounded_evenly_spaced_and_end_with_the_last_look(looks, monkeypatch):
    monkeypatch.setattr("custom_layers.debugging.heat_map._pixels", lambda *_: np.zeros((1, 1, 3)))
    monkeypatch.setattr(Pictures, "image", lambda self, step, tag, _: self.drawn.append(step))
    maps, pictures = HeatMaps(columns=16), Pictures()
    for look in range(looks):
        maps.look(pictures, 10 * look, series(look))
        assert len(maps.history(TAG)[1]) <= 17
    norms, steps = maps.history(TAG)
    np.testing.assert_array_equal(norms, [steps / 10, steps / 10 + 0.5])  # each by its own step
    assert (steps[0], steps[-1]) == (0, 10 * (looks - 1))
    assert len(set(np.diff(steps[:-1]))) <= 1
    if looks > 16:
        assert len(steps) > 8
    assert pictures.drawn == [10 * (look - 1) for look in (4, 16, 64) if look <= looks]
    maps.draw(pictures)
    maps.draw(pictures)  # nothing is new
    assert pictures.drawn[-1] == 10 * (looks - 1)
    assert len(set(pictures.drawn)) == len(pictures.drawn)


def test_a_model_without_states_has_none():
    maps, pictures = HeatMaps(), Pictures()
    maps.look(pictures, 0, {"attention/attention_scores/gradient_norm_by_step": np.ones(3)})
    maps.draw(pictures)
    assert maps.looks == 0
    assert pictures.drawn == []


def test_a_look_at_another_model_in_the_same_log_is_left_out():
    maps = HeatMaps()
    for step, (tag, length) in enumerate([("gru/h", 2), ("lstm/h", 3), ("lstm/h", 2)]):
        maps.look(Pictures(), step, {f"{tag}/gradient_norm_by_step": np.ones(length)})
    assert maps.history(TAG)[1].tolist() == [2]


def images(folder):
    log = events(folder)
    return {
        tag: [(event.step, tf.make_ndarray(event.tensor_proto)) for event in log.Tensors(tag)]
        for tag in log.Tags()["tensors"]
        if tag.endswith("heat_map")
    }


def test_pictures_are_written_in_fit_and_a_later_fit_knows_the_earlier_looks(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((8, 5, 2)), rng.standard_normal((8, 1))
    model = keras.Sequential([keras.Input((5, 2)), custom_layers.LSTM(3, name="lstm")])
    model.compile("sgd", "mse")
    inspector = GradientInspector(tmp_path, (x, y), every=1)
    for epochs in (4, 2):  # looks at steps 0 to 4, then at 5 and 6
        model.fit(x, y, batch_size=8, epochs=epochs, verbose=0, callbacks=[inspector])
    written = images(tmp_path)
    assert set(written) == {"lstm/h/heat_map", "lstm/c/heat_map"}
    assert [step for step, _ in written["lstm/h/heat_map"]] == [3, 4, 6]  # look 4, twice the end
    norms, steps = inspector._heat_maps.history(TAG)
    assert steps.tolist() == list(range(7))
    again, nothing_new = HeatMaps.of_log(tmp_path), Pictures()
    np.testing.assert_array_equal(norms, again.history(TAG)[0])
    again.draw(nothing_new)
    assert nothing_new.drawn == []
    pixels = tf.io.decode_png(written["lstm/h/heat_map"][-1][1][2]).numpy()
    assert pixels.shape == (360, 600, 3)
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 100
