"""What the pairs cannot show of grouped-query attention: the equations by hand, losses and files."""

import keras
import numpy as np
import pytest
from keras import ops

import custom_layers
from custom_layers import GroupQueryAttention, MultiHeadAttention

BATCH, T, S, FEATURES, SIZE = 2, 4, 5, 3, 2


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def randomized(layer, *inputs):
    layer(*inputs)
    rng = np.random.default_rng(4)
    for weight in layer.trainable_variables:
        weight.assign(rng.standard_normal(weight.shape))
    return layer


def by_hand(layer, query, value, keep):
    """Equations (1) to (5), head by head; `keep` is (query_steps, key_steps)."""
    weights = {w.path.split("/", 1)[1]: ops.convert_to_numpy(w) for w in layer.weights}
    heads, groups = layer.num_query_heads, layer.num_key_value_heads

    def projected(x, name, head):
        return x @ weights[f"{name}/kernel"][:, head] + weights[f"{name}/bias"][head]

    y = np.zeros((*query.shape[:2], FEATURES)) + weights["attention_output/bias"]
    for b, h in np.ndindex(len(query), heads):
        group = h * groups // heads
        k, v = (projected(value[b], name, group) for name in ("key", "value"))
        scores = projected(query[b], "query", h) @ k.T / np.sqrt(layer.head_dim)
        exponentials = np.exp(scores) * keep
        context = exponentials / exponentials.sum(-1, keepdims=True) @ v
        context = context / (1 + np.exp(-projected(query[b], "gate", h)))
        y[b] += context @ weights["attention_output/kernel"][h]
    return y


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
@pytest.mark.parametrize("fused", [False, True])
def test_the_equations_head_by_head(groups, fused):
    query, value = normal(BATCH, T, FEATURES), normal(BATCH, S, FEATURES, seed=1)
    dtype = "float64" if keras.backend.backend() == "tensorflow" else "float32"
    keras.config.set_floatx(dtype)
    layer = GroupQueryAttention(SIZE, 6, groups, use_gate=True, fused=fused, dtype=dtype)
    randomized(layer, query, value)
    got = ops.convert_to_numpy(layer(query, value, use_causal_mask=True))
    wanted = by_hand(layer, query, value, np.tril(np.ones((T, S))))
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    np.testing.assert_allclose(got, wanted, atol=tolerance * np.abs(wanted).max())


def test_as_many_groups_as_heads_is_multi_head_attention():
    query, value = normal(BATCH, T, FEATURES), normal(BATCH, S, FEATURES, seed=1)
    grouped = randomized(GroupQueryAttention(SIZE, 4, 4, use_gate=True), query, value)
    several = randomized(MultiHeadAttention(4, SIZE, use_gate=True), query, value)
    several.set_weights(grouped.get_weights())
    for got, wanted in zip(
        grouped(query, value, return_attention_scores=True),
        several(query, value, return_attention_scores=True),
        strict=True,
    ):
        np.testing.assert_allclose(*map(ops.convert_to_numpy, (got, wanted)), atol=1e-6)


def test_equal_groups_of_keys_and_values_are_one_group():
    """G = 4 with four times the same key and value is G = 1."""
    query, value = normal(BATCH, T, FEATURES), normal(BATCH, S, FEATURES, seed=1)
    one = randomized(GroupQueryAttention(SIZE, 4, 1), query, value)
    four = randomized(GroupQueryAttention(SIZE, 4, 4), query, value)
    four.set_weights(
        [
            np.repeat(weight, 4, axis=-2) if "key" in path or "value" in path else weight
            for path, weight in zip(
                (w.path.split("/", 1)[1] for w in one.weights), one.get_weights(), strict=True
            )
        ]
    )
    got, wanted = (ops.convert_to_numpy(layer(query, value)) for layer in (one, four))
    np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_losses_are_keras_s():
    """The activity regularizer sees every projection, and the output once more."""
    query, value = normal(BATCH, T, FEATURES), normal(BATCH, S, FEATURES, seed=1)
    losses = []
    for layers in (custom_layers, keras.layers):
        keras.utils.set_random_seed(3)
        layer = layers.GroupQueryAttention(
            SIZE, 4, 2, use_gate=True, kernel_regularizer="l2", activity_regularizer="l2"
        )
        randomized(layer, query, value)
        layer(query, value)
        losses.append(sorted(float(loss) for loss in layer.losses))
    np.testing.assert_allclose(*losses, rtol=1e-5)
    assert len(losses[0]) == 5 + 6


