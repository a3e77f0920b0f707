"""The cells that Keras does not have: their equations, and all that a recurrent layer can do."""

import keras
import numpy as np
import pytest
from keras import ops

import custom_layers
from custom_layers import RNN, Bidirectional
from tests.gradients.settings import (
    BATCH,
    BPTT,
    CLOSE,
    FEATURES,
    STEPS,
    UNITS,
    WIDE,
    build,
    call_of,
    gradients_of,
)
from tests.parity.differentiate import BACKEND, MODES, outputs_and_gradients
from tests.parity.harness import assert_close, precision, ragged_mask
from tests.recurrent.variants import KINDS, WITH_BPTT, ByHand, WrittenOut, setting, weights_of

every_kind = pytest.mark.parametrize("kind", KINDS)
on_tensorflow = pytest.mark.skipif(BACKEND != "tensorflow", reason="run on TensorFlow")
QUICKEST = "jit" if BACKEND == "jax" else "eager"


@pytest.fixture(autouse=True)
def wide():
    keras.config.set_floatx(WIDE)
    keras.config.set_dtype_policy(WIDE)


def normal(*shape, seed=1):
    return np.random.default_rng(seed).standard_normal(shape).astype(WIDE)


def by_hand(kind, layer, x, **call):
    return ByHand(kind, weights_of(layer))(x, **call)


def close(got, wanted):
    for g, w in zip(keras.tree.flatten(got), keras.tree.flatten(wanted), strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(g), w, rtol=0, atol=CLOSE)


@every_kind
@pytest.mark.parametrize("masked", [False, True], ids=["", "masked"])
@pytest.mark.parametrize("backwards", [False, True], ids=["", "backwards"])
def test_outputs_and_states_are_those_of_the_equations(kind, masked, backwards):
    case = setting(kind, masked, go_backwards=backwards)
    layer = build(case)
    (x,), call = call_of(case, WIDE)
    outputs, _, states = by_hand(
        kind, layer, x, states=call["initial_state"], mask=call.get("mask"), reverse=backwards
    )
    close(layer(x, **call), [outputs, *states])
    _, last, states = by_hand(kind, layer, x, mask=call.get("mask"), reverse=backwards)
    layer.return_sequences = False
    close(layer(x, mask=call.get("mask")), [last, *states])


def quick(mode, kind, traced):
    """A trace takes a second, a compilation several: one kind is traced in the quick tests."""
    slow = mode != QUICKEST and not (mode == "traced" and kind == traced)
    return pytest.param(mode, kind, marks=[pytest.mark.slow] * slow)


@pytest.mark.parametrize(
    ("mode", "kind"), [quick(m, kind, "LayerNormLSTM") for m in MODES for kind in KINDS]
)
def test_gradients_are_those_of_the_equations(mode, kind):
    """By every weight, the inputs and the initial states."""
    case = setting(kind)
    layer = build(case)
    args, call = call_of(case, WIDE)
    got = outputs_and_gradients(layer, args, call, mode=mode)
    wanted = outputs_and_gradients(WrittenOut(kind, layer), args, call, mode=QUICKEST)
    assert_close(got, wanted, relative=CLOSE)


