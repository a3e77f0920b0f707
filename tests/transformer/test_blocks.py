"""Transformer blocks: what no peer shows, decoding with caches, and bad input."""

import keras
import keras_hub
import numpy as np
import pytest
from keras import ops

import custom_layers
from custom_layers import (
    CachedMultiHeadAttention,
    FeedForward,
    MultiHeadAttention,
    TransformerDecoder,
    TransformerEncoder,
)
from tests.parity.harness import precision, ragged_mask

BATCH, STEPS, WORDS, FEATURES, HEADS = 3, 7, 5, 8, 2
CLOSE = {"rtol": 0, "atol": 2e-6}


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def numpy_of(tensors):
    return keras.tree.map_structure(ops.convert_to_numpy, tensors)


def randomized(layer, *args, **kwargs):
    """The layer, built by a call, with random weights."""
    layer(*args, **kwargs)
    rng = np.random.default_rng(5)
    for weight in layer.weights:
        if keras.backend.is_float_dtype(weight.dtype):
            weight.assign(0.5 * rng.standard_normal(weight.shape))
    return layer


def caches(words=WORDS):
    shape = (BATCH, 2, STEPS, HEADS, FEATURES // HEADS)
    return np.zeros(shape, "float32"), np.zeros((*shape[:2], words, *shape[3:]), "float32")


# -- equations --------------------------------------------------------------------------------------


def test_encoder_is_the_papers_equations_by_hand():
    with precision("float64"):
        x, mask = draw(BATCH, STEPS, FEATURES).astype("float64"), ragged_mask(BATCH, STEPS)
        layer = randomized(TransformerEncoder(11, HEADS), x)
        w = {v.path.split("/", 1)[1]: ops.convert_to_numpy(v) for v in layer.weights}

        def norm(a, name):
            centred = a - a.mean(-1, keepdims=True)
            scaled = centred / np.sqrt(centred.var(-1, keepdims=True) + 1e-5)
            return w[f"{name}/gamma"] * scaled + w[f"{name}/beta"]

        def heads(name):
            path = f"self_attention_layer/{name}"
            return np.einsum("btf,fhd->bhtd", x, w[f"{path}/kernel"]) + w[f"{path}/bias"][:, None]

        q, k, v = heads("query"), heads("key"), heads("value")
        scores = q @ k.swapaxes(-1, -2) / np.sqrt(FEATURES // HEADS)
        weights = np.exp(scores) * mask[:, None, None]
        weights /= weights.sum(-1, keepdims=True)
        path = "self_attention_layer/attention_output"
        attended = np.einsum("bhtd,hdo->bto", weights @ v, w[f"{path}/kernel"]) + w[f"{path}/bias"]
        a = norm(x + attended, "self_attention_layer_norm")
        inside = a @ w["feedforward_intermediate_dense/kernel"]
        inside = np.maximum(inside + w["feedforward_intermediate_dense/bias"], 0)
        outside = inside @ w["feedforward_output_dense/kernel"] + w["feedforward_output_dense/bias"]
        wanted = norm(a + outside, "feedforward_layer_norm")
        got, got_weights = numpy_of(layer(x, padding_mask=mask, return_attention_scores=True))
        np.testing.assert_allclose(got, wanted, atol=1e-12)
        np.testing.assert_allclose(got_weights, weights, atol=1e-12)


@pytest.mark.parametrize("gated", [False, True])
def test_feed_forward_by_hand(gated):
    with precision("float64"):
        x = draw(BATCH, STEPS, FEATURES).astype("float64")
        layer = randomized(FeedForward(11, activation="silu", gated=gated), x)
        w = {v.path.split("/", 1)[1]: ops.convert_to_numpy(v) for v in layer.weights}

        def affine(x, name):
            return x @ w[f"{name}/kernel"] + w[f"{name}/bias"]

        def silu(x):
            return x / (1 + np.exp(-x))

        inside = affine(x, "intermediate_dense")
        inside = silu(affine(x, "gate_dense")) * inside if gated else silu(inside)
        wanted = affine(inside, "output_dense")
        np.testing.assert_allclose(ops.convert_to_numpy(layer(x)), wanted, atol=1e-12)
        config = layer.get_config()
        assert FeedForward.from_config(config).get_config() == config


def test_feed_forward_drops_in_training_alone():
    layer, x = FeedForward(11, dropout=0.5, seed=1, bias_initializer="ones"), draw(4, 9, FEATURES)
    assert (numpy_of(layer(x)) != 0).all()
    assert 0.3 < (numpy_of(layer(x, training=True)) == 0).mean() < 0.7


# -- causality and caches ---------------------------------------------------------------------------


def test_a_later_step_moves_no_earlier_one():
    x = draw(BATCH, STEPS, FEATURES)
    layer = randomized(TransformerDecoder(11, HEADS), x)
    before = numpy_of(layer(x))
    x[:, 4] += 1
    after = numpy_of(layer(x))
    np.testing.assert_array_equal(after[:, :4], before[:, :4])
    assert np.abs(after[:, 4:] - before[:, 4:]).max(axis=(0, 2)).min() > 1e-3
    free = numpy_of(layer(x, use_causal_mask=False))
    assert np.abs(free[:, :4] - before[:, :4]).max() > 1e-3


@pytest.mark.parametrize("normalize_first", [False, True])
def test_decoding_step_by_step_equals_the_whole_sequence(normalize_first):
    """With a cache that is filled one position at a time, the first three at once."""
    x, context = draw(BATCH, STEPS, FEATURES), draw(BATCH, WORDS, FEATURES + 2, seed=1)
    mask = ragged_mask(BATCH, WORDS)
    layer = randomized(TransformerDecoder(11, HEADS, normalize_first=normalize_first), x, context)
    whole = numpy_of(layer(x, context, encoder_padding_mask=mask))
    own, cross = caches()
    pieces, first = [], 0
    for new in (3, *[1] * (STEPS - 3)):
        y, own, cross = layer(
            x[:, first : first + new],
            context,
            encoder_padding_mask=mask,
            self_attention_cache=own,
            self_attention_cache_update_index=first,
            cross_attention_cache=cross,
            cross_attention_cache_update_index=0 if first == 0 else None,
        )
        pieces.append(numpy_of(y))
        first += new
    np.testing.assert_allclose(np.concatenate(pieces, axis=1), whole, **CLOSE)


def test_caches_are_kerashubs():
    """One step from a random cache: output, weights and both caches."""
    new, context = draw(BATCH, 1, FEATURES), draw(BATCH, WORDS, FEATURES, seed=1)
    own, cross = (cache + draw(*cache.shape, seed=2) for cache in caches())
    layers = [
        randomized(space.TransformerDecoder(11, HEADS), new, context)
        for space in (custom_layers, keras_hub.layers)
    ]
    for index in (None, 0):
        got, wanted = (
            numpy_of(
                layer(
                    new,
                    context,
                    self_attention_cache=own,
                    self_attention_cache_update_index=4,
                    cross_attention_cache=cross,
                    cross_attention_cache_update_index=index,
                )
            )
            for layer in layers
        )
        assert len(got) == len(wanted) == 3
        for mine, theirs in zip(got, wanted, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-5)
    attentions = [
        randomized(space.CachedMultiHeadAttention(HEADS, FEATURES // HEADS), new, new)
        for space in (custom_layers, keras_hub.layers)
    ]
    mask = np.arange(STEPS)[None, None] <= 3
    got, wanted = (
        numpy_of(
            layer(
                new,
                new,
                attention_mask=mask,
                cache=own,
                cache_update_index=3,
                return_attention_scores=True,
            )
        )
        for layer in attentions
    )
    for mine, theirs in zip(got, wanted, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-5)
    assert (got[1][..., 4:] == 0).all()
    np.testing.assert_allclose(got[1].sum(-1), 1, rtol=1e-5)


def test_without_a_cache_it_is_plain_attention():
    x = draw(BATCH, STEPS, FEATURES)
    cached = randomized(CachedMultiHeadAttention(HEADS, 4), x, x)
    plain = randomized(MultiHeadAttention(HEADS, 4), x, x)
    np.testing.assert_array_equal(numpy_of(cached(x, x)), numpy_of(plain(x, x)))


def test_symbolic_calls_know_every_output():
    x, context = keras.Input((None, FEATURES)), keras.Input((None, FEATURES))
    own = keras.Input((2, STEPS, HEADS, 4))
    cross = keras.Input((2, None, HEADS, 4))
    y, weights = TransformerEncoder(11, HEADS)(x, return_attention_scores=True)
    assert (y.shape, weights.shape) == (x.shape, (None, HEADS, None, None))
    outputs = TransformerDecoder(11, HEADS)(
        x, context, self_attention_cache=own, cross_attention_cache=cross
    )
    assert [o.shape for o in outputs] == [x.shape, own.shape, cross.shape]
    attention = CachedMultiHeadAttention(HEADS, 4)
    outputs = attention(x, x, cache=own, cache_update_index=1, return_attention_scores=True)
    assert [o.shape for o in outputs] == [x.shape, (None, HEADS, None, STEPS), own.shape]


def test_a_decoder_of_a_saved_model_has_its_cross_attention(tmp_path):
    x, context = keras.Input((None, FEATURES)), keras.Input((None, FEATURES))
    layer = TransformerDecoder(11, HEADS, normalize_first=True)
    model = keras.Model([x, context], layer(x, context))
    model.save(tmp_path / "decoder.keras")
    loaded = keras.models.load_model(tmp_path / "decoder.keras")
    arrays = [draw(BATCH, STEPS, FEATURES), draw(BATCH, WORDS, FEATURES, seed=1)]
    np.testing.assert_array_equal(numpy_of(loaded(arrays)), numpy_of(model(arrays)))


def test_an_attached_mask_counts_and_an_explicit_one_goes_before_it():
    tokens = np.array([[3, 1, 2, 0, 0], [4, 1, 0, 0, 0]])
    embedding = custom_layers.Embedding(5, FEATURES, mask_zero=True)
    layer = randomized(TransformerEncoder(11, HEADS), embedding(tokens))
    explicit = numpy_of(layer(numpy_of(embedding(tokens)), padding_mask=tokens != 0))
    attached = numpy_of(layer(embedding(tokens)))
    words = tokens != 0
    np.testing.assert_allclose(attached[words], explicit[words], **CLOSE)
    assert np.abs(explicit - numpy_of(layer(numpy_of(embedding(tokens)))))[words].max() > 1e-3


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="recording needs TensorFlow")
def test_the_attention_of_blocks_can_be_watched():
    import tensorflow as tf

    from custom_layers.debugging import record

    x, context = draw(BATCH, STEPS, FEATURES), draw(BATCH, WORDS, FEATURES, seed=1)
    inputs = keras.Input((None, FEATURES)), keras.Input((None, FEATURES))
    encoded = TransformerEncoder(11, HEADS, name="encoder")(inputs[1])
    decoded = TransformerDecoder(11, HEADS, name="decoder")(inputs[0], encoded)
    model = keras.Model(inputs, decoded)
    with record(model) as trace, tf.GradientTape() as tape:
        loss = tf.reduce_sum(model((x, context)) * draw(BATCH, STEPS, FEATURES, seed=2))
    recording = trace.read(tape, loss)
    shapes = {"encoder/self_attention_layer": WORDS, "decoder/self_attention": STEPS}
    for name, keys in {**shapes, "decoder/cross_attention": WORDS}.items():
        weights = recording[f"{name}/attention_weights"].value
        assert weights.shape[-1] == keys
        np.testing.assert_allclose(numpy_of(weights).sum(-1), 1, rtol=1e-5)
        gradient = numpy_of(recording[f"{name}/attention_scores"].gradient)
        assert np.abs(gradient).max() > 0
        np.testing.assert_allclose(gradient.sum(-1), 0, atol=1e-5)  # the softmax's Jacobian


# -- bad input --------------------------------------------------------------------------------------


def test_bad_arguments_are_named():
    x = draw(BATCH, STEPS, FEATURES)
    for wrong, message in (
        ({"num_heads": 0}, "`num_heads` must be a positive integer. Received: num_heads=0"),
        ({"intermediate_dim": 0}, "`intermediate_dim` must be a positive integer"),
        ({"dropout": 1.5}, r"`dropout` must be a probability in \[0, 1\). Received: dropout=1.5"),
    ):
        with pytest.raises(ValueError, match=f"transformer_encoder: {message}"):
            TransformerEncoder(**{"intermediate_dim": 11, "num_heads": 2, **wrong})
    with pytest.raises(ValueError, match=r"multiple of `num_heads`\. Received: num_heads=3, fea"):
        TransformerEncoder(11, 3)(x)
    with pytest.raises(ValueError, match=r"decoder: the inputs must be \(batch, steps, features\)"):
        TransformerDecoder(11, 2)(x[0])
    with pytest.raises(ValueError, match=r"feed_forward: `intermediate_dim`"):
        FeedForward(0)
    with pytest.raises(ValueError, match=r"feed_forward: the last axis of `inputs`"):
        FeedForward(3)(keras.Input((4, None)))


def test_bad_masks_and_caches_are_named():
    x = draw(BATCH, STEPS, FEATURES)
    encoder = TransformerEncoder(11, HEADS)
    with pytest.raises(ValueError, match=r"`padding_mask` must be \(batch, steps\) = \(3, 7\)"):
        encoder(x, padding_mask=np.ones((BATCH, STEPS, STEPS), bool))
    with pytest.raises(
        ValueError, match=r"`attention_mask` must be \(batch, query_steps, key_steps"
    ):
        encoder(x, attention_mask=np.ones((BATCH, STEPS), bool))
    alone = randomized(TransformerDecoder(11, HEADS), x)
    with pytest.raises(ValueError, match=r"must stay as it was.*Received: 2, first 1"):
        alone(x, x)
    crossing = randomized(TransformerDecoder(11, HEADS), x, x)
    with pytest.raises(ValueError, match=r"Received: 1, first 2\. Make another layer"):
        crossing(x)
    own, _ = caches()
    with pytest.raises(
        ValueError, match=r"both be set or both be `None`.*of shape \(3, 2, 7, 2, 4\)"
    ):
        crossing(x, x, self_attention_cache=own)
    attention = CachedMultiHeadAttention(HEADS, 4)
    with pytest.raises(
        ValueError, match=r"`cache` must be \(batch, 2, key_steps, heads, key_dim\)"
    ):
        attention(x, x, cache=own[:, 0])
    with pytest.raises(ValueError, match="`cache_update_index` should not be set if `cache` is"):
        attention(x, x, cache_update_index=2)
