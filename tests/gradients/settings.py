"""Layers in all the settings in which back-propagation by hand could differ from the framework's."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import pytest

import custom_layers
from tests.parity.differentiate import BACKEND, outputs_and_gradients
from tests.parity.harness import precision, ragged_mask

BATCH, STEPS, FEATURES, UNITS = 3, 6, 4, 5

# On JAX Keras has no float64, and on Torch its matmul rounds to float32.
WIDE = "float32" if BACKEND == "jax" else "float64"
CLOSE = 1e-12 if BACKEND == "tensorflow" else 2e-5

BPTT = {"gradient": "bptt"}


@dataclasses.dataclass(frozen=True)
class Setting:
    """A layer, and how it is called.

    Attributes:
        name: what the test is called.
        make: builds the layer; takes `gradient` and `truncate_every`.
        states: widths of the initial states that are handed over, none for zeros.
        masked: whether the call has a ragged mask.
        plain: whether Torch runs it too, and the tests that are about more than the gradient.
    """

    name: str
    make: Callable[..., keras.Layer]
    states: tuple[int, ...] = ()
    masked: bool = False
    plain: bool = False

    def __str__(self) -> str:
        return self.name


def kinds() -> Iterator[tuple[str, str, int, dict[str, Any]]]:
    """Name, class, number of states and arguments of each cell's layer."""
    yield "SimpleRNN", "SimpleRNN", 1, {}
    yield "LSTM", "LSTM", 2, {}
    yield "GRU", "GRU", 1, {}
    yield "GRU_before", "GRU", 1, {"reset_after": False}


def of_one_cell(
    kind: str, layer: str, count: int, arguments: Mapping[str, Any]
) -> Iterator[Setting]:
    """One recurrent layer in each setting."""

    def setting(
        name: str, masked: bool = False, started: bool = False, plain=False, **options: Any
    ):
        def make(**choice: Any) -> keras.Layer:
            return getattr(custom_layers, layer)(UNITS, **arguments, **options, **choice)

        states = (UNITS,) * count if started else ()
        return Setting(f"{kind}_{name}", make, states, masked, plain)

    everything = {"return_sequences": True, "return_state": True}
    dropouts = {"dropout": 0.4, "recurrent_dropout": 0.3, "seed": 3}
    yield setting("last")
    yield setting("everything", started=True, **everything)
    yield setting("masked", masked=True, started=True, plain=True, **everything)
    yield setting("masked_last", masked=True, started=True, return_state=True)
    yield setting("backwards", masked=True, started=True, go_backwards=True, **everything)
    yield setting("backwards_last", go_backwards=True, plain=True)
    yield setting("zeros", masked=True, started=True, zero_output_for_mask=True, **everything)
    yield setting("zeros_last", masked=True, started=True, zero_output_for_mask=True)
    yield setting("unrolled", masked=True, unroll=True, **everything)
    yield setting("no_bias", use_bias=False, **everything)
    yield setting("dropout", dropout=0.4, seed=3, return_sequences=True)
    yield setting("dropouts", masked=True, started=True, plain=True, **dropouts, **everything)
    yield setting("stateful", masked=True, stateful=True, **everything)
    yield setting("activation", activation="softplus", return_sequences=True)
    if layer != "SimpleRNN":
        yield setting(
            "per_gate", implementation=1, recurrent_activation="hard_sigmoid", dropout=0.4, seed=3
        )


