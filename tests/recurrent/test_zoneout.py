"""Zoneout around cells of custom_layers: its equation, its noise, and all that a cell can do."""

import keras
import numpy as np
import pytest
from keras import ops

import custom_layers
from custom_layers import RNN, ZoneoutCell
from tests.gradients.settings import BATCH, CLOSE, FEATURES, STEPS, UNITS, WIDE
from tests.parity.differentiate import BACKEND, MODES, outputs_and_gradients
from tests.parity.harness import assert_close, precision, ragged_mask
from tests.recurrent.variants import KINDS, ByHand, WrittenOut, weights_of

RATES = {"PeepholeLSTM": [0.3, 0.6], "ProjectionLSTM": [0.2, 0.5], "MinimalGatedUnit": [0.4]}
every_kind = pytest.mark.parametrize("kind", RATES)
on_tensorflow = pytest.mark.skipif(BACKEND != "tensorflow", reason="run on TensorFlow")
MASK = ragged_mask(BATCH, STEPS)


@pytest.fixture(autouse=True)
def wide():
    keras.config.set_floatx(WIDE)
    keras.config.set_dtype_policy(WIDE)


def normal(*shape, seed=1):
    return np.random.default_rng(seed).standard_normal(shape).astype(WIDE)


def build(kind, rate=None, cell_options=(), **options):
    """An RNN over a zoned out cell, with random weights."""
    make = getattr(custom_layers, f"{kind}Cell")
    cell = make(UNITS, **KINDS.get(kind, KINDS["PeepholeLSTM"]).arguments, **dict(cell_options))
    cell = ZoneoutCell(cell, RATES[kind] if rate is None else rate, seed=3)
    layer = RNN(cell, return_sequences=True, return_state=True, **options)
    layer(normal(BATCH, STEPS, FEATURES))
    for seed, weight in enumerate(layer.trainable_variables):
        weight.assign(0.5 * normal(*weight.shape, seed=seed))
    return layer


def arguments(kind):
    states = [normal(BATCH, w, seed=7) for w in KINDS[kind].states.values()]
    return [normal(BATCH, STEPS, FEATURES)], {"initial_state": states, "mask": MASK}


def noise_of(layer):
    """What the next call will draw; the generator is wound back."""
    state = layer.cell.seed_generator.state
    before = ops.convert_to_numpy(state.value).copy()
    width = sum(keras.tree.flatten(layer.cell.state_size))
    drawn = keras.random.uniform((STEPS, BATCH, width), dtype=WIDE, seed=layer.cell.seed_generator)
    state.assign(before)
    return ops.convert_to_numpy(drawn)


@every_kind
@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
@pytest.mark.parametrize("backwards", [False, True], ids=["", "backwards"])
def test_outputs_and_gradients_are_those_of_the_equations(kind, training, backwards):
    layer = build(kind, go_backwards=backwards)
    args, call = arguments(kind)
    zoneout = (RATES[kind], noise_of(layer) if training else None)
    got = outputs_and_gradients(layer, args, {**call, "training": training})
    wanted = outputs_and_gradients(WrittenOut(kind, layer, zoneout=zoneout), args, call)
    assert_close(got, wanted, relative=CLOSE)
    outputs, _, _ = ByHand(kind, weights_of(layer), zoneout=zoneout)(
        *args, call["initial_state"], MASK, backwards
    )
    np.testing.assert_allclose(got["output/0"], outputs, rtol=0, atol=CLOSE)


@pytest.mark.parametrize(
    "mode",
    [pytest.param(m, marks=[pytest.mark.slow] * (m == "jit")) for m in MODES if m != "eager"],
)
def test_in_a_graph_and_compiled(mode):
    """XLA may draw other noise: there the equation is checked without it."""
    layer = build("PeepholeLSTM")
    args, call = arguments("PeepholeLSTM")
    training = mode == "traced"
    before = [ops.convert_to_numpy(v.value).copy() for v in layer.non_trainable_variables]
    found = []
    for each in (mode, "eager"):
        for variable, value in zip(layer.non_trainable_variables, before, strict=True):
            variable.assign(value)
        found.append(outputs_and_gradients(layer, args, {**call, "training": training}, mode=each))
    assert_close(*found, relative=CLOSE)


