"""Residual connections and highways around cells: their equations, stacks, files, bad input."""

import keras
import numpy as np
import pytest
from keras import ops

import custom_layers
from custom_layers import RNN, HighwayCell, ResidualCell
from tests.gradients.settings import BATCH, CLOSE, FEATURES, STEPS, WIDE
from tests.parity.differentiate import BACKEND, MODES, outputs_and_gradients
from tests.parity.harness import assert_close, ragged_mask

WRAPPERS = {"residual": ResidualCell, "highway": HighwayCell}
every_wrapper = pytest.mark.parametrize("wrapper", WRAPPERS)
QUICKEST = "jit" if BACKEND == "jax" else "eager"
QUICK_WITH_DROPOUT = [(QUICKEST, "highway"), ("traced", "residual")]
every_mode = pytest.mark.parametrize(
    "mode", [pytest.param(m, marks=[pytest.mark.slow] * (m != QUICKEST)) for m in MODES]
)


@pytest.fixture(autouse=True)
def wide():
    keras.config.set_floatx(WIDE)
    keras.config.set_dtype_policy(WIDE)


def normal(*shape, seed=1):
    return np.random.default_rng(seed).standard_normal(shape).astype(WIDE)


def build(cells, **options):
    layer = RNN(cells, return_sequences=True, return_state=True, **options)
    layer(normal(BATCH, STEPS, FEATURES))
    for seed, weight in enumerate(layer.trainable_variables):
        weight.assign(0.5 * normal(*weight.shape, seed=seed))
    return layer


class Outside(keras.layers.Layer):
    """The wrapped cell in a layer of its own, and the bypass around all steps of it."""

    def __init__(self, layer, wrapper):
        super().__init__()
        self.layer, self.wrapper, self.built = layer, wrapper, True

    def call(self, x, initial_state=None, training=False):
        inner = RNN(self.layer.cell.wrapped_cell, return_sequences=True, return_state=True)
        h, *states = inner(x, initial_state=initial_state, training=training)
        if self.wrapper == "residual":
            return x + h, *states
        cell = self.layer.cell
        gate = 1 / (1 + ops.exp(-(x @ ops.convert_to_tensor(cell.kernel) + cell.bias)))
        return h * gate + x - gate * x, *states


@every_wrapper
@every_mode
@pytest.mark.parametrize("cell", ["LSTMCell", "ProjectionLSTMCell"])
def test_it_is_the_cell_with_a_bypass_outside(wrapper, mode, cell):
    more = {"projection_units": FEATURES} if cell == "ProjectionLSTMCell" else {}
    units = FEATURES + 2 if more else FEATURES
    layer = build(WRAPPERS[wrapper](getattr(custom_layers, cell)(units, **more)))
    args = [normal(BATCH, STEPS, FEATURES)]
    call = {"initial_state": [normal(BATCH, w, seed=5) for w in (FEATURES, units)]}
    got = outputs_and_gradients(layer, args, call, mode=mode)
    wanted = outputs_and_gradients(Outside(layer, wrapper), args, call, mode=QUICKEST)
    assert_close(got, wanted, relative=CLOSE)


@every_wrapper
def test_masks_hold_the_output_and_the_states(wrapper):
    layer, mask = (
        build(WRAPPERS[wrapper](custom_layers.GRUCell(FEATURES))),
        ragged_mask(BATCH, STEPS),
    )
    x = normal(BATCH, STEPS, FEATURES)
    outputs, state = (ops.convert_to_numpy(y) for y in layer(x, mask=mask))
    for row in range(BATCH):
        kept = x[row : row + 1, mask[row]]
        alone, last = (ops.convert_to_numpy(y) for y in layer(kept))
        np.testing.assert_allclose(outputs[row, mask[row]], alone[0], rtol=0, atol=CLOSE)
        np.testing.assert_allclose(state[row], last[0], rtol=0, atol=CLOSE)


