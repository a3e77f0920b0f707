"""Twenty planted faults and more in each backward step, and in the loop back in time: all noticed."""

import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("run on TensorFlow", allow_module_level=True)

import tensorflow as tf

from custom_layers.recurrent import (
    back_propagation,
    dropout_masks,
    gate_products,
    gru,
    gru_step,
    lstm,
    masked_time_loop,
    simple_rnn,
    truncation,
)
from custom_layers.recurrent.back_propagation import Recurrence
from tests.gradients.settings import ALL, BPTT, build, call_of, gradients_of
from tests.gradients.steps import CASES as STEPS
from tests.gradients.steps import by_hand, draw, scalar
from tests.gradients.test_bptt_recording import recording_of
from tests.gradients.test_truncation import CutByHand
from tests.mutants import Fault, mutant_of
from tests.parity.differentiate import outputs_and_gradients
from tests.parity.harness import assert_close, precision

by_name = {str(setting): setting for setting in ALL}
by_step = {str(case): case for case in STEPS}


def exchanged(owner, name, *pairs):
    """One fault for each (old, new)."""
    return [Fault(owner, name, old, new) for old, new in pairs]


SIMPLE = exchanged(
    *(simple_rnn, "simple_rnn_step_backward"),
    ("d_a = d_h * slope_of(activation)(step.h)", "d_a = d_h"),
    ("d_a = d_h * slope_of", "d_a = -d_h * slope_of"),
    ("d_a = d_h * slope_of", "d_a = 2 * d_h * slope_of"),
    ("d_a = d_h * slope_of", "d_a = slope_of"),
    ("slope_of(activation)(step.h)", "slope_of(activation)(h)"),
    ("slope_of(activation)(step.h)", "slope_of(activation)(activation(step.h))"),
    ("slope_of(activation)(step.h)", "slope_of(ops.sigmoid)(step.h)"),
    ("slope_of(activation)(step.h)", "(1 - step.h)"),
    ("slope_of(activation)(step.h)", "(1 + step.h**2)"),
    ("slope_of(activation)(step.h)", "step.h"),
    ("projected=d_a", "projected=d_h"),
    ("projected=d_a", "projected=-d_a"),
    ("projected=d_a", "projected=ops.flip(d_a, -1)"),
    ("projected=d_a", "projected=ops.flip(d_a, 0)"),
    ("h=multiply_backward(d_a, h", "h=multiply_backward(d_h, h"),
    ("h=multiply_backward(d_a, h, recurrent_kernel)", "h=d_a"),
    ("h=multiply_backward(d_a, h, rec", "h=-multiply_backward(d_a, h, rec"),
    ("h, recurrent_kernel)", "h, ops.transpose(recurrent_kernel))"),
    ("h, recurrent_kernel)", "h, ops.flip(recurrent_kernel, 0))"),
    ("kernel_gradient(d_a, h)", "kernel_gradient(d_h, h)"),
    ("kernel_gradient(d_a, h)", "kernel_gradient(h, d_a)"),
    ("kernel_gradient(d_a, h)", "kernel_gradient(d_a, step.h)"),
    ("kernel_gradient(d_a, h)", "-kernel_gradient(d_a, h)"),
)