@on_tensorflow
@every_kind
def test_gradients_agree_with_central_differences(kind):
    """Of the equations in NumPy, along one random direction for each weight, the inputs, the states."""
    case = setting(kind)
    layer = build(case)
    (x,), call = call_of(case, WIDE)
    exact = outputs_and_gradients(layer, [x], call)
    draw = np.random.default_rng(11).standard_normal  # the cotangents of outputs_and_gradients
    cotangents = [draw(exact[f"output/{i}"].shape) for i in range(1 + len(KINDS[kind].states))]
    names = [k.removeprefix("gradient/") for k in exact if k.startswith("gradient/")]
    leaves = {"input/0": x} | {f"input/{i + 1}": s for i, s in enumerate(call["initial_state"])}
    leaves |= {f"{layer.cell.name}/{name}": value for name, value in weights_of(layer).items()}
    assert set(leaves) == set(names)

    def scalar(leaves):
        weights = {n.rpartition("/")[2]: v for n, v in leaves.items() if not n.startswith("input/")}
        states = [leaves[f"input/{i + 1}"] for i in range(len(KINDS[kind].states))]
        outputs, _, states = ByHand(kind, weights)(leaves["input/0"], states, call["mask"])
        return sum(np.sum(y * c) for y, c in zip([outputs, *states], cotangents, strict=True))

    scale = max(np.abs(exact[f"gradient/{name}"]).max() for name in names)
    for name, leaf in leaves.items():
        direction = draw(leaf.shape)
        ends = [scalar({**leaves, name: leaf + s * 1e-5 * direction}) for s in (1, -1)]
        difference = (ends[0] - ends[1]) / 2e-5
        derivative = np.sum(exact[f"gradient/{name}"] * direction)
        assert abs(derivative - difference) <= 1e-7 * scale * direction.size**0.5, name


SETTINGS = {
    "masked": {},
    "backwards_last": {"go_backwards": True, "return_sequences": False},
    "no_bias": {"use_bias": False},
    "dropouts": {"dropout": 0.4, "recurrent_dropout": 0.3, "seed": 3},
    "functions": {"activation": "softplus", "recurrent_activation": "hard_sigmoid"},
}


@pytest.mark.parametrize("kind", WITH_BPTT)
@pytest.mark.parametrize("name", SETTINGS)
def test_back_propagation_by_hand(kind, name):
    case = setting(kind, **SETTINGS[name])
    both = [gradients_of(case, QUICKEST, **choice) for choice in (BPTT, {})]
    assert_close(*both, relative=CLOSE)


@on_tensorflow
@pytest.mark.parametrize(
    ("mode", "kind"),
    [quick(m, kind, "MinimalGatedUnit") for m in ("traced", "jit") for kind in WITH_BPTT],
)
def test_back_propagation_by_hand_in_a_graph_and_compiled(mode, kind):
    got = gradients_of(setting(kind, unroll=False), mode, second_order=True, **BPTT)
    assert_close(got, gradients_of(setting(kind), second_order=True), relative=CLOSE)


@every_kind
def test_dropout_is_one_mask_for_all_steps(kind):
    case = setting(kind, dropout=0.4, recurrent_dropout=0.3, seed=3)
    layer = build(case)
    args, call = call_of(case, WIDE)
    states = [v.value for v in layer.non_trainable_variables]
    kept = [ops.convert_to_numpy(s).copy() for s in states]

    def rewind():
        for variable, value in zip(layer.non_trainable_variables, kept, strict=True):
            variable.assign(value)

    outputs = layer(*args, **call)
    assert not np.allclose(*(ops.convert_to_numpy(y[0]) for y in (layer(*args, **call), outputs)))
    rewind()
    masks = [
        [ops.convert_to_numpy(m) for m in draw(ops.ones((BATCH, width), WIDE))]
        for draw, width in (
            (layer.cell.get_dropout_mask, FEATURES),
            (layer.cell.get_recurrent_dropout_mask, KINDS[kind].states["h"]),
        )
    ]
    layer.cell.reset_dropout_mask()
    layer.cell.reset_recurrent_dropout_mask()
    rewind()
    assert len(masks[1]) == len(KINDS[kind].gates)
    run = ByHand(kind, weights_of(layer), masks=masks)
    wanted, _, after = run(*args, call["initial_state"], call["mask"])
    close(outputs, [wanted, *after])
    again = outputs_and_gradients(layer, args, call)
    rewind()
    assert_close(
        again, outputs_and_gradients(WrittenOut(kind, layer, masks), args, call), relative=CLOSE
    )


@every_kind
def test_a_stateful_layer_goes_on_where_it_stopped(kind):
    layer = build(setting(kind, stateful=True))
    layer.reset_state()
    x = normal(BATCH, STEPS, FEATURES)
    outputs, _, states = by_hand(kind, layer, x)
    halves = [layer(half) for half in (x[:, :2], x[:, 2:])]
    close([h[0] for h in halves], [outputs[:, :2], outputs[:, 2:]])
    close(halves[1][1:], states)


