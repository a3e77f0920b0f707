"""KerasHub's Transformer blocks and cached attention, in the settings in which ours could differ."""

import numpy as np

from tests.parity.harness import RELATIVE, Pair, normal, ragged_mask
from tests.parity.pairs_plain import FLOAT32, WIDE

BATCH, STEPS, WORDS, FEATURES = 3, 6, 5, 8
HEADS = 2
HUB = "keras_hub.layers"
x = normal(BATCH, STEPS, FEATURES)


def two(rng):
    """A decoder's sequence, and an encoding of other length and width."""
    return (
        rng.standard_normal((BATCH, STEPS, FEATURES)),
        rng.standard_normal((BATCH, WORDS, FEATURES + 2)),
    )


def lower_band(steps, keys, batch=BATCH):
    """Bool (batch, steps, keys), another for each sentence, at least one True in each row."""
    t, s = np.arange(steps)[:, None], np.arange(keys)[None]
    return np.stack([(np.abs(t - s) <= 1 + b) | (s == 0) for b in range(batch)])


def padded(rng):
    return {"padding_mask": ragged_mask(BATCH, STEPS)}


def both_masks(rng):
    return {"padding_mask": ragged_mask(BATCH, STEPS), "attention_mask": lower_band(STEPS, STEPS)}


def with_weights(rng):
    return {"return_attention_scores": True, **padded(rng)}


def trained(rng):
    return {"training": True}


def first_words(steps):
    """Bool (batch, steps), padding on the right: a row without any key is another matter on Torch."""
    return np.arange(steps) < np.array([[steps - 2], [steps - 1], [steps]])


def cross_masks(rng):
    return {
        "decoder_padding_mask": first_words(STEPS),
        "decoder_attention_mask": lower_band(STEPS, STEPS),
        "encoder_padding_mask": first_words(WORDS),
        "encoder_attention_mask": lower_band(STEPS, WORDS),
    }


def not_causal(rng):
    return {"use_causal_mask": False, "decoder_padding_mask": ragged_mask(BATCH, STEPS)}


def block(name, kind, inputs, keywords=lambda rng: {}, smooth=False, **config):
    """ReLU has a kink, so central differences are taken of the blocks with GELU."""
    return Pair(
        name,
        lambda layers: getattr(layers, kind)(11, HEADS, **config),
        inputs,
        keywords,
        tolerance=FLOAT32,
        smooth=smooth and WIDE,
        second_order=False,  # Keras's layer normalization has none that is right
        symbolic=keywords is not with_weights,
        # Without a seed, which KerasHub's blocks do not take, dropout on Torch draws from one generator.
        backends=("tensorflow", "jax") if keywords is trained else ("tensorflow", "jax", "torch"),
        peers=HUB,
    )


def encoder(name, keywords=lambda rng: {}, **options):
    return block(f"encoder-block{name}", "TransformerEncoder", x, keywords, **options)


def decoder(name, inputs, keywords=lambda rng: {}, **options):
    return block(f"decoder-block{name}", "TransformerDecoder", inputs, keywords, **options)


ENCODER = [
    encoder("", activation="gelu", smooth=True),
    encoder("-padded", padded, activation="gelu", normalize_first=True, smooth=True),
    encoder("-both-masks", both_masks, layer_norm_epsilon=1e-2),
    encoder("-weights", with_weights),
    encoder("-dropout", trained, dropout=0.3),
    encoder("-dropout-pre-norm", trained, dropout=0.3, normalize_first=True),
    encoder("-initializers", kernel_initializer="orthogonal", bias_initializer="random_normal"),
]

DECODER = [
    decoder("", x, activation="gelu", smooth=True),
    decoder("-pre-norm", x, normalize_first=True, layer_norm_epsilon=1e-2),
    decoder("-not-causal", x, not_causal),
    decoder("-cross", two, activation="gelu", smooth=True),
    decoder("-cross-masks", two, cross_masks, activation="gelu", smooth=True),
    decoder("-cross-pre-norm", two, cross_masks, normalize_first=True),
    decoder("-cross-dropout", two, trained, dropout=0.3),
    decoder("-cross-initializers", two, kernel_initializer="he_normal", bias_initializer="ones"),
]


def cache_of(rng, steps=STEPS, heads=HEADS, key_dim=4):
    return rng.standard_normal((BATCH, 2, steps, heads, key_dim))


def new_step(rng):
    """One new position, with what is known of the others."""
    step = rng.standard_normal((BATCH, 1, FEATURES))
    return step, step


def reads_only(rng):
    return {"cache": cache_of(rng), "return_attention_scores": True}


# Keras rounds 1 / sqrt(key_dim) to float32 on TensorFlow, also in float64: a power of four is exact.
def cached(name, inputs, keywords=lambda rng: {}, **config):
    return Pair(
        f"cached{name}",
        lambda layers: layers.CachedMultiHeadAttention(num_heads=HEADS, key_dim=4, **config),
        inputs,
        keywords,
        tolerance=RELATIVE,
        smooth=WIDE and not config,
        second_order=not config,
        symbolic=keywords is not reads_only,
        peers=HUB,
    )


CACHED = [
    cached("", two, lambda rng: {"attention_mask": lower_band(STEPS, WORDS)}),
    cached("-reads-only", new_step, reads_only),
    cached("-dropout", two, lambda rng: {"training": True}, dropout=0.4, seed=3),
    cached("-no-bias", new_step, reads_only, use_bias=False),
]

PAIRS = ENCODER + DECODER + CACHED