LSTM = exchanged(
    *(lstm, "lstm_step_backward"),
    ("y = activation(step.c)", "y = step.c"),
    ("y = activation(step.c)", "y = activation(c)"),
    ("y = activation(step.c)", "y = activation(step.h)"),
    ("d_c = d_c + d_h", "d_c = d_h"),
    ("d_c + d_h * step.o", "d_c - d_h * step.o"),
    ("d_c + d_h * step.o * slope(y)", "d_c"),
    ("d_h * step.o * slope(y)", "d_h * slope(y)"),
    ("d_h * step.o * slope(y)", "d_h * step.o"),
    ("d_h * step.o * slope(y)", "d_h * step.f * slope(y)"),
    ("slope(y)", "slope(step.c)"),
    ("a_o = d_h * y", "a_o = d_c * y"),
    ("a_o = d_h * y", "a_o = d_h * step.c"),
    ("gate_slope(step.o)", "slope(step.o)"),
    ("gate_slope(step.o)", "gate_slope(step.i)"),
    ("a_c = d_c * step.i", "a_c = d_c * step.f"),
    ("a_c = d_c * step.i", "a_c = d_h * step.i"),
    ("slope(step.g)", "gate_slope(step.g)"),
    ("a_f = d_c * c", "a_f = d_c * step.c"),
    ("a_f = d_c * c", "a_f = d_c * step.g"),
    ("gate_slope(step.f)", "step.f"),
    ("a_i = d_c * step.g", "a_i = d_c * step.i"),
    ("a_i = d_c * step.g", "a_i = -d_c * step.g"),
    ("gate_slope(step.i)", "gate_slope(step.f)"),
    ("[a_i, a_f, a_c, a_o]", "[a_f, a_i, a_c, a_o]"),
    ("[a_i, a_f, a_c, a_o]", "[a_i, a_f, a_o, a_c]"),
    ("[a_i, a_f, a_c, a_o]", "[a_i, a_c, a_f, a_o]"),
    ("multiply_backward(d_a, h,", "-multiply_backward(d_a, h,"),
    ("c=d_c * step.f", "c=d_c"),
    ("c=d_c * step.f", "c=d_c * step.i"),
    ("kernel_gradient(d_a, h)", "kernel_gradient(d_a, step.h)"),
    ("c_probe=d_c", "c_probe=d_c * step.f"),
)

BOTH_GRUS = (
    ("a_n = d_h * (1 - step.z)", "a_n = d_h * step.z"),
    ("a_n = d_h * (1 - step.z)", "a_n = d_h"),
    ("* slope(step.n)", "* gate_slope(step.n)"),
    ("* slope(step.n)", ""),
    ("gate_slope(step.r)", "gate_slope(step.z)"),
    ("gate_slope(step.r)", "step.r"),
    ("(h - step.n)", "(step.n - h)"),
    ("(h - step.n)", "h"),
    ("(h - step.n)", "(step.h - step.n)"),
    ("a_z = d_h", "a_z = a_n"),
    ("gate_slope(step.z)", "slope(step.z)"),
    (
        "d_projected = ops.concatenate([a_z, a_r, a_n]",
        "d_projected = ops.concatenate([a_r, a_z, a_n]",
    ),
    (
        "d_projected = ops.concatenate([a_z, a_r, a_n]",
        "d_projected = ops.concatenate([a_z, a_n, a_r]",
    ),
    ("h=d_h * step.z", "h=d_h"),
    ("h=d_h * step.z", "h=d_h * (1 - step.z)"),
    ("h=d_h * step.z", "h=d_h * step.r"),
)
AFTER = [
    *exchanged(gru_step, "gru_step_backward_reset_after", *BOTH_GRUS),
    *exchanged(
        *(gru_step, "gru_step_backward_reset_after"),
        ("a_r = a_n * step.u_n", "a_r = a_n * h"),
        ("a_r = a_n * step.u_n", "a_r = a_n * step.n"),
        ("a_n * step.r]", "a_n]"),
        ("a_n * step.r]", "a_n * step.z]"),
        ("ops.concatenate([a_z, a_r, a_n * step.r]", "ops.concatenate([a_r, a_z, a_n * step.r]"),
        ("multiply_backward(d_recurrent", "multiply_backward(d_projected"),
    ),
    *exchanged(
        *(gru_step, "reset_after_weights_backward"),
        ("a_n * step.r]", "a_n]"),
        ("ops.sum(d_recurrent", "ops.sum(d_projected"),
        ("kernel_gradient(d_recurrent", "kernel_gradient(d_projected"),
        ("kernel_gradient(d_recurrent, dropped_h)", "kernel_gradient(d_recurrent, step.h)"),
    ),
]
BEFORE = [
    *exchanged(gru_step, "gru_step_backward_reset_before", *BOTH_GRUS),
    *exchanged(
        *(gru_step, "gru_step_backward_reset_before"),
        ("U_z, U_r, U_n =", "U_r, U_z, U_n ="),
        ("multiply_backward(a_n, h_n, U_n)", "multiply_backward(a_n, h_n, U_r)"),
        ("multiply_backward(a_n, h_n, U_n)", "multiply_backward(a_n, h_n, ops.transpose(U_n))"),
        ("a_r = d_rh * h_n", "a_r = d_rh * step.n"),
        ("a_r = d_rh * h_n", "a_r = a_n * h_n"),
        ("d_h_n = d_rh * step.r", "d_h_n = d_rh"),
        ("[d_h_z, d_h_r, d_h_n]", "[d_h_r, d_h_z, d_h_n]"),
        ("d_h_z + d_h_r + d_h_n", "d_h_z + d_h_r"),
    ),
    *exchanged(
        *(gru_step, "reset_before_weights_backward"),
        ("step.r * h_n", "h_n"),
        ("[h_z, h_r,", "[h_r, h_z,"),
    ),
]
PRODUCTS = [
    *exchanged(
        *(gate_products, "multiply_backward"),
        ("ops.transpose(kernel)", "kernel"),
        ("zip(d_products, x, kernels", "zip(d_products[::-1], x, kernels"),
    ),
    *exchanged(
        *(gate_products, "kernel_gradient"),
        (
            "zip(ops.split(d_product, len(x), axis=-1), x",
            "zip(ops.split(d_product, len(x), axis=-1), x[::-1]",
        ),
        ("ops.matmul(ops.transpose(x), d_product)", "ops.matmul(ops.transpose(d_product), x)"),
    ),
]
STEP_FAULTS = {
    "simple_rnn_step": SIMPLE,
    "lstm_step": LSTM + PRODUCTS,
    "gru_step_reset_after": AFTER,
    "gru_step_reset_before": BEFORE,
}