@every_kind
def test_both_directions(kind):
    inner = setting(kind).make()
    layer = Bidirectional(inner)
    x, mask = normal(BATCH, STEPS, FEATURES), ragged_mask(BATCH, STEPS)
    layer(x)
    for seed, weight in enumerate(layer.trainable_variables):
        weight.assign(0.5 * normal(*weight.shape, seed=seed))
    merged, *states = layer(x, mask=mask)
    wanted, last = [], []
    for direction, reverse in ((layer.forward_layer, False), (layer.backward_layer, True)):
        outputs, _, after = by_hand(kind, direction, x, mask=mask, reverse=reverse)
        outputs = outputs[:, ::-1] if reverse else outputs
        wanted.append(np.where(mask[..., None], outputs, 0))  # as the wrapper asks for
        last += after
    close([merged, *states], [np.concatenate(wanted, axis=-1), *last])


@every_kind
def test_cells_in_other_loops_and_in_stacks(kind):
    layer = build(setting(kind))
    cell, x = layer.cell, normal(BATCH, STEPS, FEATURES)
    outputs, last, _ = by_hand(kind, layer, x)
    close(RNN(cell)(x), last)
    close(keras.layers.RNN(cell, return_sequences=True)(x), outputs)
    close(cell(x[:, 0], cell.get_initial_state(BATCH))[0], outputs[:, 0])
    upper = custom_layers.GRUCell(3)
    stack = RNN([cell, upper])
    close(stack(x), ops.convert_to_numpy(RNN(upper)(ops.convert_to_tensor(outputs.astype(WIDE)))))
    assert stack.compute_output_shape(x.shape) == (BATCH, 3)


@every_kind
def test_shapes_are_told_before_the_call(kind):
    layer = setting(kind).make()
    symbolic = layer(keras.Input((None, FEATURES)))
    sizes = list(KINDS[kind].states.values())
    assert [y.shape for y in symbolic] == [(None, None, sizes[0]), *((None, s) for s in sizes)]


@every_kind
def test_files_and_configurations(kind, tmp_path):
    options = {"dropout": 0.2, "seed": 4, "kernel_regularizer": "l2", "go_backwards": True}
    layer = build(setting(kind, return_state=False, **options))
    model = keras.Sequential([keras.Input((STEPS, FEATURES)), layer])
    x = normal(BATCH, STEPS, FEATURES)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(*(ops.convert_to_numpy(m(x)) for m in (model, loaded)))
    assert type(loaded.layers[0]) is type(layer)
    for part in (layer, layer.cell):
        again = type(part).from_config(part.get_config())
        assert again.get_config() == part.get_config()
        assert [w.name for w in loaded.layers[0].weights] == [w.name for w in layer.weights]
    for name, value in KINDS[kind].arguments.items():
        assert getattr(loaded.layers[0], name) == value


@every_kind
def test_mixed_precision(kind):
    case = setting(kind)
    args, call = call_of(case, "float32")
    found = []
    for policy in ("mixed_float16", "float32"):
        with precision(policy):
            found.append([ops.convert_to_numpy(y) for y in build(case)(*args, **call)])
    assert {y.dtype for y in found[0]} == {np.dtype("float16")}
    for half, whole in zip(*found, strict=True):
        np.testing.assert_allclose(half, whole, rtol=0, atol=32 * 2.0**-11 * np.abs(whole).max())


