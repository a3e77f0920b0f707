"""How long a translator trains to the held-out loss that the official settings reach.

The official way: Keras's layers, sentences tokenised anew in every epoch, random batches, the loss
computed once more as a metric, as in TensorFlow's tutorials. Our way is the same model with the same
parameters, optimizer and number of sentences in a batch; what each change brings to a step is a row:

    tokenised once     token numbers before training instead of strings in every epoch
    loss once          no second cross entropy among the metrics
    bucketed           sentences of like length in a batch, so that little of it is padding
    custom layers      `custom_layers` for `keras.layers`

Then the official way trains for its steps, ours until its held-out loss is as low; the time of the
evaluations is not counted, that of tracing is.
"""

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import custom_layers
from benchmarks.harness import Ratio, Row, in_turns, ratio_of
from benchmarks.translators import TRANSLATORS, Translator, corpus_name
from custom_layers.data import load_sentence_pairs
from custom_layers.training import masked_accuracy, masked_loss
from tutorials.translation.batches import TranslationData, teacher_forcing

STEPS_OF_A_TURN, TURNS, LOOK_EVERY = 8, 12, 100
TARGET = 0.4
WAYS = ("official", "tokenised once", "loss once", "bucketed", "custom layers")


def rows(quick: bool) -> Iterator[Row]:
    """What each change brings, then the time to the loss; real pairs where there are any."""
    for name in TRANSLATORS:
        yield from rows_of(name, quick)


def rows_of(name: str, quick: bool) -> list[Row]:
    """The rows of one tutorial."""
    tutorial = TRANSLATORS[name]
    corpus = "demo" if quick else corpus_name()
    preset = tutorial.data.PRESETS["quick" if quick else "tutorial"]
    pairs = load_sentence_pairs(corpus)
    plain, bucketed = (tutorial.data.prepare(pairs, preset, bucketed=way) for way in (False, True))
    streams = {
        "official": official_batches(tutorial, plain, preset.batch_size),
        "tokenised once": plain.train,
        "loss once": plain.train,
        "bucketed": bucketed.train,
        "custom layers": bucketed.train,
    }

    def model_of(way: str) -> Any:
        keras.utils.set_random_seed(0)
        layers = custom_layers if way == "custom layers" else keras.layers
        model = tutorial.build(layers, plain, preset)
        if way in WAYS[:2]:
            metrics = [masked_accuracy, masked_loss]
            model.compile(model.optimizer, masked_loss, metrics=metrics, jit_compile=False)
        return model

    group = f"{name} tutorial, {corpus}"
    turns = {way: turn_of(model_of(way), iter(streams[way])) for way in WAYS}
    seconds = in_turns(turns, 3 if quick else TURNS, warm_up=2 if quick else 10)
    figures = {way: 1e3 * float(values.mean()) / STEPS_OF_A_TURN for way, values in seconds.items()}
    found = [
        Row(f"{group}, a step", way, "ms", {k: figures[k] for k in (way, "official")},
            (way, "official"), ratio_of(seconds[way], seconds["official"]), None)
        for way in WAYS[1:]
    ]  # fmt: skip
    del turns  # the models of the turns, and their memory
    steps = 40 if quick else tutorial.steps
    wanted, official = time_to(model_of("official"), streams["official"], plain.held_out, steps)
    reached, ours = time_to(
        model_of("custom layers"), streams["custom layers"], plain.held_out, 2 * steps, wanted
    )
    ratio = Ratio(*[ours / official] * 3)
    told = f"to a held-out loss of {wanted:.3f}"
    if reached > wanted:
        told += f" (ours ended at {reached:.3f}, after {2 * steps} steps)"
    figures = {"ours": ours, "official": official}
    return [
        *found,
        Row(f"{group}, wall time", told, "s", figures, ("ours", "official"), ratio, TARGET),
    ]


def official_batches(tutorial: Translator, data: TranslationData, batch_size: int) -> Any:
    """As in TensorFlow's tutorials: strings, shuffled, batched, then turned into tokens."""
    context_of = tutorial.tokens_of(data.context_vocabulary)
    target_of = tutorial.tokens_of(data.target_vocabulary)
    pairs = data.train_pairs
    strings = tf.data.Dataset.from_tensor_slices((list(pairs.source), list(pairs.target)))
    batches = strings.shuffle(len(pairs.source), seed=0).repeat().batch(batch_size, True)
    return batches.map(
        lambda source, target: teacher_forcing(context_of(source), target_of(target)),
        num_parallel_calls=tf.data.AUTOTUNE,
    )


def turn_of(model: Any, batches: Iterator[Any]) -> Callable[[], None]:
    """A few training steps, their batches included."""
    model.make_train_function()

    def turn() -> None:
        for _ in range(STEPS_OF_A_TURN):
            logs = model.train_function(batches)
        np.asarray(logs["loss"])

    return turn


def time_to(
    model: Any, batches: Any, held_out: Any, steps: int, loss: float = -np.inf
) -> tuple[float, float]:
    """Train until the held-out loss is `loss` or lower, or for `steps`: that loss, and the seconds."""
    model.make_train_function()
    iterator, seconds, reached = iter(batches), 0.0, np.inf
    for count in itertools.count(LOOK_EVERY, LOOK_EVERY):
        begun = time.perf_counter()
        for _ in range(LOOK_EVERY):
            logs = model.train_function(iterator)
        np.asarray(logs["loss"])
        seconds += time.perf_counter() - begun
        if np.isfinite(loss) or count >= steps:
            reached = held_out_loss(model, held_out)
        if reached <= loss or count >= steps:
            return reached, seconds
    raise AssertionError("not reached")


def held_out_loss(model: Any, batches: Any) -> float:
    """Nats per token over all held-out tokens."""
    total = tokens = 0.0
    for inputs, labels in batches:
        count = float(tf.math.count_nonzero(labels))
        total += count * float(graph_loss(model)(inputs, labels))
        tokens += count
    return total / tokens


def graph_loss(model: Any) -> Any:
    """One graph a model."""
    if "graph_loss" not in model.__dict__:
        model.__dict__["graph_loss"] = tf.function(
            lambda inputs, labels: masked_loss(labels, model(inputs, training=False)),
            reduce_retracing=True,
        )
    return model.__dict__["graph_loss"]
