"""Layers without a loop: forward pass and training step, ours by Keras's, from the same weights.

At the sizes of the tutorials: batches of 64 sentences, 20 steps, a vocabulary of 5,000. The last rows
are of two equal layers of Keras's: how far from 1 a ratio is that should be 1.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import keras
import keras_hub
import numpy as np

import custom_layers
from benchmarks.harness import Row, timed_row
from benchmarks.training_step import WAYS, seconds_in_turns, twins

TARGET = 1.03
BATCH, STEPS, CONTEXT_STEPS, VOCABULARY, HEADS = 64, 20, 18, 5000, 8
Arrays = Mapping[str, Any]


def numbers(features: int, steps: int = STEPS, seed: int = 0) -> np.ndarray:
    """(batch, steps, features)."""
    shape = (BATCH, steps, features)
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def kept(steps: int = CONTEXT_STEPS) -> np.ndarray:
    """A mask (batch, steps): the sentences have 5 words or more."""
    lengths = np.random.default_rng(1).integers(5, steps + 1, (BATCH, 1))
    return np.arange(steps) < lengths


def one(features: int) -> Arrays:
    """What most layers are called with."""
    return {"inputs": numbers(features)}


def ids(features: int) -> Arrays:
    """Numbers of words."""
    shape = (BATCH, STEPS)
    return {"inputs": np.random.default_rng(2).integers(0, VOCABULARY, shape).astype("int32")}


def listed(features: int) -> Arrays:
    """Query and value in a list, and the value's mask."""
    return {
        "inputs": [numbers(features), numbers(features, CONTEXT_STEPS, 4)],
        "mask": [np.ones((BATCH, STEPS), bool), kept()],
    }


def cross(features: int) -> Arrays:
    """A translation's words ask a sentence's words."""
    return {"query": numbers(features), "value": numbers(features, CONTEXT_STEPS, 4)}


def cross_masked(features: int) -> Arrays:
    """Some of these are padding."""
    return {**cross(features), "value_mask": kept()}


def itself(features: int) -> Arrays:
    """A sentence asks itself."""
    return {"query": numbers(features), "value": numbers(features)}


def padded(features: int) -> Arrays:
    """A sentence with padding."""
    return {"inputs": numbers(features), "padding_mask": kept(STEPS)}


def decoded(features: int) -> Arrays:
    """A translation and the encoded sentence, both with padding."""
    return {
        "decoder_sequence": numbers(features),
        "encoder_sequence": numbers(features, CONTEXT_STEPS, 4),
        "decoder_padding_mask": kept(STEPS),
        "encoder_padding_mask": kept(),
    }


class Case(NamedTuple):
    """One layer: how it is made of a namespace and a number of features, and called."""

    name: str
    make: Callable[[Any, int], Any]
    inputs: Callable[[int], Arrays] = one
    options: Mapping[str, Any] = {}
    features: tuple[int, int] = (128, 512)
    peers: Any = keras.layers


def multi_head(layers: Any, features: int) -> Any:
    """Heads that together have the features."""
    return layers.MultiHeadAttention(HEADS, features // HEADS)


def grouped(layers: Any, features: int) -> Any:
    """Two query heads for each key."""
    return layers.GroupQueryAttention(features // HEADS, HEADS, HEADS // 2)


TRAINED, CAUSAL = {"training": True}, {"use_causal_mask": True}
HUB = {"features": (128, 256), "peers": keras_hub.layers}
CASES = (
    Case("Dense", lambda layers, n: layers.Dense(n)),
    Case("Dense, ReLU", lambda layers, n: layers.Dense(n, activation="relu")),
    Case("Dense, to the vocabulary", lambda layers, n: layers.Dense(VOCABULARY)),
    Case("Embedding", lambda layers, n: layers.Embedding(VOCABULARY, n, mask_zero=True), ids),
    Case("LayerNormalization", lambda layers, n: layers.LayerNormalization()),
    Case("RMSNormalization", lambda layers, n: layers.RMSNormalization()),
    Case("BatchNormalization", lambda layers, n: layers.BatchNormalization(), one, TRAINED),
    Case("GroupNormalization", lambda layers, n: layers.GroupNormalization(8)),
    Case("Dropout", lambda layers, n: layers.Dropout(0.1, seed=1), one, TRAINED),
    Case(
        "EinsumDense", lambda layers, n: layers.EinsumDense("abc,cd->abd", (None, n), bias_axes="d")
    ),
    Case("Attention", lambda layers, n: layers.Attention(use_scale=True), listed),
    Case("AdditiveAttention", lambda layers, n: layers.AdditiveAttention(), listed),
    Case("MultiHeadAttention", multi_head, cross),
    Case("MultiHeadAttention, mask", multi_head, cross_masked),
    Case("MultiHeadAttention, causal", multi_head, itself, CAUSAL),
    Case("GroupQueryAttention", grouped, cross),
    Case("GroupQueryAttention, causal", grouped, itself, CAUSAL),
    Case("TransformerEncoder", lambda l, n: l.TransformerEncoder(4 * n, HEADS), padded, **HUB),
    Case("TransformerDecoder", lambda l, n: l.TransformerDecoder(4 * n, HEADS), decoded, **HUB),
)
AGAINST_ITSELF = ("Dense", "LayerNormalization", "MultiHeadAttention", "TransformerEncoder")


def rows(quick: bool) -> Iterator[Row]:
    """Two sizes of every layer, training step and forward alone; then Keras against itself."""
    for case in CASES:
        for features in case.features:
            yield from rows_of(case, features, quick, {"ours": custom_layers, "Keras": case.peers})
    for case in CASES:
        if case.name in AGAINST_ITSELF:
            same = {"Keras again": case.peers, "Keras": case.peers}
            yield from rows_of(case, case.features[0], quick, same)


def rows_of(
    case: Case, features: int, quick: bool, namespaces: Mapping[str, Any], target: float = TARGET
) -> Iterator[Row]:
    """The training step and the forward pass of one layer at one size."""
    found = twins(
        lambda layers: case.make(layers, features),
        namespaces,
        case.inputs(features),
        **case.options,
    )
    ours, theirs = namespaces
    group = case.name if ours == WAYS[0] else f"Keras against itself, {case.name}"
    budget, rounds = (0.2, 5) if quick else (5.0, 41)
    for kind in ("step", "forward"):
        ways = {way: getattr(graphs, kind) for way, graphs in found.items()}
        seconds = seconds_in_turns(ways, budget, rounds)
        told = {"step": "training step", "forward": "forward"}[kind]
        size = "x".join(map(str, np.shape(keras.tree.flatten(dict(case.inputs(features)))[0])))
        wanted = target if ours == WAYS[0] else None
        yield timed_row(group, f"{told}, {size}", seconds, [ours], [theirs], wanted)
