r"""The networks of the page, each written once and built from a namespace of layers.

The encoder-decoder, without and with attention:

    h_s = GRU(E x_s, h_{s-1})                       (1) the encoder's states, s = 1 ... S
    g_t = GRU(E' f_t, g_{t-1}),  g_0 = h_S          (2) the decoder's; f_t is the token that is fed in
    l_t = W g_t + b                                 (3) logits, from the fixed vector alone
    c_t = sum_s a_ts h_s, a_t = softmax_s(w g_t.h_s)(4) attention
    l_t = W tanh(W_c [c_t ; g_t]) + b               (5) logits with attention

Source of (4) and (5): Luong et al. 2015, arXiv:1508.04025, section 3, with a trained scale w.
"""

from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

import custom_layers
from custom_layers.training import masked_accuracy, masked_loss
from tutorials.seq2seq.tasks import PAD, START

RATE = 1e-2  # of Adam


@keras.saving.register_keras_serializable(package="seq2seq")
class AttentiveReadout(keras.layers.Layer):
    """Equations (4) and (5).

    Args:
        layers: `keras.layers` or `custom_layers`.
        units: width of the hidden layer W_c.
        words: number of tokens.
    Call arguments:
        outputs: g, (batch, steps, units).
        encoder_sequence: h, (batch, encoder_steps, units).
        mask: bool (batch, encoder_steps), True = attend.
    Returns: logits (batch, steps, words).
    """

    def __init__(self, layers: Any, units: int, words: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.attention = layers.Attention(use_scale=True, name="attention")
        self.combine = layers.Dense(units, activation="tanh", use_bias=False, name="combine")
        self.to_words = layers.Dense(words, name="to_words")

    def call(self, outputs: Any, encoder_sequence: Any, mask: Any = None) -> Any:
        context = self.attention([outputs, encoder_sequence], mask=[None, mask])  # (4)
        return self.to_words(self.combine(ops.concatenate([context, outputs], axis=-1)))  # (5)


class Translator(NamedTuple):
    """An encoder and a decoder.

    training: model from [source, target] to logits, the decoder fed as it is in training.
    encoder: model from the source to the decoder's first state, and with attention to h as well.
    decoder: the RNNDecoder.
    """

    training: keras.Model
    encoder: keras.Model
    decoder: Any

    def running_free(self, steps: int) -> keras.Model:
        """A model from the source to the logits of so many tokens, fed with its own."""
        source = self.encoder.input
        state, *memory = self.encoder.outputs
        options = {"encoder_sequence": memory[0]} if memory else {}
        return keras.Model(source, self.decoder(initial_state=[state], steps=steps, **options))


def translator(
    layers: Any,
    source_words: int,
    target_words: int,
    units: int,
    attention: bool,
    learning_rate: Any = RATE,
    features: int = 16,
    **feeding: Any,
) -> Translator:
    """The encoder-decoder, compiled.

    Args:
        layers: `keras.layers` or `custom_layers`.
        source_words, target_words: numbers of tokens.
        units: width of all states.
        attention: whether equations (4) and (5), or (3).
        learning_rate: of Adam; a number or a schedule.
        features: width of the embeddings.
        feeding: how the decoder is fed in training, arguments of `RNNDecoder`.
    """
    source = keras.Input((None,), dtype="int32", name="source")
    target = keras.Input((None,), dtype="int32", name="target")
    embedded = layers.Embedding(source_words, features, mask_zero=True, name="source_vectors")(
        source
    )
    encode = layers.GRU(units, return_sequences=True, return_state=True, name="encoder")
    h, last = encode(embedded)  # (1)
    readout: Any = layers.Dense(target_words, name="to_words")  # (3)
    if attention:
        readout = AttentiveReadout(layers, units, target_words, name="readout")  # (4), (5)
    decoder = custom_layers.RNNDecoder(
        layers.Embedding(target_words, features, name="target_vectors"),
        layers.GRU(units, return_sequences=True, name="decoder_gru"),
        readout,
        start_token=START,
        name="decoder",
        **feeding,
    )
    memory = {"encoder_sequence": h} if attention else {}
    logits = decoder(target, initial_state=[last], **memory)  # (2)
    training = keras.Model([source, target], logits)
    compile_for_tokens(training, learning_rate)
    return Translator(training, keras.Model(source, [last, h] if attention else [last]), decoder)


def speller(layers: Any, words: int, units: int = 48) -> Translator:
    """One to many: three digits, one-hot in one vector (30,), to a number's words."""
    number = keras.Input((30,), name="number")
    target = keras.Input((None,), dtype="int32", name="target")
    state = layers.Dense(units, activation="tanh", name="to_state")(number)
    decoder = custom_layers.RNNDecoder(
        layers.Embedding(words, 8, name="words"),
        layers.GRU(units, return_sequences=True, name="decoder_gru"),
        layers.Dense(words, name="to_words"),
        start_token=START,
        name="decoder",
    )
    training = keras.Model([number, target], decoder(target, initial_state=[state]))
    compile_for_tokens(training)
    return Translator(training, keras.Model(number, [state]), decoder)


def adder(layers: Any, units: int = 32) -> keras.Model:
    """Many to one: digits (batch, steps) to their sum in tens (batch, 1)."""
    digits = keras.Input((None,), dtype="int32", name="digits")
    h = layers.GRU(units, name="gru")(layers.Embedding(10, 8, name="vectors")(digits))
    model = keras.Model(digits, layers.Dense(1, name="sum")(h))
    model.compile(keras.optimizers.Adam(RATE), "mse", jit_compile=False)
    return model


def tagger(layers: Any, units: int = 32) -> keras.Model:
    """Many to many, aligned: digits (batch, steps) to logits of the largest so far (.., 10)."""
    digits = keras.Input((None,), dtype="int32", name="digits")
    vectors = layers.Embedding(10, 8, name="vectors")(digits)
    h = layers.GRU(units, return_sequences=True, name="gru")(vectors)
    model = keras.Model(digits, layers.Dense(10, name="largest")(h))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(RATE), loss, jit_compile=False)
    return model


def compile_for_tokens(model: keras.Model, learning_rate: Any = RATE) -> None:
    """Cross entropy and accuracy of the tokens that are no padding."""
    optimizer = keras.optimizers.Adam(learning_rate, clipnorm=1.0)
    model.compile(optimizer, masked_loss, metrics=[masked_accuracy], jit_compile=False)


def answers(model: Any, x: Any) -> np.ndarray:
    """What a model says in use, all at once; so small a network need not be compiled for it."""
    return np.asarray(ops.convert_to_numpy(model(x, training=False)))


def tokens_of(model: Any, x: Any) -> np.ndarray:
    """The most probable tokens (batch, steps)."""
    return answers(model, x).argmax(axis=-1)


def right(tokens: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Which sequences (batch,) are right as a whole: every token up to and with the end."""
    return np.all((tokens[:, : target.shape[1]] == target) | (target == PAD), axis=1)
