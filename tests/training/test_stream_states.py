"""Kept states: reset where a stream begins, and left alone by an evaluation."""

import itertools

import keras
import numpy as np
import pytest

import custom_layers
from custom_layers.data import TextStreams
from custom_layers.training import StreamStates, reset_states

both = pytest.mark.parametrize("layers", [keras.layers, custom_layers], ids=["keras", "custom"])
TEXT = np.random.default_rng(0).integers(0, 5, 121)
STREAMS, OTHERS = TextStreams(TEXT, 3, 8), TextStreams(TEXT[::-1], 3, 8)


def model_of(layers, rate=0.0):
    """At rate 0 the weights stand still, and only the states can make losses differ."""
    inputs = keras.Input(batch_shape=(3, None), dtype="int32")
    x = layers.Embedding(5, 4)(inputs)
    x = layers.Bidirectional(layers.GRU(3, return_sequences=True), name="forgets")(x)
    x = layers.LSTM(6, return_sequences=True, stateful=True)(x)
    inner = keras.Sequential([layers.GRU(6, return_sequences=True, stateful=True)], name="inner")
    model = keras.Model(inputs, layers.Dense(5)(inner(x)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(rate), loss, jit_compile=False)
    return model


def states_of(model):
    lstm = next(layer for layer in model.layers if layer.name.startswith("lstm"))
    gru = model.get_layer("inner").layers[0]
    return [np.array(state) for state in (*lstm.states, *gru.states)]


def logits_along(model, windows):
    reset_states(model)
    return [model.predict_on_batch(x) for x, _ in windows]


@both
def test_every_epoch_begins_from_zero(layers):
    model = model_of(layers)
    losses = model.fit(STREAMS.one_pass(), epochs=3, verbose=0, callbacks=[StreamStates()])
    first, *others = losses.history["loss"]
    assert others == pytest.approx([first, first], abs=1e-7)
    expected = logits_along(model, STREAMS.one_pass())
    after = states_of(model)
    model.fit(STREAMS.one_pass(), epochs=2, verbose=0, callbacks=[StreamStates()])
    for own, other in zip(states_of(model), after, strict=True):
        np.testing.assert_allclose(own, other, atol=1e-6)
    assert len(expected) == STREAMS.windows


@both
def test_endless_streams_carry_their_states_over_the_end_of_an_epoch(layers):
    model = model_of(layers)
    reset_states(model)
    model.fit(
        STREAMS.endless(),
        epochs=3,
        steps_per_epoch=2,
        verbose=0,
        callbacks=[StreamStates(at_epochs=False)],
    )
    found = states_of(model)
    logits_along(model, itertools.islice(STREAMS.endless(), 6))
    for own, other in zip(found, states_of(model), strict=True):
        np.testing.assert_allclose(own, other, atol=1e-6)


@both
@pytest.mark.parametrize("at_epochs", [True, False])
def test_an_evaluation_between_two_epochs_changes_no_loss(layers, at_epochs):
    def losses(**validation):
        keras.utils.set_random_seed(3)
        model = model_of(layers, rate=0.1)
        callbacks = [StreamStates(at_epochs)]
        data = STREAMS.endless()
        return model.fit(
            data, epochs=3, steps_per_epoch=2, verbose=0, callbacks=callbacks, **validation
        ).history

    alone, evaluated = losses(), losses(validation_data=OTHERS.one_pass())
    assert evaluated["loss"] == pytest.approx(alone["loss"], abs=1e-6)


@both
def test_an_evaluation_and_a_prediction_begin_from_zero_and_put_the_states_back(layers):
    model = model_of(layers)
    logits_along(model, OTHERS.one_pass())
    before = states_of(model)
    loss = model.evaluate(STREAMS.one_pass(), verbose=0, callbacks=[StreamStates()])
    predicted = model.predict(STREAMS.one_pass(), verbose=0, callbacks=[StreamStates()])
    for own, other in zip(states_of(model), before, strict=True):
        np.testing.assert_array_equal(own, other)
    assert max(np.abs(state).max() for state in before) > 0.01
    expected = np.concatenate(logits_along(model, STREAMS.one_pass()))
    np.testing.assert_allclose(predicted, expected, atol=1e-6)
    targets = np.concatenate([y for _, y in STREAMS.one_pass()])
    log_p = expected - np.log(np.exp(expected).sum(axis=-1, keepdims=True))
    by_hand = -np.take_along_axis(log_p, targets[..., None], axis=-1).mean()
    assert loss == pytest.approx(by_hand, abs=1e-5)


def test_a_model_without_kept_states_is_named():
    model = keras.Sequential([keras.Input((4, 2)), custom_layers.GRU(3)], name="plain")
    with pytest.raises(
        ValueError, match=r"reset_states: .*`stateful=True`. Received: plain without one"
    ):
        reset_states(model)
