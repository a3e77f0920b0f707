"""Whether training ever waits for its data: the translators' pipelines beside what consumes them."""

import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import custom_layers
from benchmarks.harness import Row, in_turns, ratio_of
from benchmarks.translators import TRANSLATORS, corpus_name
from custom_layers.data import load_sentence_pairs
from tutorials.transformer.subwords import learn_subwords
from tutorials.translation.text import learn_vocabulary

RATE_TARGET = 0.05  # seconds of a batch by seconds of a step: twenty times as fast
VOCABULARY_TARGET = 10.0  # seconds
PAIRS = 100_000
BATCHES, STEPS = 200, 2  # of a turn


def rows(quick: bool) -> Iterator[Row]:
    """Both pipelines, then both kinds of vocabulary."""
    corpus = corpus_name()
    pairs = load_sentence_pairs(corpus)
    for name, tutorial in TRANSLATORS.items():
        preset = tutorial.data.PRESETS["tutorial"]
        data = tutorial.data.prepare(pairs, preset)
        model = tutorial.build(custom_layers, data, preset)
        yield pipeline_row(f"{name} tutorial, {corpus}", data.train, model, 3 if quick else 15)
    sizes = {"words": 5000, "sub-words": 8000}
    for kind, learn in (("words", learn_vocabulary), ("sub-words", learn_subwords)):
        for language, texts in (("Spanish", pairs.source), ("English", pairs.target)):
            texts = list(itertools.islice(itertools.cycle(texts), PAIRS))
            yield vocabulary_row(f"{kind}, {language}", learn, texts, sizes[kind], quick)


def pipeline_row(name: str, batches: Any, model: Any, rounds: int) -> Row:
    """Seconds of a batch by seconds of a training step, over the same kind of batches."""
    stream = iter(batches)
    kept = itertools.cycle(list(itertools.islice(stream, 2 * STEPS)))

    def draw() -> None:
        for _ in range(BATCHES):
            next(stream)

    def train() -> None:
        for _ in range(STEPS):
            model.train_on_batch(*next(kept))

    seconds = in_turns({"pipeline": draw, "training": train}, rounds)
    batch, step = seconds["pipeline"] / BATCHES, seconds["training"] / STEPS
    ratio = ratio_of(batch, step)
    figures = {"pipeline": 1 / statistics.median(batch), "training": 1 / statistics.median(step)}
    group = "Input pipelines, a batch's time by a training step's"
    return Row(group, name, "batches/s", figures, ("pipeline", "training"), ratio, RATE_TARGET)


def vocabulary_row(
    name: str, learn: Callable[..., Any], texts: list[str], size: int, quick: bool
) -> Row:
    """Seconds until the vocabulary is learned."""
    seconds = []
    for _ in range(1 if quick else 3):
        begun = time.perf_counter()
        learn(texts, size)
        seconds.append(time.perf_counter() - begun)
    group = f"Vocabulary of {PAIRS:,} sentences"
    return Row(
        group, name, "s", {"seconds": statistics.median(seconds)}, None, None, VOCABULARY_TARGET
    )