@on_tensorflow
@every_kind
@pytest.mark.parametrize("backwards", [False, True], ids=["", "backwards"])
@pytest.mark.parametrize("gradient", ["autodiff", "bptt"])
def test_gates_and_states_are_recorded_with_their_total_derivatives(kind, backwards, gradient):
    import tensorflow as tf

    from custom_layers.debugging import record

    if gradient == "bptt" and kind not in WITH_BPTT:
        pytest.skip("has no backward step")
    layer = build(setting(kind, go_backwards=backwards, return_state=False), gradient=gradient)
    x, mask = tf.constant(normal(BATCH, STEPS, FEATURES)), tf.constant(ragged_mask(BATCH, STEPS))
    cotangent = normal(BATCH, STEPS, KINDS[kind].states["h"], seed=2)
    with record(layer) as trace, tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x, mask=mask) * cotangent)
    recording = trace.read(tape, loss)

    weights = {name: tf.constant(value) for name, value in weights_of(layer).items()}
    run = ByHand(kind, weights, ops)
    with tf.GradientTape() as tape:
        tape.watch(weights)
        loss = tf.reduce_sum(run(x, mask=mask, reverse=backwards)[0] * cotangent)
    wanted = tape.gradient(loss, run.kept, unconnected_gradients="zero")
    names = [*KINDS[kind].gates, *reversed(KINDS[kind].states)]
    assert list(recording) == [f"{layer.name}/{name}" for name in names]
    taken = ragged_mask(BATCH, STEPS)
    for name in names:
        value, by_value = (
            recording[f"{layer.name}/{name}"]._asdict()[f] for f in ("value", "gradient")
        )
        np.testing.assert_allclose(by_value, run.stacked(name, wanted[name]), rtol=0, atol=1e-10)
        kept = run.stacked(name)
        if name in KINDS[kind].gates:
            kept = np.tanh(kept) if name in "gn" else 1 / (1 + np.exp(-kept))
        np.testing.assert_allclose(np.asarray(value)[taken], kept[taken], rtol=0, atol=1e-12)


# What becomes of a cell where what is new in it does nothing.


def beside(layer, peer, weights, x):
    """Outputs, states, and gradients by the inputs, of both from these weights by name."""
    found = []
    for each, given in zip((layer, peer), weights, strict=True):
        each(x)
        for weight in each.trainable_variables:
            weight.assign(given[weight.name])
        call = {"mask": ragged_mask(BATCH, STEPS)}
        both = outputs_and_gradients(each, [x], call, mode=QUICKEST)
        found.append({k: v for k, v in both.items() if k.startswith(("output", "gradient/input"))})
    assert_close(*found, relative=CLOSE)


def random_weights(slots, x_width=FEATURES, h_width=UNITS):
    draw = np.random.default_rng(5).standard_normal
    shapes = {"kernel": (x_width, slots, UNITS), "recurrent_kernel": (h_width, slots, UNITS)}
    return {n: draw(s).astype(WIDE) for n, s in {**shapes, "bias": (slots, UNITS)}.items()}


def flat(weights):
    """Slots side by side."""
    return {name: value.reshape((*value.shape[:-2], -1)) for name, value in weights.items()}


ALL = {"return_sequences": True, "return_state": True}


def test_without_peepholes_it_is_an_lstm():
    weights = flat(random_weights(4))
    ours = {**weights, "peepholes": np.zeros(3 * UNITS)}
    x = normal(BATCH, STEPS, FEATURES)
    layer, peer = custom_layers.PeepholeLSTM(UNITS, **ALL), keras.layers.LSTM(UNITS, **ALL)
    beside(layer, peer, (ours, weights), x)
    starts = []
    for house in (custom_layers.PeepholeLSTM, keras.layers.LSTM):
        keras.utils.set_random_seed(3)
        starts.append(ops.convert_to_numpy(house(UNITS)(x)))
    close(*starts)


def test_a_projection_by_the_identity_changes_nothing():
    weights = flat(random_weights(4))
    layer = custom_layers.ProjectionLSTM(UNITS, projection_units=UNITS, **ALL)
    ours = {**weights, "projection_kernel": np.eye(UNITS)}
    peer = keras.layers.LSTM(UNITS, **ALL)
    beside(layer, peer, (ours, weights), normal(BATCH, STEPS, FEATURES))