@pytest.mark.parametrize(
    "mode", [pytest.param(m, marks=[pytest.mark.slow] * (m == "jit")) for m in MODES]
)
def test_a_mask_for_each_step_and_each_sequence(mode):
    """A cell that would go from 0 to 1 at once: where it is not yet there, it was zoned out so far."""
    steps, units, rate = 4, 2000, 0.3
    cell = custom_layers.SimpleRNNCell(
        units,
        activation="sigmoid",
        recurrent_initializer="zeros",
        bias_initializer=keras.initializers.Constant(100.0),
    )
    layer = RNN(ZoneoutCell(cell, rate, seed=3), return_sequences=True)
    x = np.zeros((1, steps, 1), WIDE)
    layer(x)
    call = {"training": True}
    first, second = (
        outputs_and_gradients(layer, [x], call, mode=mode)["output/0"][0] for _ in range(2)
    )
    assert set(np.unique(first)) == {0, 1}
    assert np.all(np.diff(first, axis=0) >= 0)
    for step in range(steps):
        share, wanted = np.mean(first[step] == 0), rate ** (step + 1)
        assert abs(share - wanted) < 5 * (wanted * (1 - wanted) / units) ** 0.5, step
    if BACKEND != "jax":  # whose comparison runs stateless
        assert not np.array_equal(first, second)
    np.testing.assert_allclose(ops.convert_to_numpy(layer(x))[0, 0], 1 - rate, rtol=1e-5)


@pytest.mark.parametrize("training", [False, True])
def test_without_zoneout_it_is_the_cell(training):
    drops = {"dropout": 0.4, "recurrent_dropout": 0.3, "seed": 5}
    layer = build("PeepholeLSTM", 0.0, drops)
    args, call = arguments("PeepholeLSTM")
    states = layer.cell.wrapped_cell.seed_generator.state
    before = ops.convert_to_numpy(states.value).copy()
    found = []
    for each in (layer, RNN(layer.cell.wrapped_cell, return_sequences=True, return_state=True)):
        each(*args)
        states.assign(before)
        found.append(outputs_and_gradients(each, args, {**call, "training": training}))
    names = [[k.rpartition("/")[2] for k in f] for f in found]
    assert names[0] == names[1]
    for got, wanted in zip(found[0].values(), found[1].values(), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=0, atol=100 * CLOSE)


@on_tensorflow
@pytest.mark.parametrize("training", [False, True])
def test_gates_and_states_are_recorded_with_their_total_derivatives(training):
    import tensorflow as tf

    from custom_layers.debugging import record

    kind = "PeepholeLSTM"
    layer = build(kind)
    x, cotangent = tf.constant(normal(BATCH, STEPS, FEATURES)), normal(BATCH, STEPS, UNITS, seed=2)
    noise = noise_of(layer) if training else None
    with record(layer, outputs=False) as trace, tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x, mask=MASK, training=training)[0] * cotangent)
    recording = trace.read(tape, loss)
    weights = {name: tf.constant(value) for name, value in weights_of(layer).items()}
    run = ByHand(kind, weights, ops, zoneout=(RATES[kind], noise))
    with tf.GradientTape() as tape:
        tape.watch(weights)
        loss = tf.reduce_sum(run(x, mask=tf.constant(MASK))[0] * cotangent)
    wanted = tape.gradient(loss, run.kept, unconnected_gradients="zero")
    assert list(recording) == [f"{layer.name}/{name}" for name in "ifgoch"]
    for name in "ifgoch":
        quantity = recording[f"{layer.name}/{name}"]
        by_hand = run.stacked(name, wanted[name])
        np.testing.assert_allclose(quantity.gradient, by_hand, rtol=0, atol=1e-10)
    for name in "ch":
        value = np.asarray(recording[f"{layer.name}/{name}"].value)
        np.testing.assert_allclose(value[MASK], run.stacked(name)[MASK], rtol=0, atol=1e-12)


