"""CompiledAdam beside keras.optimizers.Adam: the same numbers, whatever way the model is trained."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from custom_layers.training import CompiledAdam, WarmupSchedule

STEPS = 12
OPTIONS = [
    {},
    {"amsgrad": True, "beta_1": 0.8, "beta_2": 0.98, "epsilon": 1e-3},
    {"weight_decay": 0.1, "clipnorm": 0.5},
    {"use_ema": True, "gradient_accumulation_steps": 3},
]


def model_of(optimizer, eager=False, embedding=False):
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Embedding(7, 6), keras.layers.Flatten()] if embedding else []
    model = keras.Sequential([*layers, keras.layers.Dense(5, "tanh"), keras.layers.Dense(3)])
    model.compile(optimizer, "mean_squared_error", jit_compile=False, run_eagerly=eager)
    return model


def trained(optimizer, steps=STEPS, **options):
    model = model_of(optimizer, **options)
    random = np.random.default_rng(1)
    x, y = random.standard_normal((2 * STEPS, 4)), random.standard_normal((2 * STEPS, 3))
    model.fit(x[: 2 * steps], y[: 2 * steps], batch_size=2, verbose=0, shuffle=False)
    return model


def numbers(model):
    return [np.asarray(v) for v in (*model.weights, *model.optimizer.variables)]


@pytest.mark.parametrize("eager", [False, True], ids=["graph", "eager"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_weights_and_state_are_those_of_adam(options, eager):
    ours = trained(CompiledAdam(0.01, **options), eager=eager)
    theirs = trained(keras.optimizers.Adam(0.01, **options), eager=eager)
    for one, other in zip(numbers(ours), numbers(theirs), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-6)


def test_the_rate_of_a_schedule_is_that_of_the_step():
    schedule = WarmupSchedule(8, 5)
    one, other = (trained(c(schedule)) for c in (CompiledAdam, keras.optimizers.Adam))
    for a, b in zip(numbers(one), numbers(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)
    first = trained(CompiledAdam(schedule), steps=2)
    assert not np.allclose(numbers(first)[0], numbers(one)[0])


def test_slices_of_one_token_are_added_before_they_are_squared():
    def steps(optimizer, slices):
        table = keras.Variable(np.ones((4, 2), "float32"), name="table")
        optimizer.build([table])
        for step in range(3):
            gradient = tf.IndexedSlices(
                tf.constant([[1.0, -2], [3, 4], [0.5, step]]),
                tf.constant([1, 3, 1]),
                tf.constant([4, 2]),
            )
            optimizer.apply([gradient if slices else tf.convert_to_tensor(gradient)], [table])
        return np.asarray(table)

    expected = steps(keras.optimizers.Adam(0.1), slices=False)
    np.testing.assert_allclose(steps(CompiledAdam(0.1), slices=True), expected, rtol=1e-6)


def test_batches_of_other_shapes_compile_nothing_anew(monkeypatch):
    model = model_of(CompiledAdam(0.01), embedding=True)
    traced = []
    update = keras.optimizers.Adam.update_step
    monkeypatch.setattr(
        keras.optimizers.Adam,
        "update_step",
        lambda self, *given: (traced.append(1), update(self, *given))[1],
    )
    for rows in (2, 3, 5, 7):
        model.train_on_batch(np.ones((rows, 4), "int32"), np.ones((rows, 3), "float32"))
    assert len(traced) == len(model.trainable_variables)


def test_a_saved_model_goes_on_as_if_it_had_not_been_saved(tmp_path):
    whole = trained(CompiledAdam(0.01))
    half = trained(CompiledAdam(0.01), steps=STEPS // 2)
    half.save(tmp_path / "half.keras")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = keras.saving.load_model(tmp_path / "half.keras")
    assert type(loaded.optimizer) is CompiledAdam
    random = np.random.default_rng(1)
    x, y = random.standard_normal((2 * STEPS, 4)), random.standard_normal((2 * STEPS, 3))
    loaded.fit(x[STEPS:], y[STEPS:], batch_size=2, verbose=0, shuffle=False)
    for one, other in zip(numbers(loaded), numbers(whole), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)
