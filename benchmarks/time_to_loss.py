"""How long a translator trains to the held-out loss that the official settings reach.

The official way: Keras's layers, sentences tokenised anew in every epoch, random batches, the loss
computed once more as a metric, as in TensorFlow's tutorials. Our way is the same model with the same
parameters and as many words in a batch on average; what each change brings to a step is a row, which
has all changes above it:

    tokenised once     token numbers before training instead of strings in every epoch
    loss once          no second cross entropy among the metrics, and our accuracy
    equal words        batches of sentences of like length, as many words in each
    custom layers      `custom_layers` for `keras.layers`
    bptt               back-propagation through time written by hand, `gradient="bptt"`

Then the official way trains for its steps, ours until its held-out loss is as low; the time of the
evaluations is not counted, that of tracing is.
"""

import itertools
import time
from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple

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


class Way(NamedTuple):
    """How a translator is trained: batches, where its layers come from, metrics."""

    batches: str
    layers: Any = keras.layers
    metrics: Any = (masked_accuracy,)


def official_accuracy(labels: Any, logits: Any) -> Any:
    """As in TensorFlow's tutorials: the share of the words that are guessed."""
    hits = tf.cast(tf.equal(tf.argmax(logits, axis=-1), tf.cast(labels, tf.int64)), tf.float32)
    words = tf.cast(tf.not_equal(labels, 0), tf.float32)
    return tf.reduce_sum(hits * words) / tf.reduce_sum(words)


BPTT = SimpleNamespace(
    **{name: getattr(custom_layers, name) for name in custom_layers.__all__},
    __name__="custom_layers",
)
BPTT.GRU = partial(custom_layers.GRU, gradient="bptt")
OFFICIAL_METRICS = official_accuracy, masked_loss
WAYS = {
    "official": Way("strings", metrics=OFFICIAL_METRICS),
    "tokenised once": Way("random", metrics=OFFICIAL_METRICS),
    "loss once": Way("random"),
    "equal words": Way("equal-words"),
    "custom layers": Way("equal-words", custom_layers),
    "bptt": Way("equal-words", BPTT),
}


def rows(quick: bool) -> Iterator[Row]:
    """What each change brings, then the time to the loss; real pairs where there are any."""
    for name in TRANSLATORS:
        yield from rows_of(name, quick)


def rows_of(name: str, quick: bool) -> Iterator[Row]:
    """The rows of one tutorial."""
    tutorial = TRANSLATORS[name]
    corpus = "demo" if quick else corpus_name()
    preset = tutorial.data.PRESETS["quick" if quick else "tutorial"]
    pairs = load_sentence_pairs(corpus)
    data = {
        batches: tutorial.data.prepare(pairs, preset, batches=batches)
        for batches in ("random", "equal-words")
    }
    plain = data["random"]
    streams = {batches: found.train for batches, found in data.items()}
    streams["strings"] = official_batches(tutorial, plain, preset.batch_size)

    def model_of(way: Way) -> Any:
        keras.utils.set_random_seed(0)
        model = tutorial.build(way.layers, plain, preset)
        model.compile(model.optimizer, masked_loss, metrics=list(way.metrics), jit_compile=False)
        return model

    group = f"{name} tutorial, {corpus}"
    ways = {told: way for told, way in WAYS.items() if tutorial.recurrent or told != "bptt"}
    turns = {told: turn_of(model_of(way), iter(streams[way.batches])) for told, way in ways.items()}
    seconds = in_turns(turns, 3 if quick else TURNS, warm_up=2 if quick else 10)
    figures = {way: 1e3 * float(values.mean()) / STEPS_OF_A_TURN for way, values in seconds.items()}
    for way in list(ways)[1:]:
        compared, told = (way, "official"), {key: figures[key] for key in (way, "official")}
        ratio = ratio_of(seconds[way], seconds["official"])
        yield Row(f"{group}, a step", way, "ms", told, compared, ratio, None)
    del turns  # the models of the turns, and their memory

    steps = 40 if quick else tutorial.steps
    (_, official), *_, (_, ours) = ways.items()
    wanted, _, theirs = time_to(
        model_of(official), streams[official.batches], plain.held_out, steps
    )
    reached, taken, mine = time_to(
        model_of(ours), streams[ours.batches], plain.held_out, 2 * steps, wanted
    )
    told = f"to a held-out loss of {wanted:.3f}, {taken:,} steps by {steps:,}"
    if reached > wanted:
        told += f" (ours ended at {reached:.3f})"
    pair = {"ours": mine, "official": theirs}
    ratio = Ratio(*[mine / theirs] * 3)
    yield Row(f"{group}, wall time", told, "s", pair, tuple(pair), ratio, TARGET)


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
) -> tuple[float, int, float]:
    """Train until the held-out loss is `loss` or lower, or for `steps`: that loss, steps and seconds."""
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
            return reached, count, seconds
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
