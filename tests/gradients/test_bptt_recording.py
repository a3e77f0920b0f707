"""A recorder sees the same gates, states and gradients, whoever computes the gradient."""

import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("the recorder listens with TensorFlow's tape", allow_module_level=True)

import tensorflow as tf

import custom_layers
from custom_layers.debugging import record
from tests.gradients.settings import ALL, BPTT, build, call_of
from tests.parity.harness import precision

NAMES = [
    f"{kind}_{setting}"
    for kind in ("SimpleRNN", "LSTM", "GRU", "GRU_before")
    for setting in ("last", "masked", "masked_last", "backwards", "zeros", "dropouts", "unrolled")
] + ["stack", "stack_last", "stack_backwards", "stack_dropout", "bidirectional"]
by_name = {str(setting): setting for setting in ALL}


def recording_of(setting, mode="eager", **choice):
    """Values and gradients of every quantity, and the weights' gradients, by name."""
    with precision("float64"):
        layer = build(setting, **choice)
        args, kwargs = call_of(setting, "float64")
        args, kwargs = keras.tree.map_structure(
            lambda a: tf.constant(a) if isinstance(a, np.ndarray) else a, (args, kwargs)
        )
        masks = {}

        def take():
            draw = np.random.default_rng(9).standard_normal
            with record(layer) as trace, tf.GradientTape() as tape:
                outputs = keras.tree.flatten(layer(*args, **kwargs))
                loss = sum(tf.reduce_sum(y * draw(y.shape)) for y in outputs)
            recording = trace.read(tape, loss)
            masks.update({name: q.mask for name, q in recording.items() if q.mask is not None})
            found = {f"value of {name}": q.value for name, q in recording.items()}
            found |= {f"gradient of {name}": q.gradient for name, q in recording.items()}
            return found | recording.weights

        if mode != "eager":
            take = tf.function(take, jit_compile=mode == "jit")
        found = {name: np.array(value) for name, value in take().items()}
    if mode == "eager" and setting.masked:
        for name, mask in masks.items():  # where no step was taken there is no value to compare
            found[f"value of {name}"][~np.asarray(mask)] = 0
            assert not np.any(found[f"gradient of {name}"][~np.asarray(mask)])
    return found


@pytest.mark.parametrize("name", NAMES)
def test_the_recording_is_that_of_autodiff(name):
    """Seen: up to 5e-16 of the largest entry."""
    got, wanted = (recording_of(by_name[name], **choice) for choice in (BPTT, {}))
    assert list(got) == list(wanted)
    scale = max(np.abs(value).max() for value in wanted.values())
    for key, value in wanted.items():
        assert np.abs(got[key] - value).max() <= 1e-10 * scale, key


@pytest.mark.parametrize("mode", ["graph", "jit"])
@pytest.mark.parametrize(
    "name", ["LSTM_masked", "GRU_last", pytest.param("stack", marks=pytest.mark.slow)]
)
def test_in_a_graph_and_compiled(name, mode):
    got, wanted = recording_of(by_name[name], mode, **BPTT), recording_of(by_name[name])
    for key, value in wanted.items():
        if not key.startswith("value"):
            assert np.abs(got[key] - value).max() <= 1e-10 * max(1, np.abs(value).max()), key


def test_truncation_ends_the_total_derivatives():
    """Of the last step's output alone, with blocks of 2: nothing reaches back over the last border."""
    keras.config.set_floatx("float64")
    layer = custom_layers.LSTM(3, gradient="bptt", truncate_every=2)
    x = keras.random.normal((2, 6, 3), dtype="float64", seed=1)
    with record(layer) as trace, tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x) ** 2)
    norms = trace.gradient_norms(tape, loss)[f"{layer.name}/c"]
    assert np.all(norms[:4] == 0)
    assert np.all(norms[4:] > 0)


def test_listening_changes_no_number():
    setting = by_name["LSTM_dropouts"]
    layer, (args, kwargs) = build(setting, **BPTT), call_of(setting, "float32")
    seeds = [v.numpy() for v in layer.non_trainable_variables]
    plain = layer(*args, **kwargs)[0]
    for variable, value in zip(layer.non_trainable_variables, seeds, strict=True):
        variable.assign(value)
    with record(layer), tf.GradientTape():
        watched = layer(*args, **kwargs)[0]
    np.testing.assert_array_equal(plain, watched)
