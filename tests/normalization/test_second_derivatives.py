"""Second derivatives through the moments, which Keras has not on TensorFlow."""

import keras
import numpy as np
import pytest

from custom_layers import BatchNormalization, GroupNormalization, LayerNormalization
from tests.parity.differentiate import outputs_and_gradients
from tests.parity.harness import precision

SHAPE = (3, 5, 4)
CASES = [
    (LayerNormalization, {}, {}),
    (LayerNormalization, {"axis": [1, 2]}, {}),
    (LayerNormalization, {"rms_scaling": True}, {}),
    (BatchNormalization, {}, {"training": True}),
    (BatchNormalization, {"axis": 1}, {"training": True}),
    (GroupNormalization, {"groups": 2}, {}),
]


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="Keras's promotion makes float32 of float64 on this backend",
)
@pytest.mark.parametrize(("make", "config", "keywords"), CASES, ids=str)
def test_they_match_central_differences_of_the_first(make, config, keywords):
    """Along one random direction of the inputs, float64, step 1e-5; measured error below 1e-9."""
    with precision("float64"):
        layer = make(dtype="float64", **config)
        rng = np.random.default_rng(0)
        x = rng.standard_normal(SHAPE)
        layer(x)
        for weight in layer.trainable_variables:
            weight.assign(rng.standard_normal(weight.shape))
        draws = np.random.default_rng(11)  # as `outputs_and_gradients` draws them
        draws.standard_normal(SHAPE)
        shapes = [SHAPE, *(weight.shape for weight in layer.trainable_variables)]
        bend = [draws.standard_normal(shape) for shape in shapes]
        direction = rng.standard_normal(SHAPE)

        def slope(shift):
            found = outputs_and_gradients(layer, [x + shift], keywords)
            gradients = [array for name, array in found.items() if name.startswith("gradient/")]
            return sum(np.sum(g * b) for g, b in zip(gradients, bend, strict=True))

        exact = outputs_and_gradients(layer, [x], keywords, second_order=True)["second/input/0"]
        measured = (slope(1e-5 * direction) - slope(-1e-5 * direction)) / 2e-5
        assert abs(measured - np.sum(exact * direction)) < 1e-7 * np.abs(exact).max()