def of_several() -> Iterator[Setting]:
    """Both directions, and stacks."""
    L = custom_layers

    def stack(rate: float, **options: Any) -> Callable[..., keras.Layer]:
        drops = {"dropout": rate, "recurrent_dropout": rate}

        def make(**choice: Any) -> keras.Layer:
            return L.RNN(
                [
                    L.LSTMCell(UNITS, seed=3, **drops),
                    L.GRUCell(3, seed=4, **drops),
                    L.SimpleRNNCell(2, seed=5, **drops),
                ],
                **options,
                **choice,
            )

        return make

    states = (UNITS, UNITS, 3, 2)
    everything = {"return_sequences": True, "return_state": True}
    yield Setting("stack", stack(0.0, **everything), states, True, plain=True)
    yield Setting("stack_last", stack(0.0), states, True)
    yield Setting("stack_backwards", stack(0.0, go_backwards=True, return_state=True), (), True)
    yield Setting("stack_zeros", stack(0.0, zero_output_for_mask=True, **everything), states, True)
    yield Setting("stack_dropout", stack(0.3, **everything), states, True)
    yield Setting("one_cell", lambda **c: L.RNN(L.GRUCell(UNITS), **c), (UNITS,), True)
    yield Setting("stack_of_one", lambda **c: L.RNN([L.GRUCell(UNITS)], **c), (UNITS,), True)
    yield Setting(
        "bidirectional",
        lambda **c: L.Bidirectional(L.LSTM(UNITS, return_sequences=True, return_state=True, **c)),
        (UNITS,) * 4,
        True,
        plain=True,
    )
    yield Setting(
        "bidirectional_dropout",
        lambda **c: L.Bidirectional(L.GRU(UNITS, dropout=0.3, seed=3, **c), merge_mode="mul"),
        (),
        True,
    )


ALL = [s for kind in kinds() for s in of_one_cell(*kind)] + list(of_several())
PLAIN = [setting for setting in ALL if setting.plain]
QUICK = {"SimpleRNN_dropouts", "LSTM_masked", "GRU_backwards_last", "GRU_before_masked", "stack"}
FEW = [setting for setting in PLAIN if str(setting) in QUICK]
HERE = {"tensorflow": ALL, "torch": PLAIN, "jax": FEW}[BACKEND]


def few_quick(settings: list[Setting]) -> list[Any]:
    """As parameters of a test: one of each cell and a stack, and the others among the slow tests."""
    if BACKEND != "tensorflow":
        return [s for s in settings if s in FEW]
    return [s if s in FEW else pytest.param(s, marks=pytest.mark.slow) for s in settings]


def build(setting: Setting, seed: int = 7, **choice: Any) -> keras.Layer:
    """The layer with random weights, the same for every choice of the gradient."""
    policy = keras.config.dtype_policy()
    keras.utils.clear_session(free_memory=False)  # the same automatic names; it forgets the policy
    keras.config.set_dtype_policy(policy)
    keras.utils.set_random_seed(seed)
    layer = setting.make(**choice)
    layer(np.zeros((BATCH, STEPS, FEATURES), keras.config.floatx()))
    rng = np.random.default_rng(seed)
    for weight in layer.trainable_variables:
        weight.assign(0.5 * rng.standard_normal(weight.shape))
    for variable in layer.non_trainable_variables:
        if "rnn_state" in variable.path:
            variable.assign(rng.standard_normal(variable.shape))
    return layer


def call_of(setting: Setting, dtype: str, seed: int = 8) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of one call in training."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((BATCH, STEPS, FEATURES)).astype(dtype)
    keywords: dict[str, Any] = {"training": True}
    if setting.states:
        keywords["initial_state"] = [
            rng.standard_normal((BATCH, width)).astype(dtype) for width in setting.states
        ]
    if setting.name.startswith("stack") and setting.states:
        flat = keywords["initial_state"]
        keywords["initial_state"] = [flat] if len(flat) == 1 else [flat[:2], flat[2], flat[3]]
    if setting.masked:
        keywords["mask"] = ragged_mask(BATCH, STEPS)
    return [x], keywords


def gradients_of(
    setting: Setting,
    mode: str = "eager",
    second_order: bool = False,
    dtype: str = WIDE,
    **choice: Any,
) -> dict[str, np.ndarray]:
    """Outputs and gradients by inputs, initial states and weights, of random cotangents."""
    with precision(dtype):
        layer = build(setting, **choice)
        args, kwargs = call_of(setting, dtype)
        return outputs_and_gradients(layer, args, kwargs, mode=mode, second_order=second_order)