def test_an_lstm_with_opposite_gates_is_a_coupled_one():
    ours = random_weights(3)
    theirs = {n: np.concatenate([-w[..., :1, :], w], axis=-2) for n, w in ours.items()}
    layer, peer = custom_layers.CoupledLSTM(UNITS, **ALL), keras.layers.LSTM(UNITS, **ALL)
    beside(layer, peer, (flat(ours), flat(theirs)), normal(BATCH, STEPS, FEATURES))


def test_a_gru_with_opposite_gates_is_a_minimal_gated_unit():
    ours = random_weights(2)
    theirs = {n: np.concatenate([-w[..., :1, :], w], axis=-2) for n, w in ours.items()}
    layer = custom_layers.MinimalGatedUnit(UNITS, **ALL)
    peer = keras.layers.GRU(UNITS, reset_after=False, **ALL)
    beside(layer, peer, (flat(ours), flat(theirs)), normal(BATCH, STEPS, FEATURES))


def test_the_normalization_is_keras_s_layer():
    """One step, with the three normalizations taken from keras.layers.LayerNormalization."""
    layer = build(setting("LayerNormLSTM"))
    w, x = weights_of(layer), normal(BATCH, FEATURES)
    h, c = normal(BATCH, UNITS, seed=2), normal(BATCH, UNITS, seed=3)

    def normalized(z, name):
        norm = keras.layers.LayerNormalization(epsilon=1e-4)
        norm.build(z.shape)
        norm.set_weights([w[f"{name}_alpha"], w[f"{name}_beta"]])
        return ops.convert_to_numpy(norm(z))

    a = normalized(x @ w["kernel"], "input") + w["bias"]
    i, f, g, o = np.split(a + normalized(h @ w["recurrent_kernel"], "recurrent"), 4, axis=-1)
    i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
    new_c = f * c + i * np.tanh(g)
    close(layer.cell(x, [h, c])[1], [o * np.tanh(normalized(new_c, "state")), new_c])


def test_a_normalized_cell_does_not_see_the_scale_of_its_kernels():
    """Ba et al., table 1: re-scaling a weight matrix changes nothing, but for epsilon."""
    layer = build(setting("LayerNormLSTM", epsilon=1e-30))
    x, state = normal(BATCH, STEPS, FEATURES), [normal(BATCH, UNITS, seed=s) for s in (2, 3)]
    before = [ops.convert_to_numpy(y) for y in layer(x, initial_state=state)]
    for weight in (layer.cell.kernel, layer.cell.recurrent_kernel):
        weight.assign(3 * weight.value)
    for got, wanted in zip(layer(x, initial_state=state), before, strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(got), wanted, rtol=0, atol=100 * CLOSE)


def test_an_irnn_starts_by_remembering():
    layer = custom_layers.IRNN(UNITS, return_state=True)
    x, h = normal(BATCH, STEPS, FEATURES), np.abs(normal(BATCH, UNITS))
    close(layer(np.zeros_like(x), initial_state=[h]), [h, h])
    kernel, recurrent_kernel, bias = (ops.convert_to_numpy(w.value) for w in layer.weights)
    np.testing.assert_array_equal(recurrent_kernel, np.eye(UNITS))
    assert not np.any(bias)
    assert 0 < np.abs(kernel).max() < 0.005
    peer = keras.layers.SimpleRNN(UNITS, activation="relu", return_state=True)
    peer(x)
    peer.set_weights([kernel, recurrent_kernel, bias])
    close(
        layer(x, initial_state=[h]), [ops.convert_to_numpy(y) for y in peer(x, initial_state=[h])]
    )
    again = custom_layers.IRNN.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    others = custom_layers.IRNN(UNITS), custom_layers.IRNN(UNITS, gradient="bptt")
    for other in others:
        other(x)
    assert not np.allclose(*(ops.convert_to_numpy(o.weights[0].value) for o in others))