@pytest.mark.skipif(BACKEND == "jax", reason="noise inside of a stack's loop; see ZoneoutCell")
@pytest.mark.parametrize("mode", ["eager", pytest.param("traced", marks=pytest.mark.slow)])
def test_in_stacks_in_keras_s_loop_and_by_itself(mode):
    inner = custom_layers.LSTMCell(UNITS)
    cell = ZoneoutCell(inner, 0.3, seed=3)
    x = normal(BATCH, STEPS, FEATURES)
    for layer in (
        RNN([cell, ZoneoutCell(custom_layers.GRUCell(3, dropout=0.2, seed=2), 0.2, seed=4)]),
        keras.layers.RNN(cell),
        custom_layers.Bidirectional(RNN(cell)),
    ):
        layer(x)
        runs = [
            outputs_and_gradients(layer, [x], {"training": training}, mode=mode)["output/0"]
            for training in (True, True, False, False)
        ]
        assert not np.allclose(runs[0], runs[1])
        np.testing.assert_array_equal(runs[2], runs[3])
    states = [normal(BATCH, UNITS, seed=s) for s in (4, 5)]
    plain = ops.convert_to_numpy(inner(x[:, 0], states)[1][1])
    output, (h, c) = cell(x[:, 0], states)
    np.testing.assert_allclose(ops.convert_to_numpy(c), 0.3 * states[1] + 0.7 * plain, rtol=1e-6)
    np.testing.assert_array_equal(*(ops.convert_to_numpy(y) for y in (output, h)))


def settings_of(cell):
    """Without what says how a file's cell was built."""
    inner = cell.wrapped_cell.get_config()
    return {**cell.get_config(), "cell": inner}


def test_files_configurations_and_mixed_precision(tmp_path):
    layer = build("PeepholeLSTM", cell_options={"dropout": 0.2, "seed": 1})
    model = keras.Sequential([keras.Input((STEPS, FEATURES)), layer])
    x = normal(BATCH, STEPS, FEATURES)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for got, wanted in zip(loaded(x), model(x), strict=True):
        np.testing.assert_array_equal(*(ops.convert_to_numpy(y) for y in (got, wanted)))
    cell = loaded.layers[0].cell
    assert settings_of(cell) == settings_of(layer.cell)
    assert (cell.rate, cell.seed, type(cell.wrapped_cell).__name__) == (
        [0.3, 0.6],
        3,
        "PeepholeLSTMCell",
    )
    with precision("mixed_float16"):
        outputs = RNN(ZoneoutCell(custom_layers.GRUCell(4), 0.5))(x, training=True)
    assert keras.backend.standardize_dtype(outputs.dtype) == "float16"


def test_bad_input():
    LSTMCell, GRUCell = custom_layers.LSTMCell, custom_layers.GRUCell
    for cell in (
        keras.layers.GRUCell(4),
        custom_layers.StackedRNNCells([GRUCell(4)]),
        GRUCell(4, activity_regularizer="l2"),
        ZoneoutCell(GRUCell(4)),
    ):
        with pytest.raises(
            ValueError, match=r"`cell` must be a cell of custom_layers.*Received: cell="
        ):
            ZoneoutCell(cell)
    with pytest.raises(ValueError, match=r"`cell` must have `call`. Received: cell='gru'"):
        ZoneoutCell("gru")
    for rate in (1.0, -0.1, "much", [0.1, 2]):
        with pytest.raises(ValueError, match=r"`rate` must be a probability in \[0, 1\)"):
            ZoneoutCell(LSTMCell(4), rate)
    with pytest.raises(ValueError, match=r"`rate` must be one probability, or 2.*rate=\[0.1\]"):
        ZoneoutCell(LSTMCell(4), [0.1])
    with pytest.raises(ValueError, match=r"those of custom_layers but.*ZoneoutCell.*autodiff"):
        RNN(ZoneoutCell(LSTMCell(4)), gradient="bptt")
