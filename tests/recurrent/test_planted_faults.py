"""At least twenty planted faults in each cell: the comparison with Keras notices every one."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from custom_layers.recurrent import (
    gate_products,
    gru,
    gru_step,
    lstm,
    masked_time_loop,
    recurrent_cell,
    rnn,
    simple_rnn,
)
from custom_layers.recurrent.dropout_masks import RecurrentDropout
from custom_layers.recurrent.recurrent_cell import RecurrentCell
from tests.mutants import Fault, mutant_of
from tests.parity import harness
from tests.parity.differentiate import outputs_and_gradients
from tests.parity.harness import Pair, assert_close, normal, precision, ragged_mask

LOOP = (rnn, "masked_time_loop")
WHERE = (masked_time_loop, "_where")
PROJECT = (RecurrentCell, "project_inputs")
INNER = (rnn.RNN, "inner_loop")

SHARED = [
    Fault(*PROJECT, "projected if bias is None else projected + bias", "projected"),
    Fault(*PROJECT, "projected + bias", "projected - bias"),
    Fault(*PROJECT, "self.dropout:", "self.recurrent_dropout > 1:"),
    Fault(*PROJECT, "training and", ""),
    Fault(RecurrentCell, "step_parameters", "bias(), mask)", "bias(), None)"),
    Fault(RecurrentCell, "step_parameters", "training and", ""),
    Fault(RecurrentDropout, "get_dropout_mask", "self._dropout_mask is None and ", ""),
    Fault(
        RecurrentDropout, "get_recurrent_dropout_mask", "self.recurrent_dropout)", "self.dropout)"
    ),
    Fault(gate_products, "multiply", "ops.matmul(x, kernel)", "ops.matmul(x, ops.flip(kernel, 0))"),
    Fault(
        gate_products, "multiply", "ops.matmul(x, kernel)", "ops.matmul(x, ops.flip(kernel, -1))"
    ),
    Fault(*WHERE, "ops.where(ops.reshape", "ops.where(~ops.reshape"),
    Fault(*WHERE, ", n, o)", ", n, 0 * o)"),
    Fault(*LOOP, "new_states = _where(keep, new_states, states)", "pass"),
    Fault(*LOOP, "output = _where(keep, output, before if holds_output else zero_output)", "pass"),
    Fault(*LOOP, "before if holds_output else zero_output", "zero_output"),
    Fault(*LOOP, "(new_states, carried)", "(states, carried)"),
    Fault(*LOOP, "inputs, reverse=reverse", "inputs, reverse=not reverse"),
    Fault(*INNER, "self.go_backwards:", "False:"),
    Fault(*INNER, 'mask = ops.cast(ops.transpose(mask, (1, 0)), "bool")', "mask = None"),
    Fault(rnn.RNN, "_states_before", "if initial_state is None:", "if True:"),
]

SIMPLE = [
    Fault(simple_rnn, "simple_rnn_step", "projected + m", "projected - m"),
    Fault(simple_rnn, "simple_rnn_step", "projected + multiply(h, recurrent_kernel)", "projected"),
    Fault(
        simple_rnn,
        "simple_rnn_step",
        "multiply(h, recurrent_kernel)",
        "multiply(h, ops.transpose(recurrent_kernel))",
    ),
    Fault(simple_rnn, "simple_rnn_step", "activation(projected", "ops.sigmoid(projected"),
]

LSTM_STEP = (lstm, "lstm_step")
LSTM = [
    *(
        Fault(*LSTM_STEP, "a_i, a_f, a_c, a_o =", f"{order} =")
        for order in (
            *("a_f, a_i, a_c, a_o", "a_i, a_c, a_f, a_o", "a_i, a_f, a_o, a_c"),
            *("a_o, a_f, a_c, a_i", "a_c, a_f, a_i, a_o", "a_i, a_o, a_c, a_f"),
        )
    ),
    Fault(*LSTM_STEP, "c = f * c + i * g", "c = f * c - i * g"),
    Fault(*LSTM_STEP, "c = f * c + i * g", "c = c + i * g"),
    Fault(*LSTM_STEP, "c = f * c + i * g", "c = f * c + g"),
    Fault(*LSTM_STEP, "c = f * c + i * g", "c = f * c + (1 - f) * g"),
    Fault(*LSTM_STEP, "o * activation(c)", "o * c"),
    Fault(*LSTM_STEP, "o * activation(c)", "activation(o * c)"),
    Fault(*LSTM_STEP, "o * activation(c)", "activation(c)"),
    Fault(*LSTM_STEP, "g = activation(a_c)", "g = a_c"),
    Fault(*LSTM_STEP, "f = recurrent_activation(a_f)", "f = recurrent_activation(a_f + 1)"),
    Fault(*LSTM_STEP, "i = recurrent_activation", "i = activation"),
    Fault(*LSTM_STEP, "projected + multiply", "projected - multiply"),
    Fault(*LSTM_STEP, "recurrent_kernel)\n", "ops.flip(recurrent_kernel, 0))\n"),
    Fault(lstm.LSTMCell, "run_step", "states[1]", "states[0]"),
    Fault(lstm.LSTMCell, "states_of", "[record.h, record.c]", "[record.c, record.h]"),
]

AFTER, BEFORE = (gru, "gru_step_reset_after"), (gru, "gru_step_reset_before")
GRU_AFTER = [
    *(
        Fault(*AFTER, "a_z, a_r, a_n =", f"{order} =")
        for order in ("a_r, a_z, a_n", "a_z, a_n, a_r", "a_n, a_r, a_z", "a_r, a_n, a_z")
    ),
    *(
        Fault(*AFTER, "u_z, u_r, u_n =", f"{order} =")
        for order in ("u_r, u_z, u_n", "u_z, u_n, u_r", "u_n, u_r, u_z", "u_n, u_z, u_r")
    ),
    Fault(*AFTER, "recurrent = recurrent + recurrent_bias", "pass"),
    Fault(
        *AFTER, "recurrent = recurrent + recurrent_bias", "recurrent = recurrent - recurrent_bias"
    ),
    Fault(*AFTER, "a_n + r * u_n", "a_n + u_n"),
    Fault(*AFTER, "a_n + r * u_n", "a_n - r * u_n"),
    Fault(*AFTER, "a_n + r * u_n", "r * (a_n + u_n)"),
    Fault(*AFTER, "a_n + r * u_n", "a_n + z * u_n"),
    Fault(*AFTER, "z * h + (1 - z) * n", "z * n + (1 - z) * h"),
    Fault(*AFTER, "z * h + (1 - z) * n", "z * h + (1 + z) * n"),
    Fault(*AFTER, "z * h + (1 - z) * n", "h + (1 - z) * n"),
    Fault(*AFTER, "n = activation", "n = recurrent_activation"),
    Fault(*AFTER, "z = recurrent_activation(a_z + u_z)", "z = recurrent_activation(a_z)"),
    Fault(gru.GRUCell, "recurrent_bias", "[1]", "[0]"),
]
GRU_BEFORE = [
    Fault(*BEFORE, "a_z, a_r, a_n =", "a_r, a_z, a_n ="),
    Fault(*BEFORE, "a_z, a_r, a_n =", "a_z, a_n, a_r ="),
    Fault(*BEFORE, "u_z, u_r =", "u_r, u_z ="),
    Fault(*BEFORE, "[2 * units]", "[units]"),
    Fault(*BEFORE, "ops.matmul(r * h_n, U_n)", "r * ops.matmul(h_n, U_n)"),
    Fault(*BEFORE, "ops.matmul(r * h_n, U_n)", "ops.matmul(h_n, U_n)"),
    Fault(*BEFORE, "ops.matmul(r * h_n, U_n)", "ops.matmul(z * h_n, U_n)"),
    Fault(*BEFORE, "ops.matmul(r * h_n, U_n)", "ops.matmul(r * h_n, ops.transpose(U_n))"),
    Fault(*BEFORE, "a_n + ops", "a_n - ops"),
    Fault(*BEFORE, "z * h + (1 - z) * n", "z * n + (1 - z) * h"),
    Fault(*BEFORE, "z * h + (1 - z) * n", "(1 - z) * n"),
    Fault(*BEFORE, "[h_z, h_r]", "[h_r, h_z]"),
    Fault(*BEFORE, "r = recurrent_activation(a_r + u_r)", "r = recurrent_activation(a_r)"),
    Fault(*BEFORE, "z = recurrent_activation", "z = activation"),
]

CELLS = {
    "SimpleRNN": ({}, 1, SHARED + SIMPLE),
    "LSTM": ({}, 2, SHARED + LSTM),
    "GRU": ({}, 1, SHARED + GRU_AFTER),
    "GRU_before": ({"reset_after": False}, 1, SHARED + GRU_BEFORE),
}
CASES = [(cell, fault) for cell, (*_, faults) in CELLS.items() for fault in faults]


def settings(cell):
    """The comparisons a fault has to survive to stay unnoticed."""
    options, states, _ = CELLS[cell]
    layer = cell.split("_")[0]

    def make(**more):
        return lambda layers: getattr(layers, layer)(
            4, return_sequences=True, return_state=True, **options, **more
        )

    def started(rng):
        start = [rng.standard_normal((3, 4)) for _ in range(states)]
        return {"initial_state": start, "mask": ragged_mask(3, 6)}

    def trained(rng):
        return {"training": True}

    x = normal(3, 6, 3)
    rates = {"dropout": 0.4, "recurrent_dropout": 0.3, "seed": 3}
    yield Pair("masked backwards", make(go_backwards=True), x, started)
    yield Pair("trained", make(**rates), x, trained)
    yield Pair("inference", make(**rates), x)


on_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="run on TensorFlow"
)


@on_tensorflow
@pytest.mark.parametrize(("cell", "fault"), CASES, ids=lambda part: str(part)[:70])
def test_fault_is_noticed(cell, fault, monkeypatch):
    monkeypatch.setattr(fault.owner, fault.name, mutant_of(fault))
    if fault.owner is gate_products:  # the step functions know it by name
        for module in (recurrent_cell, simple_rnn, lstm, gru_step):
            monkeypatch.setattr(module, fault.name, mutant_of(fault))
    assert any(notices(pair) for pair in settings(cell))


def notices(pair):
    with precision("float64"):
        try:
            own, builtin = harness.build_with_same_random_weights(pair, "float64")
            args, kwargs = harness.draw_call(pair, "float64", seed=8)
            results = [outputs_and_gradients(layer, args, kwargs) for layer in (own, builtin)]
            assert_close(*results, relative=1e-12)
            for mine, theirs in zip(own.variables, builtin.variables, strict=True):
                np.testing.assert_array_equal(mine.numpy(), theirs.numpy())
        except (AssertionError, ValueError, tf.errors.InvalidArgumentError):
            return True  # shapes that no longer fit are noticed as well
    return False


@on_tensorflow
@pytest.mark.parametrize("cell", CELLS)
def test_sound_cell_is_not_accused(cell):
    assert not any(notices(pair) for pair in settings(cell))


@pytest.mark.parametrize("cell", CELLS)
def test_there_are_twenty_faults(cell):
    assert len(set(CELLS[cell][-1])) >= 20
