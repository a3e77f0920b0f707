"""The gradient that is written by hand is the framework's: every cell, every setting."""

import numpy as np
import pytest

from tests.gradients.settings import (
    ALL,
    BPTT,
    CLOSE,
    FEW,
    HERE,
    PLAIN,
    build,
    call_of,
    few_quick,
    gradients_of,
)
from tests.parity.differentiate import BACKEND, MODES, outputs_and_gradients
from tests.parity.harness import assert_close, precision

by_name = {str(setting): setting for setting in ALL}
here = pytest.mark.parametrize("setting", HERE, ids=str)
EAGER_OR_JIT = "jit" if BACKEND == "jax" else "eager"  # JAX is fastest compiled


def reference_mode(setting, mode):
    """The quick one, unless there is dropout: compiled code draws other masks."""
    return mode if "dropout" in str(setting) else "eager"


@here
def test_gradients_and_outputs(setting):
    """Seen in float64: up to 6e-16 of the largest entry."""
    both = [gradients_of(setting, EAGER_OR_JIT, **choice) for choice in (BPTT, {})]
    assert_close(*both, relative=CLOSE)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="the test above runs as they run")
@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "eager"])
@pytest.mark.parametrize(
    "setting", few_quick([*FEW, by_name["GRU_dropouts"], by_name["bidirectional"]]), ids=str
)
def test_in_a_graph_and_compiled(setting, mode):
    assert_close(
        gradients_of(setting, mode, **BPTT),
        gradients_of(setting, reference_mode(setting, mode)),
        relative=CLOSE,
    )


@pytest.mark.parametrize(
    "setting", few_quick(PLAIN) if BACKEND == "tensorflow" else FEW[:2], ids=str
)
def test_second_derivatives_are_right(setting):
    """Of the backward pass itself, whose operations the framework differentiates."""
    both = [gradients_of(setting, EAGER_OR_JIT, second_order=True, **c) for c in (BPTT, {})]
    assert any(name.startswith("second") and np.any(both[0][name]) for name in both[0])
    assert_close(*both, relative=CLOSE)


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "tensorflow", reason="compiled with tf.function")
@pytest.mark.parametrize("mode", ["traced", "jit"])
@pytest.mark.parametrize("name", ["LSTM_masked", "GRU_before_dropouts"])
def test_second_derivatives_in_a_graph_and_compiled(name, mode):
    second = {"second_order": True}
    setting = by_name[name]
    assert_close(
        gradients_of(setting, mode, **second, **BPTT),
        gradients_of(setting, reference_mode(setting, mode), **second),
        relative=CLOSE,
    )


@pytest.mark.skipif(BACKEND != "tensorflow", reason="orthogonal matrices in float16 are its alone")
@pytest.mark.parametrize(("dtype", "unit"), [("float32", 2.0**-24), ("float16", 2.0**-11)])
@pytest.mark.parametrize("setting", few_quick(PLAIN), ids=str)
def test_narrow_numbers(setting, dtype, unit):
    """Both lie about as far from the wide gradient; the one is not allowed much more than the other."""
    both = [gradients_of(setting, EAGER_OR_JIT, dtype=dtype, **choice) for choice in (BPTT, {})]
    assert {array.dtype for array in both[0].values()} == {np.dtype(dtype)}
    assert_close(*both, relative=32 * unit)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("setting", few_quick(PLAIN), ids=str)
def test_mixed_precision(setting, policy):
    """Weights and their gradients are float32, the loop computes in half of it."""
    if BACKEND == "torch" and policy == "mixed_bfloat16":
        pytest.skip("NumPy takes no bfloat16 from Torch")
    args, kwargs = call_of(setting, "float32")
    both = []
    for choice in (BPTT, {}):
        with precision(policy):
            layer = build(setting, **choice)
            found = outputs_and_gradients(layer, args, kwargs, mode=EAGER_OR_JIT)
        both.append({k: np.asarray(v, "float32") for k, v in found.items() if k[0] == "g"})
    assert_close(*both, relative=32 * 2.0 ** (-11 if policy.endswith("float16") else -8))
    cell = getattr(layer, "forward_layer", layer).cell
    assert getattr(cell, "cells", [cell])[0].compute_dtype == policy.removeprefix("mixed_")
