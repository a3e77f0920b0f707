"""Whether training ever waits for its data: the translators' pipelines beside what consumes them.

Real sentence pairs where CUSTOM_LAYERS_DATA says where they are, else the demo corpus.
"""

import itertools
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import custom_layers
from benchmarks.harness import Row, in_turns, ratio_of
from custom_layers.data import SentencePairs, load_sentence_pairs
from tutorials.nmt_with_attention import data as nmt_data
from tutorials.nmt_with_attention.model import build_translator
from tutorials.transformer import data as transformer_data
from tutorials.transformer.model import build_transformer
from tutorials.transformer.subwords import learn_subwords
from tutorials.translation.text import learn_vocabulary

RATE_TARGET = 0.05  # seconds of a batch by seconds of a step: twenty times as fast
VOCABULARY_TARGET = 10.0  # seconds
PAIRS = 100_000
BATCHES, STEPS = 200, 2  # of a turn


def rows(quick: bool) -> Iterator[Row]:
    """Both pipelines, then both kinds of vocabulary."""
    name = "spa-eng" if "CUSTOM_LAYERS_DATA" in os.environ else "demo"
    pairs = load_sentence_pairs(name)
    for tutorial, make in (("nmt_with_attention", nmt), ("transformer", transformer)):
        yield pipeline_row(f"{tutorial}, {name}", *make(pairs), 3 if quick else 15)
    sizes = {"words": 5000, "sub-words": 8000}
    for kind, learn in (("words", learn_vocabulary), ("sub-words", learn_subwords)):
        for language, texts in (("Spanish", pairs.source), ("English", pairs.target)):
            texts = list(itertools.islice(itertools.cycle(texts), PAIRS))
            yield vocabulary_row(f"{kind}, {language}", learn, texts, sizes[kind], quick)


def nmt(pairs: SentencePairs) -> tuple[Any, Any]:
    """The batches and the model of the tutorial with the recurrent translator."""
    preset = nmt_data.PRESETS["tutorial"]
    data = nmt_data.prepare(pairs, preset)
    rate = nmt_data.learning_rate_of(preset, preset.steps)
    vocabularies = data.context_vocabulary, data.target_vocabulary
    model = build_translator(
        custom_layers, *vocabularies, preset.units, "multi_head", learning_rate=rate
    )
    return data.train, model


def transformer(pairs: SentencePairs) -> tuple[Any, Any]:
    """The batches and the model of the Transformer's tutorial."""
    preset = transformer_data.PRESETS["tutorial"]
    data = transformer_data.prepare(pairs, preset)
    rate = transformer_data.learning_rate_of(preset)
    sizes = transformer_data.sizes_of(preset)
    vocabularies = data.context_vocabulary, data.target_vocabulary
    return data.train, build_transformer(custom_layers, *vocabularies, rate, **sizes)


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
    figures = {"pipeline": 1 / float(_median(batch)), "training": 1 / float(_median(step))}
    group = "Input pipelines, a batch's time by a training step's"
    return Row(group, name, "batches/s", figures, ("pipeline", "training"), ratio, RATE_TARGET)


def _median(values: Any) -> float:
    return sorted(values)[len(values) // 2]


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
    return Row(group, name, "s", {"seconds": _median(seconds)}, None, None, VOCABULARY_TARGET)
