"""How an encoder-decoder does at each length, and what of the loss reaches its encoder's states."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from custom_layers.debugging import record
from custom_layers.training import masked_loss
from tutorials.seq2seq.model import Translator, right, tokens_of
from tutorials.seq2seq.tasks import Examples


def learn(
    make: Callable[[], Translator],
    seeds: Sequence[int],
    train: Examples,
    tests: Mapping[int, Examples],
    **options: Any,
) -> tuple[Translator, np.ndarray]:
    """Train a network for each seed, and let it run free on sequences of each length.

    Args:
        tests: length -> examples, all of one shape.
        options: of `fit`.
    Returns: the network of the last seed; shares of sequences right as a whole, (seeds, lengths).
    """
    shares = []
    for seed in seeds:
        keras.utils.set_random_seed(seed)
        net = make()
        net.training.fit([train.x, train.y], train.y, shuffle=False, verbose=0, **options)
        sources = np.concatenate([test.x for test in tests.values()])
        steps = next(iter(tests.values())).y.shape[1]
        spoken = np.split(tokens_of(net.running_free(steps), sources), len(tests))
        each = zip(spoken, tests.values(), strict=True)
        shares.append([right(tokens, test.y).mean() for tokens, test in each])
    return net, np.array(shares)


def norms_by_state(net: Translator, example: Examples) -> np.ndarray:
    """|dL/dh_s| at each step of the encoder, all sequences together: (steps,)."""
    with record(net.training) as trace, tf.GradientTape() as tape:
        logits = net.training([example.x, example.y])
        loss = masked_loss(example.y, logits)
    return trace.read(tape, loss)["encoder/h"].gradient_norms().numpy()