@every_wrapper
def test_in_stacks_around_stacks_and_around_foreign_cells(wrapper):
    L, wrap = custom_layers, WRAPPERS[wrapper]
    x = normal(BATCH, STEPS, FEATURES)
    for cells in (
        [wrap(L.LSTMCell(FEATURES)), wrap(L.GRUCell(FEATURES))],
        wrap(L.StackedRNNCells([L.LSTMCell(3), L.GRUCell(FEATURES)])),
        wrap(wrap(keras.layers.SimpleRNNCell(FEATURES))),
        wrap(L.ZoneoutCell(L.MinimalGatedUnitCell(FEATURES), 0.2)),
    ):
        layer = build(cells)
        outputs, *states = layer(x)
        inner = [c.wrapped_cell for c in cells] if isinstance(cells, list) else cells.wrapped_cell
        plain, *others = RNN(inner, return_sequences=True, return_state=True)(x)
        assert outputs.shape == plain.shape
        assert not np.allclose(*(ops.convert_to_numpy(y) for y in (outputs, plain)))
        if not isinstance(cells, list):  # below, the states do not see the bypass
            for got, wanted in zip(*(keras.tree.flatten(s) for s in (states, others)), strict=True):
                got, wanted = ops.convert_to_numpy(got), ops.convert_to_numpy(wanted)
                np.testing.assert_allclose(got, wanted, rtol=0, atol=CLOSE)
    both = L.Bidirectional(L.RNN(wrap(L.GRUCell(FEATURES)), return_sequences=True))
    assert tuple(both(x).shape) == (BATCH, STEPS, 2 * FEATURES)


@pytest.mark.parametrize(
    ("mode", "wrapper"),
    [
        pytest.param(
            *(mode, wrapper),
            marks=[pytest.mark.slow] * ((mode, wrapper) not in QUICK_WITH_DROPOUT),
        )
        for mode in MODES
        for wrapper in WRAPPERS
    ],
)
def test_dropout_is_one_mask_for_all_steps(mode, wrapper):
    """With a recurrent kernel of zeros and inputs that stand still, all steps must look alike.

    In a graph a mask that is drawn inside of the loop cannot be kept for the next step.
    """
    cell = custom_layers.SimpleRNNCell(
        FEATURES, recurrent_initializer="zeros", dropout=0.5, recurrent_dropout=0.2, seed=3
    )
    layer = RNN(WRAPPERS[wrapper](cell), return_sequences=True)
    x = np.repeat(normal(BATCH, 1, FEATURES), STEPS, axis=1)
    layer(x)
    found = [
        outputs_and_gradients(layer, [x], {"training": training}, mode=mode)["output/0"]
        for training in (True, True, False)
    ]
    for outputs in found:
        np.testing.assert_allclose(outputs, outputs[:, :1] + 0 * outputs, rtol=0, atol=CLOSE)
    assert not np.allclose(found[0], found[2])
    assert BACKEND == "jax" or not np.allclose(found[0], found[1])


def test_masks_are_those_of_the_cell_alone():
    """They are drawn before each sequence, in inference too: generators stay in step."""
    x, found = normal(BATCH, STEPS, FEATURES), []
    for wrap in (ResidualCell, lambda cell: cell):
        keras.utils.set_random_seed(5)
        cell = custom_layers.LSTMCell(FEATURES, dropout=0.3, recurrent_dropout=0.2, seed=3)
        layer = RNN(wrap(cell), return_sequences=True)
        layer(x)
        found.append(ops.convert_to_numpy(layer(x, training=True)))
    np.testing.assert_allclose(found[0] - x, found[1], rtol=0, atol=CLOSE)


@every_wrapper
def test_files_and_configurations(wrapper, tmp_path):
    cell = WRAPPERS[wrapper](custom_layers.LSTMCell(FEATURES, dropout=0.1, seed=2))
    model = keras.Sequential([keras.Input((STEPS, FEATURES)), build(cell)])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    x = normal(BATCH, STEPS, FEATURES)
    for got, wanted in zip(loaded(x), model(x), strict=True):
        np.testing.assert_array_equal(*(ops.convert_to_numpy(y) for y in (got, wanted)))
    again = loaded.layers[0].cell
    configs = [{**c.get_config(), "cell": c.wrapped_cell.get_config()} for c in (again, cell)]
    assert configs[0] == configs[1]


def test_a_highway_begins_open():
    layer = RNN(HighwayCell(custom_layers.GRUCell(FEATURES)))
    layer(normal(BATCH, STEPS, FEATURES))
    np.testing.assert_array_equal(ops.convert_to_numpy(layer.cell.bias.value), [-1.0] * FEATURES)


@every_wrapper
def test_bad_input(wrapper):
    wrap = WRAPPERS[wrapper]
    with pytest.raises(ValueError, match=r"`cell` must have `call`. Received: cell=3"):
        wrap(3)
    with pytest.raises(ValueError, match=r"as many features as `inputs` has: 4.*output_size=5"):
        RNN(wrap(custom_layers.GRUCell(5)))(normal(BATCH, STEPS, FEATURES))
    with pytest.raises(ValueError, match=r"needs cells with a backward step"):
        RNN(wrap(custom_layers.GRUCell(5)), gradient="bptt")
