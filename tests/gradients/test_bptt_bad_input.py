"""A gradient that cannot be had is refused when the layer is made, in one line with the way out."""

import keras
import numpy as np
import pytest

import custom_layers
from custom_layers import GRU, LSTM, RNN, GRUCell, LSTMCell
from tests.gradients.settings import BPTT


def test_unknown_gradient():
    with pytest.raises(ValueError, match=r"`gradient` must be one of.*gradient='tape'.*'autodiff'"):
        LSTM(4, gradient="tape")


@pytest.mark.parametrize("every", [0, -1, 2.5, "2", True])
def test_truncation_is_a_count(every):
    with pytest.raises(ValueError, match=r"`truncate_every` must be None or.*1 or more.*Received"):
        GRU(4, **BPTT, truncate_every=every)


def test_a_count_of_numpy_s_is_a_count():
    assert type(GRU(4, **BPTT, truncate_every=np.int64(3)).truncate_every) is int


def test_a_block_is_no_longer_than_the_sequence():
    layer = GRU(4, **BPTT, truncate_every=6)
    assert layer(np.zeros((2, 6, 3))).shape == (2, 4)
    with pytest.raises(
        ValueError,
        match=r"`truncate_every` must be at most.*truncate_every=6, 5 steps.*leave it out",
    ):
        layer(np.zeros((2, 5, 3)))


def test_truncation_needs_bptt():
    with pytest.raises(
        ValueError, match=r"`truncate_every`.*truncate_every=2, gradient='autodiff'"
    ):
        GRU(4, truncate_every=2)


class Doubled(GRUCell):
    """A subclass that changes the step, and not the way back."""

    def step_with(self, *args, **kwargs):
        record = super().step_with(*args, **kwargs)
        return record._replace(h=2 * record.h)


class Called(GRUCell):
    def call(self, inputs, states, training=False):
        return super().call(inputs, states, training)


class Stepped(LSTMCell):
    def step(self, *args, **kwargs):
        return super().step(*args, **kwargs)


class Renamed(GRUCell):
    """Changes nothing that the gradient depends on."""

    def get_config(self):
        return super().get_config()


@pytest.mark.parametrize(
    "make",
    [
        lambda: keras.layers.GRUCell(4),
        lambda: [GRUCell(4), keras.layers.LSTMCell(4)],
        lambda: keras.layers.StackedRNNCells([GRUCell(4)]),
        lambda: [GRUCell(4), custom_layers.StackedRNNCells([GRUCell(4)])],
        lambda: Doubled(4),
        lambda: Called(4),
        lambda: Stepped(4),
        lambda: GRUCell(4, activity_regularizer="l2"),
    ],
)
def test_cells_without_a_backward_step_that_fits(make):
    with pytest.raises(ValueError, match=r"backward step.*cell=<.*gradient=\"autodiff\""):
        RNN(make(), **BPTT)


def test_a_subclass_that_leaves_the_step_alone_is_taken():
    assert RNN(Renamed(4), **BPTT).gradient == "bptt"


@pytest.mark.parametrize("activation", ["silu", "softmax", lambda a: a * a, keras.layers.ReLU(1.0)])
def test_an_activation_without_a_slope(activation):
    with pytest.raises(
        ValueError, match=r"`activation` must be one whose slope.*tanh.*\"autodiff\""
    ):
        LSTM(4, activation=activation, **BPTT)
    with pytest.raises(ValueError, match="slope"):
        LSTM(4, recurrent_activation=activation, **BPTT)
    LSTM(4, activation=activation)