def functional(layers):
    x, y = keras.Input((T, FEATURES)), keras.Input((None, FEATURES))
    first = layers.GroupQueryAttention(SIZE, 4, 2, dropout=0.3, seed=5)(x, y)
    return keras.Model([x, y], layers.GroupQueryAttention(SIZE, 2, 1, use_gate=True)(first, first))


def test_weights_files_of_models_load_both_ways(tmp_path):
    """They name a layer by its class, which therefore has the name of Keras's."""
    inputs = [normal(BATCH, T, FEATURES), normal(BATCH, S, FEATURES, seed=1)]
    own, builtin = functional(custom_layers), functional(keras.layers)
    for giver, taker in ((own, builtin), (builtin, own)):
        giver.save_weights(tmp_path / "all.weights.h5")
        taker.set_weights([np.zeros_like(weight) for weight in taker.get_weights()])
        taker.load_weights(tmp_path / "all.weights.h5")
        got, wanted = (ops.convert_to_numpy(model(inputs)) for model in (taker, giver))
        np.testing.assert_allclose(got, wanted, atol=1e-6)
        assert np.abs(wanted).max() > 1e-3


def test_a_saved_model_comes_back_and_drops_the_same(tmp_path):
    model, inputs = functional(custom_layers), [normal(BATCH, n, FEATURES) for n in (T, S)]
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert type(again.layers[-1]) is GroupQueryAttention
    for training in (False, True):
        got, wanted = (ops.convert_to_numpy(m(inputs, training=training)) for m in (again, model))
        np.testing.assert_array_equal(got, wanted)


def test_a_subclass_may_attend_as_it_likes():
    """Also with the signature that Keras's had before `use_causal_mask`."""

    class Mean(GroupQueryAttention):
        def _compute_attention(self, query, key, value, attention_mask=None, training=None):
            assert tuple(attention_mask.shape) == (1, T, S)
            return ops.broadcast_to(ops.mean(value, 1, keepdims=True), query.shape), None

    layer, x, y = Mean(SIZE, 4, 2), normal(BATCH, T, FEATURES), normal(BATCH, S, FEATURES)
    output = ops.convert_to_numpy(layer(x, y, use_causal_mask=True))
    np.testing.assert_allclose(output, output[:, :1].repeat(T, axis=1), atol=1e-6)


def test_the_query_s_mask_stays_on_the_query_and_goes_on():
    """Multi-head attention takes it off: a second layer there attends to padding, here it does not."""
    ids = keras.Input((None,), dtype="int32")
    ends = []
    for layers in (custom_layers, keras.layers):
        keras.utils.set_random_seed(2)
        x = layers.Embedding(9, FEATURES, mask_zero=True)(ids)
        for _ in range(2):
            y = layers.GroupQueryAttention(SIZE, 4, 2)(x, x)
        ends.append(keras.Model(ids, keras.layers.GlobalAveragePooling1D()(y)))
    tokens = np.array([[1, 2, 0, 0], [3, 4, 5, 0]])
    got, wanted = (ops.convert_to_numpy(model(tokens)) for model in ends)
    np.testing.assert_allclose(got, wanted, atol=1e-6)
    longer = np.array([[1, 2, 0, 0, 0], [3, 4, 5, 0, 0]])
    np.testing.assert_allclose(ops.convert_to_numpy(ends[0](longer)), wanted, atol=1e-6)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="other backends have a kernel")
def test_flash_attention_is_refused_where_there_is_none():
    layer = GroupQueryAttention(SIZE, 4, 2, flash_attention=True)
    with pytest.raises(ValueError, match=r"[Ff]lash attention is not supported"):
        layer(normal(BATCH, T, FEATURES), normal(BATCH, S, FEATURES))