@pytest.mark.parametrize("kind", ["PeepholeLSTM", "CoupledLSTM"])
@pytest.mark.parametrize("unit_forget_bias", [False, True])
def test_the_bias_of_the_forget_gate_starts_at_one(kind, unit_forget_bias):
    layer = setting(kind, unit_forget_bias=unit_forget_bias).make()
    layer(normal(BATCH, STEPS, FEATURES))
    gates = KINDS[kind].gates
    wanted = [[float(unit_forget_bias and gate == "f")] * UNITS for gate in gates]
    np.testing.assert_array_equal(ops.convert_to_numpy(layer.cell.bias.value), np.ravel(wanted))


@every_kind
def test_regularizers_and_constraints(kind):
    layer = setting(kind, recurrent_regularizer="l2", recurrent_constraint="non_neg").make()
    layer(normal(BATCH, STEPS, FEATURES))
    recurrent = {"recurrent_kernel", "peepholes", "projection_kernel"}
    constrained = {w.name for w in layer.weights if w.constraint is not None}
    assert constrained == {w.name for w in layer.weights} & recurrent
    assert len(layer.losses) == len(constrained)


# Bad input.


@every_kind
def test_arguments_that_every_recurrent_layer_refuses(kind):
    arguments = KINDS[kind].arguments
    make = getattr(custom_layers, kind)
    with pytest.raises(ValueError, match=r"`units` must be a positive integer. Received: units=0"):
        make(0, **arguments)
    with pytest.raises(ValueError, match=r"`dropout` must be a probability in \[0, 1\)"):
        make(UNITS, dropout=1.0, **arguments)
    with pytest.raises(ValueError, match=r"Unrecognized keyword arguments.*peephole"):
        make(UNITS, **arguments, peephole=1)
    x = normal(BATCH, STEPS, FEATURES)
    with pytest.raises(ValueError, match=r"`mask` must be \(batch, steps\) = \(3, 6\)"):
        make(UNITS, **arguments)(x, mask=np.ones((3, 5), bool))
    states = [np.zeros((BATCH, 1 + w), WIDE) for w in KINDS[kind].states.values()]
    with pytest.raises(ValueError, match=r"`initial_state` must be \(batch, units\)"):
        make(UNITS, **arguments)(x, initial_state=states)


@pytest.mark.parametrize("kind", ["LSTM", "PeepholeLSTM", "CoupledLSTM", "GRU", "SimpleRNN"])
@pytest.mark.parametrize("suffix", ["", "Cell"])
def test_an_argument_of_another_kind_is_refused(kind, suffix):
    rule = r"`projection_units` is an argument of ProjectionLSTM and.*Received: projection_units=2"
    with pytest.raises(ValueError, match=rf"{rule} for {kind}Cell. Use custom_layers.Projection"):
        getattr(custom_layers, kind + suffix)(UNITS, projection_units=2)


def test_a_peephole_needs_a_cell_that_has_one():
    rule = "`peephole_initializer` is an argument of PeepholeLSTM and PeepholeLSTMCell alone"
    with pytest.raises(ValueError, match=rf"^lstm_cell: {rule}.*Use custom_layers.PeepholeLSTM"):
        custom_layers.LSTM(UNITS, peephole_initializer="ones")


@pytest.mark.parametrize("width", [0, -2, 1.5, None])
def test_a_projection_needs_a_width(width):
    with pytest.raises(
        ValueError, match=r"`projection_units` must be a positive integer. Received"
    ):
        custom_layers.ProjectionLSTM(UNITS, projection_units=width)


@pytest.mark.parametrize("epsilon", [0, -1e-3, "small", None])
def test_an_epsilon_that_is_not_above_zero(epsilon):
    with pytest.raises(ValueError, match=r"`epsilon` must be a number above 0. Received: epsilon="):
        custom_layers.LayerNormLSTM(UNITS, epsilon=epsilon)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - set(WITH_BPTT)))
def test_a_cell_without_a_backward_step_refuses_bptt(kind):
    with pytest.raises(ValueError, match=rf"those of custom_layers but .*{kind}Cell.*autodiff"):
        setting(kind).make(**BPTT)
