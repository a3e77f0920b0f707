"""Every pair of layers, ours and Keras's, from the same random weights: nothing may tell them apart."""

import contextlib
import importlib
import pathlib

import keras
import numpy as np
import pytest

import custom_layers
from tests.parity import harness
from tests.parity.differentiate import BACKEND, outputs_and_gradients
from tests.parity.harness import Pair, assert_close, build_with_same_random_weights, precision

MODULES = sorted(path.stem for path in pathlib.Path(__file__).parent.glob("pairs_*.py"))
PAIRS: list[Pair] = [
    pair for name in MODULES for pair in importlib.import_module(f"tests.parity.{name}").PAIRS
]
HERE = [pair for pair in PAIRS if harness.runs_here(pair)]
every_pair = pytest.mark.parametrize("pair", HERE, ids=lambda pair: pair.name)


def test_names_of_pairs_are_unique():
    names = [pair.name for pair in PAIRS]
    assert len(names) == len(set(names))


def comparison(pair, dtype, mode="eager", **options):
    with precision(dtype):
        own, builtin = build_with_same_random_weights(pair, dtype)
        args, kwargs = harness.draw_call(pair, dtype, seed=8)
        run = [
            outputs_and_gradients(layer, args, kwargs, mode=mode, **options)
            for layer in (own, builtin)
        ]
        return own, builtin, run


# Equality in float64 is the proof, in every mode; float32 says that no precision is lost on the way,
# which a part of the pairs shows as well.
PART, COMPILED, REST = HERE[::4], HERE[::2], HERE[1::2]
SETTINGS = {  # mode, dtype, pairs, whether it belongs to the slow tests
    "tensorflow": [
        ("eager", "float64", HERE, False),
        ("eager", "float32", PART, False),
        ("traced", "float64", PART, False),
        ("traced", "float64", REST, True),  # so each pair is traced, compiled or not
        ("traced", "float32", PART, True),
        ("jit", "float64", COMPILED, True),  # traced as well; a compilation takes seconds
        ("jit", "float32", HERE[::8], True),
    ],
    # keras.ops computes parts of float64 in float32 on JAX (tanh) and on Torch (matmul), in Keras's
    # layers as in ours: the proof there is in float32. JAX compiles each setting: half are slow tests.
    "jax": [("jit", "float32", COMPILED, False), ("jit", "float32", REST, True)],
    "torch": [("eager", "float32", HERE, False)],
}[BACKEND]
RUNS = [
    pytest.param(
        pair, mode, dtype, id=f"{mode}-{dtype}-{pair.name}", marks=[pytest.mark.slow] * slow
    )
    for mode, dtype, pairs, slow in SETTINGS
    for pair in pairs
]
on_tensorflow = pytest.mark.skipif(BACKEND != "tensorflow", reason="no backend takes part in it")


@pytest.mark.parametrize(("pair", "mode", "dtype"), RUNS)
def test_outputs_and_gradients_match_keras(pair, mode, dtype):
    if mode == "jit" and not pair.jit:
        pytest.skip("XLA does not compile Keras's layer in this setting")
    *_, (own, builtin) = comparison(pair, dtype, mode)
    assert_close(own, builtin, pair.tolerance[dtype])


@on_tensorflow
@pytest.mark.slow
@every_pair
def test_second_derivatives_match_keras(pair):
    if not pair.second_order:
        pytest.skip("Keras's layer has no second derivative in this setting")
    *_, (own, builtin) = comparison(pair, "float64", second_order=True)
    assert any(name.startswith("second/") for name in own) or not own.keys() - {"output/0"}
    assert_close(own, builtin, 10 * pair.tolerance["float64"])


