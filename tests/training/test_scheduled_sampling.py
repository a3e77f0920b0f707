"""Scheduled sampling: the paper's three decays, and a callback that sets what they say."""

import keras
import numpy as np
import pytest

import custom_layers
from custom_layers.training import (
    ScheduledSampling,
    exponential_decay,
    inverse_sigmoid_decay,
    linear_decay,
    masked_loss,
)

X = np.random.default_rng(0).integers(2, 6, (24, 5)).astype("int32")


def build(probability=0.0):
    decoder = custom_layers.RNNDecoder(
        custom_layers.Embedding(6, 3),
        custom_layers.GRU(4, return_sequences=True),
        custom_layers.Dense(6),
        start_token=1,
        sampling_probability=probability,
        seed=1,
    )
    targets = keras.Input((5,), dtype="int32")
    model = keras.Model(targets, decoder(targets))
    eagerly = keras.backend.backend() == "tensorflow"  # tracing takes longer than these few steps
    model.compile("adam", masked_loss, jit_compile=False, run_eagerly=eagerly)
    return model, decoder


class Seen(keras.callbacks.Callback):
    """The probability that each training step had."""

    def __init__(self, decoder):
        super().__init__()
        self.decoder, self.probabilities = decoder, []

    def on_train_batch_end(self, batch, logs=None):
        if hasattr(self.model, "jax_state_sync"):
            self.model.jax_state_sync()
        self.probabilities.append(float(self.decoder.probability))


@pytest.mark.parametrize(
    ("decay", "equation"),
    [
        (linear_decay(0.9, 0.01, floor=0.2), lambda i: np.maximum(0.2, 0.9 - 0.01 * i)),
        (exponential_decay(0.97), lambda i: 0.97**i),
        (inverse_sigmoid_decay(12), lambda i: 12 / (12 + np.exp(i / 12))),
    ],
    ids=["linear", "exponential", "inverse sigmoid"],
)
def test_decays_are_those_of_the_paper(decay, equation):
    steps = np.arange(150)
    np.testing.assert_allclose([decay(int(i)) for i in steps], equation(steps), rtol=1e-12)


def test_ends_of_the_decays():
    assert [linear_decay(1, 0.25)(i) for i in range(6)] == [1, 0.75, 0.5, 0.25, 0, 0]
    assert exponential_decay(0.5)(0) == 1
    k = 50
    assert inverse_sigmoid_decay(k)(0) == pytest.approx(k / (k + 1))
    assert inverse_sigmoid_decay(k)(round(k * np.log(k))) == pytest.approx(0.5, abs=0.01)
    assert 0 <= inverse_sigmoid_decay(1)(10**9) < 1e-100, "no overflow"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: linear_decay(1.5, 0.1), r"linear_decay: .*Received: k=1.5, c=0.1, floor=0.0"),
        (lambda: linear_decay(0.5, 0.1, floor=0.6), r"linear_decay: .*floor=0.6"),
        (lambda: linear_decay(0.5, -0.1), r"linear_decay: .*c=-0.1"),
        (lambda: exponential_decay(1.0), r"exponential_decay: `k` must be in \(0, 1\).*k=1.0"),
        (lambda: inverse_sigmoid_decay(0.5), r"inverse_sigmoid_decay: `k` must be 1 or more"),
    ],
)
def test_decays_that_are_none(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_each_step_has_its_probability_and_a_second_fit_goes_on():
    model, decoder = build()
    decay = inverse_sigmoid_decay(2)
    seen = Seen(decoder)
    callbacks = [ScheduledSampling(decoder, decay), seen]
    for _ in range(2):
        model.fit(X, X, batch_size=8, epochs=2, callbacks=callbacks, shuffle=False, verbose=0)
    expected = [1 - decay(i) for i in range(12)]
    np.testing.assert_allclose(seen.probabilities, expected, rtol=1e-6)


def test_the_probability_that_is_set_is_the_one_that_trains():
    """Set to 1 by the callback, or so from the beginning: the same losses; and to 0 others."""
    losses = []
    for begins, ends in ((0.0, 1.0), (1.0, 1.0), (0.0, 0.0)):
        keras.utils.set_random_seed(4)
        model, decoder = build(begins)
        callback = ScheduledSampling(decoder, lambda step, p=ends: 1 - p)
        fitted = model.fit(
            X, X, batch_size=8, epochs=3, callbacks=[callback], shuffle=False, verbose=0
        )
        losses.append(fitted.history["loss"])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-6)
    assert not np.allclose(losses[0], losses[2], rtol=1e-4)


def test_what_cannot_be_scheduled_is_said_in_one_line():
    with pytest.raises(
        ValueError, match=r"`decay` must be a function.*decay=0.5. Use linear_decay"
    ):
        ScheduledSampling(None, 0.5)
    model, decoder = build(None)
    with pytest.raises(ValueError, match="`decoder` must have a variable `probability`"):
        model.fit(X, X, callbacks=[ScheduledSampling(decoder, exponential_decay(0.9))], verbose=0)
    model, decoder = build()
    with pytest.raises(ValueError, match=r"probability in \[0, 1\]. Received: decay\(0\)=1.2"):
        model.fit(X, X, callbacks=[ScheduledSampling(decoder, lambda step: 1.2)], verbose=0)