def step_differs(case):
    """From the tape's gradients of the forward step, by any argument, with one mask or one per gate."""
    functions = {"activation": keras.activations.tanh}
    if case.gates > 1:
        functions["recurrent_activation"] = keras.activations.sigmoid
    for per_gate in (False, True):
        arguments = keras.tree.map_structure(tf.constant, draw(case, "float64", per_gate))
        with tf.GradientTape() as tape:
            tape.watch(arguments)
            loss = scalar(case, arguments, functions)
        wanted = tape.gradient(loss, arguments)
        try:
            found = by_hand(case, arguments, functions)
            for name, value in wanted.items():
                keras.tree.map_structure(
                    lambda got, want: np.testing.assert_allclose(got, want, rtol=0, atol=1e-12),
                    *(found[name], value),
                )
        except (AssertionError, ValueError, tf.errors.InvalidArgumentError):
            return True
    return False


@pytest.mark.parametrize(
    ("case", "fault"), [(c, f) for c, faults in STEP_FAULTS.items() for f in faults], ids=str
)
def test_a_fault_in_a_backward_step_is_noticed(case, fault, monkeypatch):
    faulty = mutant_of(fault)
    for module in (fault.owner, simple_rnn, lstm, gru_step):
        if hasattr(module, fault.name):
            monkeypatch.setattr(module, fault.name, faulty)
    assert step_differs(by_step[case])


@pytest.mark.parametrize("case", STEPS, ids=str)
def test_a_sound_step_is_not_accused_and_has_twenty_faults(case):
    assert not step_differs(case)
    assert len(set(STEP_FAULTS[str(case)])) >= 20


