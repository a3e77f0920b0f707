"""`truncate_every=k` is autodiff through a loop whose states are held constant between blocks of k."""

import keras
import numpy as np
import pytest
from keras import ops

import custom_layers
from tests.gradients.settings import ALL, BPTT, CLOSE, WIDE, build, call_of, gradients_of
from tests.parity.differentiate import BACKEND, outputs_and_gradients
from tests.parity.harness import assert_close, precision

NAMES = [
    *("SimpleRNN_masked", "LSTM_masked", "GRU_masked", "GRU_before_masked", "stack"),
    *("LSTM_masked_last", "GRU_backwards", "LSTM_zeros", "SimpleRNN_unrolled", "LSTM_everything"),
]
by_name = {str(setting): setting for setting in ALL}
HERE = NAMES if BACKEND == "tensorflow" else ["LSTM_masked", "GRU_backwards"]
MODE = "jit" if BACKEND == "jax" else "eager"


class CutByHand(keras.layers.Layer):
    """The layer's cell in a plain loop, written out, that stops the gradient where a block begins."""

    def __init__(self, layer, every):
        super().__init__()
        self.layer, self.every = layer, every
        self.built = self.supports_masking = True

    def call(self, x, initial_state=None, mask=None, training=False):
        layer = self.layer
        states = initial_state or layer.get_initial_state(x.shape[0])
        last, outputs = (
            ops.zeros((x.shape[0], layer.compute_output_shape(x.shape)[0][-1]), x.dtype),
            [],
        )
        order = range(x.shape[1])
        for count, t in enumerate(reversed(order) if layer.go_backwards else order):
            if count and count % self.every == 0:
                states = keras.tree.map_structure(ops.stop_gradient, states)
            output, after = layer.cell(x[:, t], states)
            if mask is not None:
                keep = ops.convert_to_tensor(mask)[:, t, None]
                output = ops.where(
                    keep, output, ops.zeros_like(last) if layer.zero_output_for_mask else last
                )
                after = keras.tree.map_structure(
                    lambda new, old, keep=keep: ops.where(keep, new, old), after, states
                )
            states, last = after, output
            outputs.append(output)
        return (ops.stack(outputs, axis=1) if layer.return_sequences else last), *states


@pytest.mark.parametrize("every", [1, 2, 4])
@pytest.mark.parametrize("name", HERE)
def test_it_is_a_loop_with_stopped_gradients(name, every):
    setting = by_name[name]
    second = every == 2 and name in ("LSTM_masked", "stack")
    got = gradients_of(setting, MODE, second, **BPTT, truncate_every=every)
    with precision(WIDE):
        reference = CutByHand(build(setting), every)
        wanted = outputs_and_gradients(
            reference, *call_of(setting, WIDE), mode=MODE, second_order=second
        )
    assert_close(got, wanted, relative=CLOSE)


def test_one_block_is_no_truncation_and_smaller_blocks_are():
    setting = by_name["LSTM_masked"]
    whole = gradients_of(setting, MODE, **BPTT)
    assert_close(gradients_of(setting, MODE, **BPTT, truncate_every=6), whole, relative=CLOSE)
    cut = gradients_of(setting, MODE, **BPTT, truncate_every=2)
    assert_close(*({k: v for k, v in g.items() if k[0] == "o"} for g in (cut, whole)), relative=0)
    assert not np.allclose(cut["gradient/input/0"], whole["gradient/input/0"])


@pytest.mark.skipif(BACKEND != "tensorflow", reason="compiled with tf.function")
@pytest.mark.parametrize("mode", ["traced", "jit"])
def test_in_a_graph_and_compiled(mode):
    setting, options = by_name["GRU_backwards"], {**BPTT, "truncate_every": 4}
    assert_close(*(gradients_of(setting, m, **options) for m in (mode, "eager")), relative=CLOSE)


def test_both_directions_truncate():
    layer = custom_layers.Bidirectional(custom_layers.LSTM(3, gradient="bptt", truncate_every=2))
    for direction in (layer.forward_layer, layer.backward_layer):
        assert (direction.gradient, direction.truncate_every) == ("bptt", 2)
