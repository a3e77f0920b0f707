"""Each backward step alone: against central differences, and shaped like the arguments it mirrors."""

import keras
import numpy as np
import pytest
from keras import activations, ops

from custom_layers.recurrent.activation_slopes import SLOPES
from tests.gradients.settings import WIDE
from tests.gradients.steps import CASES, VARIANTS, by_hand, draw, forward_arguments, scalar
from tests.parity.differentiate import BACKEND

STEP = 1e-5
every_step = pytest.mark.parametrize("case", CASES + VARIANTS, ids=str)
every_mask = pytest.mark.parametrize("per_gate", [False, True], ids=["one_mask", "per_gate"])
wide = pytest.mark.skipif(BACKEND != "tensorflow", reason="differences want float64 throughout")


def functions_of(case, activation="tanh", recurrent_activation="sigmoid"):
    found = {"activation": activations.get(activation)}
    if case.gates > 1:
        found["recurrent_activation"] = activations.get(recurrent_activation)
    return found


@every_step
@every_mask
def test_one_gradient_for_each_argument_of_the_same_shape(case, per_gate):
    arguments = draw(case, WIDE, per_gate)
    found = {k: v for k, v in by_hand(case, arguments, functions_of(case)).items() if v is not None}
    assert set(found) == set(forward_arguments(case))
    for name, value in arguments.items():
        keras.tree.map_structure(
            lambda d, own: np.testing.assert_equal(tuple(d.shape), own.shape), found[name], value
        )


def derivative_and_difference(case, arguments, functions, name, seed=5):
    """Along one random direction of one argument."""
    rng = np.random.default_rng(seed)
    direction = keras.tree.map_structure(lambda a: rng.standard_normal(a.shape), arguments[name])

    def moved(by):
        shifted = keras.tree.map_structure(lambda a, d: a + by * d, arguments[name], direction)
        return float(scalar(case, {**arguments, name: shifted}, functions))

    difference = (moved(STEP) - moved(-STEP)) / (2 * STEP)
    found = by_hand(case, arguments, functions)[name]
    products = keras.tree.map_structure(
        lambda d, along: np.sum(ops.convert_to_numpy(d) * along), found, direction
    )
    return sum(keras.tree.flatten(products)), difference


@wide
@every_step
@every_mask
def test_central_differences(case, per_gate):
    """Seen: up to 2e-10 of the larger of 1 and the derivative."""
    arguments = draw(case, "float64", per_gate)
    for name in arguments:
        derivative, difference = derivative_and_difference(
            case, arguments, functions_of(case), name
        )
        assert abs(derivative - difference) <= 1e-6 * max(1, abs(difference)), name


@wide
@pytest.mark.parametrize("activation", ["softplus", "elu", "linear", "relu"])
@every_step
def test_central_differences_of_other_activations(case, activation):
    arguments = draw(case, "float64", per_gate=False)
    functions = functions_of(case, activation, "hard_sigmoid")
    for name in arguments:
        derivative, difference = derivative_and_difference(case, arguments, functions, name)
        assert abs(derivative - difference) <= 1e-6 * max(1, abs(difference)), name


@wide
@pytest.mark.parametrize("activation", SLOPES, ids=lambda a: f"{a.__module__[-8:]}.{a.__name__}")
def test_slopes_are_the_framework_s(activation):
    """Over the whole range, saturation and tails among it; a grid that hits no kink."""
    import tensorflow as tf

    a = tf.constant(np.linspace(-9.01, 9.02, 401))
    with tf.GradientTape() as tape:
        tape.watch(a)
        y = activation(a)
    wanted = tape.gradient(y, a)
    np.testing.assert_allclose(SLOPES[activation](y), wanted, rtol=1e-9, atol=1e-13)