BACK = (masked_time_loop, "masked_time_loop_backward")
LOOP = [
    *exchanged(
        *BACK,
        ('d_output = d_output + x["d_output"]', "pass"),
        ('d_output + x["d_output"]', 'd_output - x["d_output"]'),
        ('d_new = _where(x["keep"], d_states, nothing)', "pass"),
        ('_where(x["keep"], nothing, d_states)', "nothing"),
        ('_where(x["keep"], nothing, d_states)', "d_states"),
        ("d_before = _where", "_ = _where"),
        ("mask is not None and not zero_output_for_mask", "mask is not None"),
        ("mask is not None and not zero_output_for_mask", "False"),
        ('d_output = _where(x["keep"], d_output, ops.zeros_like(d_output))', "pass"),
        ("d_new[0] + d_output", "d_new[0]"),
        ("d_new[0] + d_output", "d_output"),
        ("d + kept for", "d for"),
        ("(d_states, d_before), y", "(d_states, d_output), y"),
        ("reverse=not reverse", "reverse=reverse"),
        ("d_output = ops.zeros_like(d_states[0])", "d_output = d_states[0]"),
    ),
    *exchanged(
        *(Recurrence, "backward"),
        ('"h": d_states[0]', '"h": found.states[0]'),
        ("zero_output_for_mask=self.zero_output_for_mask", "zero_output_for_mask=False"),
        (" d.states,", " [0 * s for s in d.states],"),
        ("kept.before, d_projected", "self.cell.states_of(kept.records), d_projected"),
        ("kept.records, kept.before, d_proj", "kept.records, kept.before, 2 * d_proj"),
    ),
    *exchanged(
        *(Recurrence, "forward"),
        ("given.mask is None else states", "given.mask is None else self.cell.states_of(record)"),
    ),
    *exchanged(
        *(Recurrence, "_states_before"),
        ("(after, state) if self.reverse", "(state, after) if self.reverse"),
        ("all_states[1:] if self.reverse", "all_states[:-1] if self.reverse"),
        ("else all_states[:-1]", "else all_states[1:]"),
        ("expand_dims(state,", "expand_dims(0 * state,"),
    ),
    *exchanged(
        *(truncation, "_run"),
        ("(count > 0)", "(count >= 0)"),
        ("count % every == 0", "count % every == 1"),
        ("reverse if after is None else not reverse", "reverse"),
        ("_cut(carry, begins, after), y", "carry, y"),
    ),
    *exchanged(
        *(dropout_masks, "apply_mask_backward"),
        ("return d_dropped * mask", "return d_dropped"),
        ("sum(d_gate * gate_mask", "sum(d_gate"),
    ),
]
LOOP_SETTINGS = [
    *("LSTM_masked", "LSTM_masked_last", "GRU_zeros", "GRU_zeros_last", "SimpleRNN_backwards"),
    *("SimpleRNN_dropouts", "GRU_dropouts", "GRU_before_everything", "LSTM_backwards_last"),
]


def loop_differs():
    """From autodiff, in a recording, or from a loop with stopped gradients."""
    try:
        for name in LOOP_SETTINGS:
            setting = by_name[name]
            assert_close(gradients_of(setting, **BPTT), wanted(name), relative=1e-12)
        got, right = recording_of(by_name["LSTM_masked"], **BPTT), wanted("recording")
        for key, value in right.items():
            np.testing.assert_allclose(got[key], value, rtol=0, atol=1e-10)
        for name in ("LSTM_masked", "GRU_backwards"):
            got = gradients_of(by_name[name], **BPTT, truncate_every=4)
            assert_close(got, wanted(f"cut {name}"), relative=1e-12)
    except (AssertionError, ValueError, TypeError, KeyError, tf.errors.InvalidArgumentError):
        return True
    return False


known: dict = {}


def wanted(name):
    """What the framework says, once for all faults."""
    if name not in known:
        if name == "recording":
            known[name] = recording_of(by_name["LSTM_masked"])
        elif name.startswith("cut "):
            setting = by_name[name.removeprefix("cut ")]
            with precision("float64"):
                reference = CutByHand(build(setting), 4)
                known[name] = outputs_and_gradients(reference, *call_of(setting, "float64"))
        else:
            known[name] = gradients_of(by_name[name])
    return known[name]


@pytest.mark.slow
@pytest.mark.parametrize("fault", LOOP, ids=str)
def test_a_fault_in_the_loop_back_in_time_is_noticed(fault, monkeypatch):
    faulty = mutant_of(fault)
    for module in (fault.owner, back_propagation, simple_rnn, lstm, gru):
        if hasattr(module, fault.name):
            monkeypatch.setattr(module, fault.name, faulty)
    assert loop_differs()


def test_the_sound_loop_is_not_accused():
    assert not loop_differs()
    assert len(set(LOOP)) >= 20
