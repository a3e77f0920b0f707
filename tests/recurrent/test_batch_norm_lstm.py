"""An LSTM with batch normalization: its equations, its moving statistics, and what it cannot do."""

import keras
import numpy as np
import pytest
from keras import ops

import custom_layers
from custom_layers import BatchNormLSTM, BatchNormLSTMCell
from tests.gradients.settings import CLOSE, WIDE
from tests.parity.differentiate import BACKEND, outputs_and_gradients

BATCH, STEPS, FEATURES, UNITS, EPSILON = 6, 5, 3, 4, 1e-3
QUICKEST = "jit" if BACKEND == "jax" else "eager"
on_tensorflow = pytest.mark.skipif(BACKEND != "tensorflow", reason="run on TensorFlow")


@pytest.fixture(autouse=True)
def wide():
    keras.config.set_floatx(WIDE)
    keras.config.set_dtype_policy(WIDE)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(WIDE)


def build(max_steps=STEPS, **options):
    """A layer whose weights, moving statistics too, are all random."""
    layer = BatchNormLSTM(
        UNITS, max_steps=max_steps, epsilon=EPSILON, return_sequences=True, **options
    )
    layer.build((BATCH, None, FEATURES))
    for seed, weight in enumerate(layer.weights):
        value = normal(*weight.shape, seed=seed)
        weight.assign(1 + value**2 if "variance" in weight.name else value)
    return layer


def weights_of(layer):
    return {w.name: ops.convert_to_numpy(w) for w in layer.weights}


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def by_hand(weights, x, training, max_steps=STEPS):
    """Outputs (batch, steps, units), last states, and mean and variance of every normalization."""
    h, c = np.zeros((2, len(x), UNITS))
    seen = {name: ([], []) for name in ("input", "recurrent", "state")}
    outputs = []

    def normalized(z, name, t):
        mean, variance = z.mean(0), z.var(0)
        seen[name][0].append(mean)
        seen[name][1].append(variance)
        if not training:
            place = min(t, max_steps - 1)
            mean = weights[f"{name}_moving_mean"][place]
            variance = weights[f"{name}_moving_variance"][place]
        return weights[f"{name}_gamma"] * (z - mean) / np.sqrt(variance + EPSILON)

    for t in range(x.shape[1]):
        sums = normalized(x[:, t] @ weights["kernel"], "input", t) + weights["bias"]
        sums = sums + normalized(h @ weights["recurrent_kernel"], "recurrent", t)
        i, f, g, o = np.split(sums, 4, axis=-1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(normalized(c, "state", t) + weights["state_beta"])
        outputs.append(h)
    return np.stack(outputs, axis=1), (h, c), seen


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("steps", [STEPS, STEPS + 2, STEPS - 2])
def test_outputs_and_states_are_those_of_the_equations(training, steps):
    layer = build(return_state=True)
    x = normal(BATCH, steps, FEATURES, seed=90)
    outputs, states, _ = by_hand(weights_of(layer), x, training)
    for got, wanted in zip(layer(x, training=training), [outputs, *states], strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(got), wanted, rtol=0, atol=CLOSE)


@pytest.mark.parametrize("steps", [STEPS, STEPS + 2, STEPS - 2])
def test_moving_statistics_move_to_those_of_the_batch(steps):
    layer = build(momentum=0.8)
    before = weights_of(layer)
    x = normal(BATCH, steps, FEATURES, seed=91)
    _, _, seen = by_hand(before, x, training=True)
    layer(x, training=True)
    after = weights_of(layer)
    count = min(steps, STEPS)
    for name, (means, variances) in seen.items():
        for which, values in (("mean", means), ("variance", variances)):
            key = f"{name}_moving_{which}"
            wanted = before[key].copy()
            wanted[:count] = 0.8 * wanted[:count] + 0.2 * np.stack(values)[:count]
            np.testing.assert_allclose(after[key], wanted, rtol=CLOSE, atol=CLOSE, err_msg=key)
    assert not any(np.array_equal(before[k], after[k]) for k in after if "moving" in k)


def test_nothing_moves_in_inference_and_no_gradient_reaches_what_moves():
    layer = build()
    before = weights_of(layer)
    layer(normal(BATCH, STEPS, FEATURES))
    for name, value in weights_of(layer).items():
        np.testing.assert_array_equal(value, before[name])
    assert len(layer.trainable_weights) == 7
    assert len(layer.non_trainable_weights) == 6


@on_tensorflow
@pytest.mark.parametrize("training", [True, False])
def test_gradients_agree_with_central_differences(training):
    layer = build()
    x = normal(BATCH, STEPS, FEATURES, seed=92)
    start = weights_of(layer)  # of which training moves some
    exact = outputs_and_gradients(layer, [x], {"training": training}, mode=QUICKEST)
    draw = np.random.default_rng(11).standard_normal  # the cotangents of outputs_and_gradients
    cotangent = draw(exact["output/0"].shape)

    def scalar(leaves):
        outputs, _, _ = by_hand({**start, **leaves}, leaves["x"], training)
        return np.sum(outputs * cotangent)

    leaves = {"x": x, **{w.name: start[w.name] for w in layer.trainable_weights}}
    for name, leaf in leaves.items():
        key = "input/0" if name == "x" else f"{layer.cell.name}/{name}"
        direction = draw(leaf.shape)
        ends = [scalar({**leaves, name: leaf + s * 1e-6 * direction}) for s in (1, -1)]
        derivative = np.sum(exact[f"gradient/{key}"] * direction)
        assert abs(derivative - (ends[0] - ends[1]) / 2e-6) <= 1e-7 * max(1, abs(derivative)), name


@on_tensorflow
@pytest.mark.parametrize("mode", ["traced", "jit"])
def test_a_graph_gives_the_same(mode):
    x = normal(BATCH, STEPS, FEATURES, seed=93)
    layers = [build(), build()]
    eager, other = (
        outputs_and_gradients(layer, [x], {"training": True}, mode=m)
        for layer, m in zip(layers, ("eager", mode), strict=True)
    )
    for name, value in eager.items():
        np.testing.assert_allclose(other[name], value, rtol=0, atol=1e-11, err_msg=name)
    first, second = map(weights_of, layers)
    for name, value in first.items():
        np.testing.assert_allclose(second[name], value, rtol=0, atol=1e-12, err_msg=name)


def test_fit_learns_and_moves_and_a_file_keeps_all(tmp_path):
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((STEPS, FEATURES)),
            BatchNormLSTM(8, max_steps=STEPS),
            custom_layers.Dense(1),
        ]
    )
    x = normal(256, STEPS, FEATURES).astype("float32")
    y = x[:, :1, 0] * x[:, -1:, 1]
    model.compile(keras.optimizers.Adam(0.02), "mse")
    history = model.fit(x, y, epochs=12, batch_size=32, verbose=0).history["loss"]
    assert history[-1] < 0.6 * history[0]
    cell = model.layers[0].cell
    assert np.all(ops.convert_to_numpy(cell.state_moving.mean)[1:] != 0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(*(m.predict(x, verbose=0) for m in (model, loaded)))


def test_configuration_comes_back():
    options = {"max_steps": 7, "momentum": 0.5, "epsilon": 0.01, "gamma_initializer": "ones"}
    layer = BatchNormLSTM(3, name="n", return_sequences=True, **options)
    again = BatchNormLSTM.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert again.cell.max_steps == 7
    assert layer.get_config()["momentum"] == 0.5


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy):
    layer = BatchNormLSTM(UNITS, max_steps=STEPS, dtype=policy)
    y = layer(1000 * normal(BATCH, STEPS, FEATURES).astype("float32"), training=True)
    assert keras.backend.standardize_dtype(y.dtype) == layer.compute_dtype
    assert np.all(np.isfinite(ops.convert_to_numpy(ops.cast(y, "float32"))))
    moving = layer.cell.input_moving.variance
    assert np.all(np.isfinite(ops.convert_to_numpy(moving)))
    assert ops.convert_to_numpy(moving).max() > 70_000  # float16 ends at 65,504