@on_tensorflow
@every_pair
def test_gradients_match_central_differences(pair):
    """One random direction per argument and weight, float64, step 1e-5; measured error below 1e-9."""
    if not pair.smooth:
        pytest.skip("not differentiable, or random, in this setting")
    with precision("float64"):
        layer = harness.build(pair, custom_layers, "float64", seed=7)
        args, kwargs = harness.draw_call(pair, "float64", seed=8)
        exact = outputs_and_gradients(layer, args, kwargs)
        flat = keras.tree.flatten((args, kwargs))
        floating = [i for i, leaf in enumerate(flat) if is_floating(leaf)]
        draws = np.random.default_rng(11).standard_normal
        cotangents = {
            name: draws(value.shape)
            for name, value in exact.items()
            if name.startswith("output/") and np.issubdtype(value.dtype, np.floating)
        }
        states = [v.numpy() for v in layer.non_trainable_variables]

        def scalar(leaves):
            for variable, state in zip(layer.non_trainable_variables, states, strict=True):
                variable.assign(state)
            if getattr(layer, "stateful", False):
                layer.reset_state()
            got_args, got_kwargs = keras.tree.pack_sequence_as((args, kwargs), leaves)
            outputs = [
                y for y in keras.tree.flatten(layer(*got_args, **got_kwargs)) if y is not None
            ]
            outputs = [keras.ops.convert_to_numpy(y) for y in outputs]
            return sum(np.sum(outputs[int(k.split("/")[1])] * c) for k, c in cotangents.items())

        def along(direction, at):
            """Central difference of the scalar along one direction."""
            return (at(1e-5 * direction) - at(-1e-5 * direction)) / 2e-5

        scale = max(np.max(np.abs(g)) for n, g in exact.items() if n.startswith("gradient/"))
        for number, position in enumerate(floating):
            direction = draws(flat[position].shape)

            def at_input(shift, position=position):
                return scalar([x + shift if i == position else x for i, x in enumerate(flat)])

            analytic = np.sum(exact[f"gradient/input/{number}"] * direction)
            assert abs(along(direction, at_input) - analytic) <= 1e-7 * scale * direction.size**0.5
        for weight in layer.trainable_variables:
            value, direction = weight.numpy(), draws(weight.shape)

            def at_weight(shift, weight=weight, value=value):
                weight.assign(value + shift)
                result = scalar(flat)
                weight.assign(value)
                return result

            analytic = np.sum(exact[f"gradient/{weight.path.split('/', 1)[-1]}"] * direction)
            assert abs(along(direction, at_weight) - analytic) <= 1e-7 * scale * direction.size**0.5


def is_floating(leaf):
    return isinstance(leaf, np.ndarray) and np.issubdtype(leaf.dtype, np.floating)


@on_tensorflow
@pytest.mark.slow
@pytest.mark.parametrize(
    ("pair", "policy"),
    [(pair, ("mixed_float16", "mixed_bfloat16")[i % 2]) for i, pair in enumerate(HERE)],
    ids=lambda value: getattr(value, "name", value),
)
def test_mixed_precision_matches_keras(pair, policy):
    """Half precision rounds at each step, so the values agree to a few of its units only."""
    with precision(policy):
        own, builtin = build_with_same_random_weights(pair, "float32")
        args, kwargs = harness.draw_call(pair, "float32", seed=8)
        got, wanted = (keras.tree.flatten(layer(*args, **kwargs)) for layer in (own, builtin))
        assert [w.dtype for w in own.weights] == [w.dtype for w in builtin.weights]
        assert len(got) == len(wanted)
        for y, y_builtin in zip(got, wanted, strict=True):
            assert y.dtype == y_builtin.dtype
            y, y_builtin = (
                np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(t, "float32")), "float64")
                for t in (y, y_builtin)
            )
            unit = 2.0 ** (-8 if policy == "mixed_bfloat16" else -11)
            np.testing.assert_allclose(y, y_builtin, atol=32 * unit * max(1, np.abs(y).max()))


@every_pair
def test_weights_and_seeds_are_the_same(pair):
    own, builtin = build_with_same_random_weights(pair, "float32")

    def describe(variables):
        return [(v.path.split("/", 1)[-1], tuple(v.shape), v.dtype, v.trainable) for v in variables]

    assert describe(own.weights) == describe(builtin.weights)
    assert describe(own.variables) == describe(builtin.variables)
    args, kwargs = harness.draw_call(pair, "float32", seed=8)
    for _ in range(2):  # generators advance in step
        own(*args, **kwargs), builtin(*args, **kwargs)
    for mine, theirs in zip(own.variables, builtin.variables, strict=True):
        if "seed" in mine.path:
            np.testing.assert_array_equal(mine.numpy(), theirs.numpy())


