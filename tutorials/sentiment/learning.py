"""Learning from reviews with `fit`, and being judged on others."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import custom_layers
from custom_layers.data import generated_reviews, split_reviews
from custom_layers.debugging import GradientInspector
from tutorials.sentiment.batches import logits_of, training_batches
from tutorials.sentiment.data import Encoded, encoded
from tutorials.sentiment.model import Sizes, bag_of_words, build
from tutorials.sentiment.words import vocabulary_of, words_of

BATCH = 64


def learn(
    model: keras.Model,
    data: Encoded,
    rate: float,
    epochs: int,
    callbacks: Sequence[Any] = (),
    verbose: int = 0,
) -> keras.Model:
    """Batches of 64 reviews of like length; Adam, its rate falling to 0 along a cosine."""
    steps = len(data.numbers) // BATCH
    schedule = keras.optimizers.schedules.CosineDecay(rate, steps * epochs)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(schedule), loss, jit_compile=False)
    keras.utils.set_random_seed(1)
    model.fit(
        training_batches(data.numbers, data.labels, BATCH, seed=1),
        epochs=epochs,
        steps_per_epoch=steps,
        callbacks=list(callbacks),
        verbose=verbose,
        shuffle=False,  # the batches are drawn already
    )
    return model


def accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    """The share that is on the right side of 0."""
    return float(np.mean((logits > 0) == (labels == 1)))


def accuracy_of(model: keras.Model, data: Encoded) -> float:
    """Of a model on reviews."""
    return accuracy(logits_of(model, data.numbers), data.labels)


def shuffled(data: Encoded) -> Encoded:
    """The same reviews, the words of each in a random order."""
    rng = np.random.default_rng(0)
    return Encoded(data.reviews, [rng.permutation(row) for row in data.numbers])


def apart_in_float64(builtin: keras.Model, sizes: Sizes, data: Encoded) -> dict[str, float]:
    """How far Keras's network and ours are apart with the same weights, in logits and in gradients.

    Returns: the largest difference of an entry, as a share of the largest entry of all.
    """
    words, labels = next(iter(training_batches(data.numbers, data.labels, 16, seed=9)))
    found = []
    for layers, of_lstm in ((custom_layers, {"gradient": "bptt"}), (keras.layers, {})):
        keras.config.set_dtype_policy("float64")
        model = build(layers, sizes, **of_lstm)
        keras.config.set_dtype_policy("float32")
        model.set_weights(builtin.get_weights())
        with tf.GradientTape() as tape:
            logits = model(words)
            wanted = tf.cast(labels, logits.dtype)
            loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(wanted, logits))
        gradients = tape.gradient(loss, [w.value for w in model.trainable_variables])
        arrays = [tf.convert_to_tensor(gradient).numpy() for gradient in gradients]
        found.append({"logits": [logits.numpy()], "gradients": arrays})
    own, other = found
    apart = {}
    for name in own:
        largest = max(np.abs(array).max() for array in other[name])
        differences = [np.abs(a - b).max() for a, b in zip(own[name], other[name], strict=True)]
        apart[name] = float(max(differences) / largest)
    return apart


def where_order_matters(turns: int, logs: Path | None) -> dict[str, float]:
    """Accuracy of a bag of words and of a small network on generated reviews, in order and shuffled.

    Args:
        turns: epochs.
        logs: where a `GradientInspector` writes; None for no look.
    """
    made = split_reviews(generated_reviews(5000, longest=6), (0.8, 0.2), seed=0)
    print(made[0].texts[0], "->", "positive" if made[0].labels[0] else "negative")
    vocabulary = vocabulary_of(map(words_of, made[0].texts), 200)
    to_learn, to_test = (encoded(reviews, vocabulary) for reviews in made)
    keras.utils.set_random_seed(0)
    counting = learn(bag_of_words(200), to_learn, rate=0.02, epochs=turns)
    reading = build(custom_layers, Sizes(200, 16, 16, 0.1), gradient="bptt")
    probe = next(iter(training_batches(to_learn.numbers, to_learn.labels, 32, seed=3)))
    looks = [] if logs is None else [GradientInspector(logs, probe=probe, every=60)]
    learn(reading, to_learn, rate=0.01, epochs=turns, callbacks=looks)
    return {
        "counting": accuracy_of(counting, to_test),
        "reading": accuracy_of(reading, to_test),
        "reading, shuffled": accuracy_of(reading, shuffled(to_test)),
    }


def in_three_ways(
    custom: keras.Model, sizes: Sizes, to_learn: Encoded, to_test: Encoded
) -> dict[str, float]:
    """Accuracy of a bag of words, a new network, and the given one trained on, which stays as it is."""
    bag = learn(bag_of_words(sizes.vocabulary), to_learn, rate=0.01, epochs=3)
    fresh = learn(build(custom_layers, sizes, gradient="bptt"), to_learn, rate=3e-3, epochs=3)
    reader = build(custom_layers, sizes, gradient="bptt")
    reader.set_weights(custom.get_weights())
    learn(reader, to_learn, rate=1e-3, epochs=3)
    models = {"bag of words": bag, "sentences alone": fresh, "reviews, then sentences": reader}
    return {name: accuracy_of(model, to_test) for name, model in models.items()}