@on_tensorflow
def test_watching_shows_the_gates_and_moves_as_much():
    import tensorflow as tf

    from custom_layers.debugging import record

    x = normal(BATCH, STEPS, FEATURES, seed=94)
    watched, unwatched = build(), build()
    unwatched(x, training=True)
    with record(watched) as trace, tf.GradientTape() as tape:
        loss = tf.reduce_sum(watched(x, training=True) ** 2)
    recording = trace.read(tape, loss)
    for name, value in weights_of(unwatched).items():
        np.testing.assert_array_equal(weights_of(watched)[name], value)
    outputs, _, _ = by_hand(weights_of(build()), x, training=True)
    quantity = recording[f"{watched.name}/h"]
    np.testing.assert_allclose(quantity.value, outputs, rtol=0, atol=1e-12)
    assert recording[f"{watched.name}/i"].gradient.shape == (BATCH, STEPS, UNITS)


def test_what_does_not_fit_is_refused_in_one_line():
    for wrong in (None, 0, 2.5):
        with pytest.raises(ValueError, match=r"`max_steps` must be a positive integer. Received"):
            BatchNormLSTM(3, max_steps=wrong)
    with pytest.raises(ValueError, match=r"`momentum` must be a probability.*moving statistics"):
        BatchNormLSTM(3, max_steps=4, momentum=1.0)
    with pytest.raises(
        ValueError, match=r"`epsilon` must be a number above 0. Received: epsilon=0"
    ):
        BatchNormLSTM(3, max_steps=4, epsilon=0)
    with pytest.raises(ValueError, match=r"but BatchNormLSTMCell.*autodiff"):
        BatchNormLSTM(3, max_steps=4, gradient="bptt")
    cell = BatchNormLSTMCell(3, max_steps=4)
    with pytest.raises(
        ValueError, match=r"statistics belong to steps.*Use custom_layers.BatchNorm"
    ):
        custom_layers.RNN([cell])(normal(2, 4, 3))
    with pytest.raises(ValueError, match="and not BatchNormLSTMCell"):
        custom_layers.ZoneoutCell(BatchNormLSTMCell(3, max_steps=4))
    with pytest.raises(ValueError, match="`max_steps` is an argument of BatchNormLSTM"):
        custom_layers.LSTM(3, max_steps=4)
