"""One decoder, trained in several ways that differ in nothing but what it is fed with."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import numpy as np

from custom_layers.training import ScheduledSampling
from custom_layers.training.scheduled_sampling import Decay
from tutorials.seq2seq.model import Translator, right, tokens_of
from tutorials.seq2seq.tasks import PAD, Examples


class Measured(NamedTuple):
    """On examples that have not been learnt.

    forced: share of tokens right when the truth is fed in. free: likewise, fed with its own; the tokens
    up to and with the end of the truth are counted. whole: share of sequences right, running free.
    """

    forced: float
    free: float
    whole: float


class FreshStart:
    """A translator that can be trained again and again from the beginning, without being compiled anew.

    Args:
        translator: compiled, not trained; its decoder has a `probability`.
    """

    def __init__(self, translator: Translator) -> None:
        self.translator = translator
        optimizer = translator.training.optimizer
        optimizer.build(translator.training.trainable_variables)
        self._optimizer = [np.asarray(v) for v in optimizer.variables]

    def begin(self, weights: Any) -> None:
        """Put these weights in, and the optimizer back to its first step."""
        self.translator.training.set_weights(weights)
        variables = self.translator.training.optimizer.variables
        for variable, value in zip(variables, self._optimizer, strict=True):
            variable.assign(value)


def train_each_way(
    start: FreshStart,
    weights: Any,
    ways: Mapping[str, Decay],
    train: Examples,
    test: Examples,
    seed: int,
    **options: Any,
) -> dict[str, Measured]:
    """The same weights, examples and batches for each way of feeding.

    Args:
        weights: to begin with.
        ways: name -> training step to the probability of the true token.
        seed: of the order of the batches and of the draws.
        options: of `fit`.
    """
    model, decoder = start.translator.training, start.translator.decoder
    free = start.translator.running_free(test.y.shape[1])
    measured = {}
    for name, decay in ways.items():
        start.begin(weights)
        keras.utils.set_random_seed(seed)
        decoder.seed_generator.state.assign(keras.random.SeedGenerator(seed).state.value)
        callback = ScheduledSampling(decoder, decay)
        model.fit([train.x, train.y], train.y, verbose=0, callbacks=[callback], **options)
        forced, tokens = tokens_of(model, [test.x, test.y]), tokens_of(free, test.x)
        counts = test.y != PAD
        measured[name] = Measured(
            forced=float((forced == test.y)[counts].mean()),
            free=float((tokens == test.y)[counts].mean()),
            whole=float(right(tokens, test.y).mean()),
        )
    return measured
