"""What the pairs cannot show of multi-head attention: several layers together, and its own ways."""

import keras
import numpy as np
import pytest
from keras import ops

import custom_layers
from custom_layers.attention.masks import causal_mask, sliding_window_mask
from custom_layers.attention.multi_head import MultiHeadAttention
from custom_layers.attention.scaled_dot_product import (
    attention_equations,
    fused_order,
    written_order,
)

BATCH, T, S, FEATURES = 3, 6, 5, 4


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def shared_context(layers):
    """Two attentions over one masked context, each in a residual connection, and a masked end."""
    query, context = keras.Input((T,), dtype="int32"), keras.Input((S,), dtype="int32")
    x = layers.Embedding(9, FEATURES, mask_zero=True)(query)
    c = layers.Embedding(9, FEATURES, mask_zero=True)(context)
    for _ in range(2):
        attended = layers.MultiHeadAttention(2, 4)(query=x, value=c)
        x = layers.LayerNormalization()(keras.layers.Add()([x, attended]))
    return keras.Model([query, context], keras.layers.GlobalAveragePooling1D()(x))


def test_a_model_of_several_layers_loses_the_masks_that_keras_loses():
    """After the first attention the context has no mask, nor has what was added to the query."""
    own, builtin = shared_context(custom_layers), shared_context(keras.layers)
    rng = np.random.default_rng(2)
    for weight, twin in zip(own.weights, builtin.weights, strict=True):
        weight.assign(rng.standard_normal(weight.shape))
        twin.assign(weight)
    ids = [rng.integers(0, 9, size=(BATCH, steps)) for steps in (T, S)]
    ids[0][0, -2:] = ids[1][1, -3:] = 0
    got, wanted = (ops.convert_to_numpy(model(ids)) for model in (own, builtin))
    np.testing.assert_allclose(got, wanted, atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"use_gate": True, "dropout": 0.2}, {"use_bias": False}])
def test_one_seed_gives_the_weights_that_keras_begins_with(options):
    started = []
    for layers in (custom_layers, keras.layers):
        keras.utils.set_random_seed(4)
        layer = layers.MultiHeadAttention(2, 3, value_dim=5, **options)
        layer.build((BATCH, T, FEATURES), (BATCH, S, FEATURES))
        started.append([ops.convert_to_numpy(weight) for weight in layer.variables])
    for got, wanted in zip(*started, strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_any_key_dim_agrees_with_keras_in_float32():
    own, builtin = (layers.MultiHeadAttention(2, 3) for layers in (custom_layers, keras.layers))
    x, y = normal(BATCH, T, FEATURES), normal(BATCH, S, FEATURES, seed=1)
    own(x, y), builtin(x, y)
    own.set_weights(builtin.get_weights())
    got, wanted = (ops.convert_to_numpy(layer(x, y)) for layer in (own, builtin))
    np.testing.assert_allclose(got, wanted, atol=1e-6)


def test_both_orders_agree_where_every_query_sees_a_key():
    rng = np.random.default_rng(3)
    q, k, v = (ops.convert_to_tensor(rng.standard_normal((2, n, 2, 3))) for n in (T, S, S))
    mask = ops.convert_to_tensor(np.tril(np.ones((1, T, S), dtype=bool)))
    written = written_order(q, k, v, mask, 0.5, (1,))
    fused = fused_order(q, k, v, mask, 0.5, (1,))
    for got, wanted in zip(written, fused, strict=True):
        np.testing.assert_allclose(*map(ops.convert_to_numpy, (got, wanted)), atol=1e-6)


def test_rows_without_key_average_in_one_order_and_vanish_in_the_other():
    q, k, v = (ops.convert_to_tensor(normal(1, n, 1, 3)) for n in (T, S, S))
    mask = ops.zeros((1, T, S), dtype="bool")
    fused = fused_order(q, k, v, mask, 0.5, (1,)).context
    wanted = np.broadcast_to(ops.convert_to_numpy(v).mean(axis=1, keepdims=True), (1, T, 1, 3))
    np.testing.assert_allclose(ops.convert_to_numpy(fused), wanted, atol=1e-6)
    assert not ops.convert_to_numpy(written_order(q, k, v, mask, 0.5, (1,)).context).any()


def test_equations_of_one_and_of_two_attended_axes():
    assert attention_equations(4, (1,)) == ("aecd,abcd->acbe", "acbe,aecd->abcd")
    assert attention_equations(5, (1, 2)) == ("afgde,abcde->adbcfg", "adbcfg,afgde->abcde")


def test_symbolic_weights_know_the_keys_steps():
    query, value = keras.Input((T, FEATURES)), keras.Input((S, FEATURES))
    _, weights = MultiHeadAttention(2, 3)(query, value, return_attention_scores=True)
    assert tuple(weights.shape) == (None, 2, T, S)


def test_a_query_mask_by_keyword_is_used():
    layer, x, y = MultiHeadAttention(2, 3), normal(BATCH, T, FEATURES), normal(BATCH, S, FEATURES)
    mask = np.ones((BATCH, T), dtype=bool)
    mask[0, 2] = False
    _, weights = layer(x, y, query_mask=mask, return_attention_scores=True)
    weights = ops.convert_to_numpy(weights)
    assert not weights[0, :, 2].any()
    np.testing.assert_allclose(weights.sum(-1)[mask[:, None].repeat(2, axis=1)], 1, rtol=1e-6)


def test_positional_masks():
    np.testing.assert_array_equal(
        ops.convert_to_numpy(causal_mask(3, 4))[0].astype(int),
        [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0]],
    )
    np.testing.assert_array_equal(
        ops.convert_to_numpy(sliding_window_mask(3, 4, 2))[0].astype(int),
        [[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 1]],
    )


def test_a_saved_model_comes_back_and_drops_the_same(tmp_path):
    query, value = keras.Input((T, FEATURES)), keras.Input((None, FEATURES))
    model = keras.Model([query, value], MultiHeadAttention(2, 3, dropout=0.3, seed=5)(query, value))
    inputs = [normal(BATCH, T, FEATURES), normal(BATCH, S, FEATURES)]
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert type(again.layers[-1]) is MultiHeadAttention
    for training in (False, True):
        got, wanted = (ops.convert_to_numpy(m(inputs, training=training)) for m in (again, model))
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="other backends have a kernel")
def test_flash_attention_is_refused_where_there_is_none():
    layer = MultiHeadAttention(2, 3, flash_attention=True)
    with pytest.raises(ValueError, match=r"[Ff]lash attention is not supported"):
        layer(normal(BATCH, T, FEATURES), normal(BATCH, S, FEATURES))
    with pytest.raises(ValueError, match=r"multi_head_attention: Dropout is not supported"):
        MultiHeadAttention(2, 3, flash_attention=True, dropout=0.1)
