"""Each step function with its backward step, on random arguments: one scalar, two ways to differentiate.

L = sum of cotangents * (new states)
"""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from custom_layers.recurrent import (
    coupled_lstm,
    gru_step,
    lstm,
    minimal_gated_unit,
    peephole_lstm,
    simple_rnn,
)

BATCH, UNITS = 3, 4


class StepCase(NamedTuple):
    """A step and its backward step, which a test may exchange for a faulty one.

    Attributes:
        module, forward, backward: where the two stand, and their names.
        gates: blocks of the recurrent kernel.
        arguments: of the forward step, in order: `projected`, `h`, `c`, ...
        states: fields of the record that are differentiated.
        read: which arguments the backward step takes too.
    """

    module: Any
    forward: str
    backward: str
    gates: int
    arguments: tuple[str, ...]
    states: tuple[str, ...]
    read: tuple[str, ...]

    def __str__(self) -> str:
        return self.forward


U = "recurrent_kernel"
CASES = [
    StepCase(
        *(simple_rnn, "simple_rnn_step", "simple_rnn_step_backward", 1),
        *(("projected", "h", U), ("h",), ("h", U)),
    ),
    StepCase(
        *(lstm, "lstm_step", "lstm_step_backward", 4),
        *(("projected", "h", "c", U, "c_probe"), ("h", "c"), ("h", "c", U)),
    ),
    StepCase(
        *(gru_step, "gru_step_reset_after", "gru_step_backward_reset_after", 3),
        ("projected", "h", "dropped_h", U, "recurrent_bias"),
        *(("h",), ("h", "dropped_h", U)),
    ),
    StepCase(
        *(gru_step, "gru_step_reset_before", "gru_step_backward_reset_before", 3),
        *(("projected", "h", "dropped_h", U), ("h",), ("h", "dropped_h", U)),
    ),
]
VARIANTS = [
    StepCase(
        *(peephole_lstm, "peephole_lstm_step", "peephole_lstm_step_backward", 4),
        *(
            ("projected", "h", "c", U, "peepholes", "c_probe"),
            ("h", "c"),
            ("h", "c", U, "peepholes"),
        ),
    ),
    StepCase(
        *(coupled_lstm, "coupled_lstm_step", "coupled_lstm_step_backward", 3),
        *(("projected", "h", "c", U, "c_probe"), ("h", "c"), ("h", "c", U)),
    ),
    StepCase(
        *(minimal_gated_unit, "minimal_gated_unit_step", "minimal_gated_unit_step_backward", 2),
        *(("projected", "h", "dropped_h", U), ("h",), ("h", "dropped_h", U)),
    ),
]


def draw(case: StepCase, dtype: str, per_gate: bool, seed: int = 3) -> dict[str, Any]:
    """Random arguments; with `per_gate` a state for each gate, as dropout hands them over."""
    normal = np.random.default_rng(seed).standard_normal
    width = case.gates * UNITS
    shapes = {"projected": (BATCH, width), U: (UNITS, width), "recurrent_bias": (width,)}
    shapes["peepholes"] = (3 * UNITS,)
    drawn = {
        name: normal(shapes.get(name, (BATCH, UNITS))).astype(dtype) for name in case.arguments
    }
    dropped = "dropped_h" if "dropped_h" in drawn else "h"
    if per_gate and case.gates > 1:
        drawn[dropped] = [normal((BATCH, UNITS)).astype(dtype) for _ in range(case.gates)]
    return drawn


def cotangents(case: StepCase, dtype: str) -> list[np.ndarray]:
    normal = np.random.default_rng(4).standard_normal
    return [normal((BATCH, UNITS)).astype(dtype) for _ in case.states]


def run_forward(case: StepCase, arguments: dict[str, Any], functions: dict[str, Any]) -> Any:
    """The record of the step."""
    return getattr(case.module, case.forward)(**_tensors(arguments), **functions)


def scalar(case: StepCase, arguments: dict[str, Any], functions: dict[str, Any]) -> Any:
    record = run_forward(case, arguments, functions)
    dtype = keras.backend.standardize_dtype(record.h.dtype)
    weights = cotangents(case, dtype)
    return sum(ops.sum(getattr(record, s) * w) for s, w in zip(case.states, weights, strict=True))


def by_hand(case: StepCase, arguments: dict[str, Any], functions: dict[str, Any]) -> dict[str, Any]:
    """The backward step's gradients, by the names of the forward step's arguments."""
    backward: Callable = getattr(case.module, case.backward)
    record = run_forward(case, arguments, functions)
    tensors = _tensors(arguments)
    dtype = keras.backend.standardize_dtype(record.h.dtype)
    d = {
        f"d_{s}": ops.convert_to_tensor(w)
        for s, w in zip(case.states, cotangents(case, dtype), strict=True)
    }
    found = backward(record, **{name: tensors[name] for name in case.read}, **d, **functions)
    return found._asdict()


def forward_arguments(case: StepCase) -> list[str]:
    """The differentiable arguments, as the forward step's signature has them."""
    names = inspect.signature(getattr(case.module, case.forward)).parameters
    return [name for name in names if "activation" not in name]


def _tensors(arguments: dict[str, Any]) -> dict[str, Any]:
    return keras.tree.map_structure(ops.convert_to_tensor, arguments)
