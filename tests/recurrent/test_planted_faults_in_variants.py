"""Planted faults in the cells that Keras does not have: the equations notice every one."""

import keras
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("run on TensorFlow", allow_module_level=True)

import tensorflow as tf

from custom_layers.recurrent import (
    coupled_lstm,
    layer_norm_lstm,
    minimal_gated_unit,
    peephole_lstm,
    projection_lstm,
)
from tests.gradients.settings import BPTT, build, call_of
from tests.mutants import Fault, mutant_of
from tests.parity.differentiate import outputs_and_gradients
from tests.parity.harness import assert_close, precision
from tests.recurrent.variants import WITH_BPTT, WrittenOut, setting


def exchanged(owner, name, *pairs):
    """One fault for each (old, new)."""
    return [Fault(owner, name, old, new) for old, new in pairs]


FORWARD = {
    "PeepholeLSTM": exchanged(
        *(peephole_lstm, "peephole_lstm_step"),
        ("p_i, p_f, p_o =", "p_f, p_i, p_o ="),
        ("p_i, p_f, p_o =", "p_i, p_o, p_f ="),
        ("a_i + p_i * c", "a_i"),
        ("a_i + p_i * c", "a_i + p_i * h"),
        ("a_o + p_o * c", "a_o + p_o * (c - i * g) / f"),
        ("a_o + p_o * c", "a_o + p_o * activation(c)"),
        ("g = activation(a_c)", "g = activation(a_c + p_o * c)"),
        ("a_i, a_f, a_c, a_o =", "a_i, a_f, a_o, a_c ="),
    ),
    "CoupledLSTM": exchanged(
        *(coupled_lstm, "coupled_lstm_step"),
        ("i = 1 - f", "i = f"),
        ("i = 1 - f", "i = recurrent_activation(1 - a_f)"),
        ("a_f, a_c, a_o =", "a_c, a_f, a_o ="),
        ("a_f, a_c, a_o =", "a_f, a_o, a_c ="),
        ("f * c + i * g", "i * c + f * g"),
        ("o * activation(c)", "o * c"),
    ),
    "LayerNormLSTM": [
        *exchanged(
            *(layer_norm_lstm, "layer_norm"),
            ("z - ops.mean", "z + ops.mean"),
            ("ops.square(centred)", "ops.square(z)"),
            (" + norm.epsilon", ""),
            ("ops.rsqrt", "ops.reciprocal"),
            ("norm.alpha * normalized", "normalized"),
            (" + norm.beta", ""),
        ),
        *exchanged(
            *(layer_norm_lstm, "layer_norm_lstm_step"),
            ("layer_norm(c, state_norm)", "c"),
            ("c = f * c + i * g", "c = layer_norm(f * c + i * g, state_norm)"),
            (
                "layer_norm(multiply(h, recurrent_kernel), recurrent_norm)",
                "multiply(h, recurrent_kernel)",
            ),
        ),
        *exchanged(
            *(layer_norm_lstm.LayerNormLSTMCell, "project_inputs"),
            ("self.input_norm", "self.recurrent_norm"),
            ("projected if bias is None else projected + bias", "projected"),
        ),
    ],
    "ProjectionLSTM": [
        *exchanged(
            *(projection_lstm, "projection_lstm_step"),
            ("ops.matmul(m, projection_kernel)", "ops.matmul(c, projection_kernel)"),
            ("ops.matmul(m, projection_kernel)", "ops.tanh(ops.matmul(m, projection_kernel))"),
            ("i, f, g, o, c, m =", "i, f, g, o, m, c ="),
        ),
        Fault(projection_lstm.LSTMCell, "run_step", "parameters.kernel", "-parameters.kernel"),
        Fault(projection_lstm.LSTMCell, "run_step", "states[1]", "0 * states[1]"),
    ],
    "MinimalGatedUnit": exchanged(
        *(minimal_gated_unit, "minimal_gated_unit_step"),
        ("(1 - f) * h + f * n", "f * h + (1 - f) * n"),
        ("matmul(f * h_n, U_n)", "matmul(h_n, U_n)"),
        ("matmul(f * h_n, U_n)", "matmul((1 - f) * h_n, U_n)"),
        ("ops.matmul(f * h_n, U_n)", "f * ops.matmul(h_n, U_n)"),
        ("U_f, U_n =", "U_n, U_f ="),
        ("a_f, a_n =", "a_n, a_f ="),
    ),
}
BACKWARD = {
    "PeepholeLSTM": [
        *exchanged(
            *(peephole_lstm, "peephole_lstm_step_backward"),
            (" + a_o * p_o", ""),
            (" + a_o * p_o", " + a_o * p_f"),
            (" + a_i * p_i", ""),
            (" + a_f * p_f", ""),
            ("a_f = d_c * c", "a_f = d_c * step.c"),
            ("[a_i, a_f, a_c, a_o]", "[a_i, a_f, a_o, a_c]"),
        ),
        *exchanged(
            *(peephole_lstm, "peephole_gradient"),
            ("a_o * c_after", "a_o * c_before"),
            ("a_i * c_before", "a_i * c_after"),
            ("a_f * c_before", "a_i * c_before"),
        ),
        Fault(
            *(peephole_lstm.PeepholeLSTMCell, "parameters_backward"),
            *("states[1], records.c", "records.c, states[1]"),
        ),
    ],
    "CoupledLSTM": exchanged(
        *(coupled_lstm, "coupled_lstm_step_backward"),
        ("(c - step.g)", "c"),
        ("(c - step.g)", "(step.g - c)"),
        ("a_c = d_c * step.i", "a_c = d_c * step.f"),
        ("c=d_c * step.f", "c=d_c"),
        ("[a_f, a_c, a_o]", "[a_f, a_o, a_c]"),
        ("a_o = d_h * y", "a_o = d_c * y"),
    ),
    "MinimalGatedUnit": [
        *exchanged(
            *(minimal_gated_unit, "minimal_gated_unit_step_backward"),
            ("(step.n - h)", "step.n"),
            (" + d_fh * h_n", ""),
            ("d_h * (1 - step.f)", "d_h * step.f"),
            ("d_h_n = d_fh * step.f", "d_h_n = d_fh"),
            ("a_n = d_h * step.f", "a_n = d_h"),
            ("[a_f, a_n]", "[a_n, a_f]"),
        ),
        Fault(minimal_gated_unit, "recurrent_kernel_gradient", "step.f * h_n", "h_n"),
    ],
}
CASES = [
    (kind, choice, fault)
    for choice, by_kind in (({}, FORWARD), (BPTT, BACKWARD))
    for kind, faults in by_kind.items()
    for fault in faults
]
known: dict = {}


def wanted(kind):
    """What the equations say, once for all faults."""
    if kind not in known:
        case = setting(kind)
        with precision("float64"):
            reference = WrittenOut(kind, build(case))
            known[kind] = outputs_and_gradients(reference, *call_of(case, "float64"))
    return known[kind]


def notices(kind, choice):
    case = setting(kind)
    with precision("float64"):
        layer = build(case, **choice)
        try:
            found = outputs_and_gradients(layer, *call_of(case, "float64"))
            assert_close(found, wanted(kind), relative=1e-12)
        except (AssertionError, ValueError, tf.errors.InvalidArgumentError):
            return True
    return False


@pytest.mark.parametrize(("kind", "choice", "fault"), CASES, ids=str)
def test_fault_is_noticed(kind, choice, fault, monkeypatch):
    wanted(kind)
    monkeypatch.setattr(fault.owner, fault.name, mutant_of(fault))
    assert notices(kind, choice)


@pytest.mark.parametrize("kind", FORWARD)
def test_sound_cell_is_not_accused(kind):
    assert not notices(kind, {})
    assert kind not in WITH_BPTT or not notices(kind, BPTT)