@on_tensorflow
@every_pair
def test_one_global_seed_starts_both_from_equal_weights(pair):
    args, kwargs = harness.draw_call(pair, "float32", seed=8)
    starts = []
    for layers in (custom_layers, pair.builtins):
        keras.utils.set_random_seed(5)
        layer = pair.make(layers)
        layer(*args, **kwargs)
        starts.append([(v.name, keras.ops.convert_to_numpy(v)) for v in layer.variables])
    for (name, mine), (_, theirs) in zip(*starts, strict=True):
        rounding = 1e-6 if name in harness.MOVED_BY_A_CALL else 0.0
        np.testing.assert_allclose(mine, theirs, rtol=rounding, atol=rounding)


@on_tensorflow
@every_pair
def test_weights_files_load_both_ways(pair, tmp_path):
    layers = build_with_same_random_weights(pair, "float32")
    args, kwargs = harness.draw_call(pair, "float32", seed=8)
    own, builtin = (as_model(layer, args, kwargs) for layer in layers)
    for giver, taker in ((own, builtin), (builtin, own)):
        giver.save_weights(tmp_path / "all.weights.h5")
        wanted = giver.get_weights()
        for weight in taker.weights:
            weight.assign(keras.ops.zeros_like(weight.value))
        taker.load_weights(tmp_path / "all.weights.h5")
        for got, value in zip(taker.get_weights(), wanted, strict=True):
            np.testing.assert_array_equal(got, value)


class Holder(keras.Model):
    """A model of one layer, so that weights files can be written for any signature of `call`."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def call(self, args_and_kwargs):
        args, kwargs = args_and_kwargs
        return self.layer(*args, **kwargs)


def as_model(layer, args, kwargs):
    model = Holder(layer)
    model.built = True
    return model


@on_tensorflow
@every_pair
def test_configuration_is_the_same_and_rebuilds_the_layer(pair):
    own, builtin = (pair.make(layers) for layers in (custom_layers, pair.builtins))

    def comparable(config):
        """Everything but the names of classes and modules, which are ours and Keras's."""
        if isinstance(config, dict):
            dropped = {"module", "registered_name", "build_config", "name"}
            return {k: comparable(v) for k, v in config.items() if k not in dropped}
        if isinstance(config, (list, tuple)):
            return [comparable(v) for v in config]
        return config

    mine = {k: v for k, v in own.get_config().items() if k not in pair.config_adds}
    assert comparable(mine) == comparable(builtin.get_config())
    rebuilt = type(own).from_config(own.get_config())
    assert comparable(rebuilt.get_config()) == comparable(own.get_config())
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(own))
    assert type(again) is type(own)


@every_pair
def test_masks_and_shapes_are_the_same(pair):
    own, builtin = build_with_same_random_weights(pair, "float32")
    assert own.supports_masking == builtin.supports_masking
    args, kwargs = harness.draw_call(pair, "float32", seed=8)
    mask = kwargs.get("mask")
    if own.supports_masking and isinstance(mask, np.ndarray):
        with contextlib.suppress(TypeError):  # Keras's stateful Bidirectional fails here
            wanted = builtin.compute_mask(args[0], mask)
            got = own.compute_mask(args[0], mask)
            assert [m is mask for m in keras.tree.flatten(got)] == [
                m is mask for m in keras.tree.flatten(wanted)
            ]
    symbolic = [
        keras.tree.map_structure(
            lambda x: (
                keras.KerasTensor((None, *x.shape[1:]), dtype=str(x.dtype))
                if isinstance(x, np.ndarray) and x.ndim > 1
                else x
            ),
            (args, kwargs),
        )
        for _ in range(2)
    ]
    for cell in (own, builtin):
        if hasattr(cell, "reset_dropout_mask"):  # called by itself, a cell keeps its last masks
            cell.reset_dropout_mask()
            cell.reset_recurrent_dropout_mask()
    if pair.symbolic and not getattr(own, "stateful", False):
        specs = [
            layer.compute_output_spec(*a, **k)
            for layer, (a, k) in zip((own, builtin), symbolic, strict=True)
        ]
        mine, theirs = (
            [(tuple(s.shape), s.dtype) for s in keras.tree.flatten(spec)] for spec in specs
        )
        assert mine == theirs
    assert own.supports_jit == builtin.supports_jit
