"""Wrong input to the recurrent layers: one line with the argument, the rule, the value, the way out."""

import keras
import numpy as np
import pytest

import custom_layers

x = np.ones((2, 5, 3), "float32")
LAYERS = [custom_layers.SimpleRNN, custom_layers.LSTM, custom_layers.GRU]
every_layer = pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.__name__)


@every_layer
@pytest.mark.parametrize("shape", [(2, 4), (1, 5), (2, 5, 1), (5,)])
def test_mask_of_a_wrong_shape(layer, shape):
    with pytest.raises(
        ValueError, match=r"`mask` must be \(batch, steps\) = \(2, 5\).*mask.shape="
    ):
        layer(4)(x, mask=np.ones(shape, bool))


@every_layer
def test_inputs_of_a_wrong_rank(layer):
    with pytest.raises(ValueError, match=r"expected ndim=3, found ndim=2"):
        layer(4)(x[0])
    with pytest.raises(ValueError, match=r"`sequences` must be \(batch, steps, features\)"):
        custom_layers.RNN(custom_layers.GRUCell(4))(x[0])


@every_layer
@pytest.mark.parametrize("units", [0, -1, 2.5, "four", None])
def test_units_that_are_no_positive_integer(layer, units):
    with pytest.raises(ValueError, match=r"`units` must be a positive integer. Received: units="):
        layer(units)


@every_layer
@pytest.mark.parametrize("name", ["dropout", "recurrent_dropout"])
@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5])
def test_rates_outside_of_zero_and_one(layer, name, rate):
    with pytest.raises(ValueError, match=rf"`{name}` must be a probability in \[0, 1\)"):
        layer(4, **{name: rate})


def test_initial_states_that_do_not_fit():
    layer = custom_layers.LSTM(4)
    with pytest.raises(ValueError, match=r"`initial_state` must hold 2 tensor\(s\).*1 tensor"):
        layer(x, initial_state=[np.zeros((2, 4))])
    with pytest.raises(
        ValueError, match=r"`initial_state` must be \(batch, units\) = \(2, 4\).*\(2, 5\)"
    ):
        layer(x, initial_state=[np.zeros((2, 4)), np.zeros((2, 5))])
    bidirectional = custom_layers.Bidirectional(custom_layers.GRU(4))
    for states in ([np.zeros((2, 4), "float32")] * 3, np.zeros((2, 4), "float32")):
        with pytest.raises(ValueError, match="forward and then the backward states"):
            bidirectional(x, initial_state=states)


def test_settings_of_the_cell_can_be_read_on_the_layer_and_not_set():
    layer = custom_layers.LSTM(4, dropout=np.float32(0.5))
    assert (layer.units, layer.dropout) == (4, 0.5)
    with pytest.raises(AttributeError, match="`units` is a setting of the cell"):
        layer.units = 9


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="only there strings are tensors"
)
def test_text_is_refused():
    with pytest.raises(ValueError, match=r"`sequences` must hold numbers.*TextVectorization"):
        custom_layers.GRU(4)(keras.ops.convert_to_tensor([[["a"]]], dtype="string"))


def test_unknown_lengths_and_batches():
    with pytest.raises(ValueError, match=r"`unroll=True` needs a fixed number of steps"):
        custom_layers.GRU(4, unroll=True)(keras.Input((None, 3)))
    with pytest.raises(ValueError, match=r"`stateful=True` needs a fixed batch size"):
        custom_layers.GRU(4, stateful=True)(keras.Input((5, 3)))
    layer = custom_layers.GRU(4, stateful=True)
    layer(x)
    with pytest.raises(
        ValueError, match=r"batch size of a stateful layer is fixed: 2.*batch size 1"
    ):
        layer(x[:1])


def test_cells_that_are_none():
    with pytest.raises(ValueError, match="`cell` must have `call`"):
        custom_layers.RNN(3)
    with pytest.raises(ValueError, match="at least one cell"):
        custom_layers.StackedRNNCells([])
    with pytest.raises(ValueError, match=r"`layer` must be a keras\.layers\.Layer"):
        custom_layers.Bidirectional("gru")
    with pytest.raises(ValueError, match="`merge_mode` must be one of"):
        custom_layers.Bidirectional(custom_layers.GRU(4), merge_mode="max")


@pytest.mark.parametrize("layer", LAYERS[1:], ids=lambda layer: layer.__name__)
def test_cudnn_is_refused_at_the_call(layer):
    with pytest.raises(ValueError, match=r"no cuDNN kernel.*use_cudnn=True.*keras.layers"):
        layer(4, use_cudnn=True)(x)
