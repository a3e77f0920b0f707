r"""The model, written once: it is built from Keras's layers or from ours.

    e_t = E[x_t]                             a row of the table for each character
    h_t = GRU(e_t, h_{t-1})                  or an LSTM, or several, one above the other
    p(x_{t+1} | x_1 ... x_t) = softmax(h_t W + b)

Built with `stateful=True`, it keeps h from one window of a stream to the next.
"""

from typing import Any, NamedTuple

import keras

RECURRENT = "recurrent"  # the layers' names: recurrent_1, recurrent_2, ...


class Sizes(NamedTuple):
    """Widths of the table's rows and of a state, and the number of recurrent layers."""

    embedding: int = 64
    units: int = 256
    layers: int = 1


class Dropouts(NamedTuple):
    """Two ways to drop out; each a probability in [0, 1).

    fresh: of what goes into each recurrent layer and out of the last, other units at every step, and
        never on the way from one step to the next. Zaremba et al. 2014, arXiv:1409.2329, equation 6.
    kept: of the same places, but the same units at every step of a window. kept_state: of h_{t-1}
        likewise, on the recurrent way. Gal and Ghahramani 2016, arXiv:1512.05287, section 4; they draw
        one mask for all gates, `recurrent_dropout` one for each, as Keras does.
    """

    fresh: float = 0.0
    kept: float = 0.0
    kept_state: float = 0.0


NO_DROPOUT = Dropouts()


def build(
    layers: Any,
    vocabulary_size: int,
    sizes: Sizes,
    batch: int,
    *,
    kind: str = "GRU",
    dropouts: Dropouts = NO_DROPOUT,
    **recurrent: Any,
) -> keras.Model:
    """A model from numbers of characters, int32 (batch, steps), to logits (batch, steps, vocabulary).

    Args:
        layers: `keras.layers` or `custom_layers`.
        batch: number of streams; a layer that keeps states knows it for good. The steps may vary.
        kind: "GRU" or "LSTM".
        recurrent: what the recurrent layers take besides: `gradient="bptt"` (ours alone), or
            `stateful=False` for a model that forgets after each window.
    """
    options = {"return_sequences": True, "stateful": True, **recurrent}
    options |= {"dropout": dropouts.kept, "recurrent_dropout": dropouts.kept_state}
    characters = layers.Input(batch_shape=(batch, None), dtype="int32", name="characters")
    x = layers.Embedding(vocabulary_size, sizes.embedding, name="embedding")(characters)
    for number in range(1, sizes.layers + 1):
        if dropouts.fresh:
            x = layers.Dropout(dropouts.fresh)(x)
        x = getattr(layers, kind)(sizes.units, name=f"{RECURRENT}_{number}", **options)(x)
    if dropouts.fresh:
        x = layers.Dropout(dropouts.fresh)(x)
    if dropouts.kept:
        x = layers.Dropout(dropouts.kept, noise_shape=(None, 1, None))(x)  # one draw for all steps
    logits = layers.Dense(vocabulary_size, name="logits")(x)
    return keras.Model(characters, logits, name="language_model")


def recurrent_layers(model: keras.Model) -> list[Any]:
    """The recurrent layers, the lowest first."""
    return [layer for layer in model.layers if layer.name.startswith(RECURRENT)]
