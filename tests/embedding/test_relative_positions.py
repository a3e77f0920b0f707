"""Layers by which a score depends on the distance of query and key: rotary, ALiBi, T5's bias."""

import keras
import numpy as np
import pytest
from keras import ops

import custom_layers
from custom_layers.embedding.relative_position_bias import bucket_of_distance, bucket_of_offset
from custom_layers.embedding.rotary_embedding import yarn_ramp
from tests.embedding import numpy_codes


def draw(*shape, seed=3):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def numpy_of(tensor):
    return ops.convert_to_numpy(tensor)


# Rotary

SCALINGS = [
    {},
    {"scaling_factor": 4.0},
    {"rope_type": "dynamic", "scaling_factor": 4.0},
    {"rope_type": "yarn", "scaling_factor": 4.0, "original_max_position_embeddings": 64},
    {"max_wavelength": 50, "denominator_dim": 12},
]


@pytest.mark.parametrize("config", SCALINGS)
def test_the_product_of_query_and_key_depends_on_their_distance_alone(config):
    layer, q, k = custom_layers.RotaryEmbedding(**config), draw(1, 1, 8), draw(1, 1, 8, seed=4)

    def product(query_position, key_position):
        turned = (layer(q, start_index=query_position), layer(k, start_index=key_position))
        return float(np.sum(numpy_of(turned[0]) * numpy_of(turned[1])))

    for distance in (-7, 0, 3, 20):
        products = [product(p + distance, p) for p in (7, 8, 30, 100)]
        np.testing.assert_allclose(products, products[0], atol=2e-5)  # measured: 4e-6
    apart = [product(7 + distance, 7) for distance in (-7, 0, 3, 20)]
    assert np.min(np.abs(np.diff(np.sort(apart)))) > 1e-3


@pytest.mark.parametrize("config", [{}, {"scaling_factor": 2.0}, {"max_wavelength": 30}])
def test_rotation_is_the_paper_s_up_to_the_order_of_features(config):
    x = draw(1, 5, 8)
    y = numpy_of(custom_layers.RotaryEmbedding(**config)(x, start_index=3))
    order = numpy_codes.neighbours_first(8)
    speeds = config.get("max_wavelength", 10000.0) ** (-np.arange(0, 8, 2) / 8)
    speeds = speeds / config.get("scaling_factor", 1.0)
    for t in range(5):
        wanted = numpy_codes.rotation(3 + t, speeds) @ x[0, t][order].astype("float64")
        np.testing.assert_allclose(y[0, t][order], wanted, atol=3e-6)


def test_lengths_stay_but_for_yarn_s_factor():
    x = draw(2, 6, 8)
    for config, factor in (({}, 1.0), (SCALINGS[3], 0.1 * np.log(4.0) + 1)):
        y = numpy_of(custom_layers.RotaryEmbedding(**config)(x))
        lengths = np.linalg.norm(y, axis=-1) / np.linalg.norm(x, axis=-1)
        np.testing.assert_allclose(lengths, factor, rtol=1e-5)


def test_yarn_keeps_fast_pairs_and_slows_slow_ones():
    """Peng et al.: kept from beta_fast turns within the trained positions on, slowed below beta_slow."""
    turns = 4096 * 10000.0 ** (-np.arange(0, 64, 2) / 64) / (2 * np.pi)
    for truncate in (True, False):
        ramp = yarn_ramp(32, 10000, 4096, 32.0, 1.0, truncate)
        assert np.all(np.diff(ramp) >= 0)
        assert np.all(ramp[turns > 40] == 0)
        assert np.all(ramp[turns < 0.7] == 1)
        between = ramp[(turns > 1.5) & (turns < 20)]
        assert np.all((between > 0) & (between < 1))


def test_yarn_in_numpy():
    x, (s, trained, fast, slow) = draw(1, 3, 8), (4.0, 64, 4.0, 1.0)
    layer = custom_layers.RotaryEmbedding(
        100,
        s,
        "yarn",
        beta_fast=fast,
        beta_slow=slow,
        original_max_position_embeddings=trained,
        truncate=False,
    )
    y = numpy_of(layer(x, start_index=2))
    w = 100.0 ** (-np.arange(4) / 4)
    low, high = (
        8 * np.log(trained / (2 * np.pi * beta)) / (2 * np.log(100)) for beta in (fast, slow)
    )
    r = np.clip((np.arange(4) - low) / (high - low), 0, 1)
    assert 0 < r[1] < 1
    order = numpy_codes.neighbours_first(8)
    for t in range(3):
        turned = numpy_codes.rotation(2 + t, (1 - r) * w + r * w / s) @ x[0, t][order]
        np.testing.assert_allclose(y[0, t][order], (0.1 * np.log(s) + 1) * turned, atol=3e-6)


@pytest.mark.parametrize(
    ("config", "match"),
    [
        ({"rope_type": "yarm"}, r"`rope_type` must be .*Received: rope_type='yarm'"),
        ({"rope_type": None}, "`rope_type` must be"),
        ({"rope_type": "yarn", "denominator_dim": 8}, "`denominator_dim` has no place"),
        ({"scaling_factor": 0}, "`scaling_factor` must be above 0"),
        ({"max_wavelength": -1}, "`max_wavelength` must be above 0"),
        ({"rope_type": "yarn", "max_wavelength": 1}, "`max_wavelength` must be above 1"),
        ({"rope_type": "yarn", "beta_slow": 0}, "`beta_slow` must be above 0"),
    ],
)
def test_settings_that_would_be_ignored_or_fail_later_are_refused(config, match):
    with pytest.raises(ValueError, match=f"rotary_embedding: {match}"):
        custom_layers.RotaryEmbedding(**config)


@pytest.mark.parametrize(
    ("shape", "config", "match"),
    [
        ((2, 3, 7), {}, r"features must be known and even.*shape=\(2, 3, 7\)"),
        ((2, 3, None), {}, "features must be known and even"),
        ((2, 8), {}, "`inputs` must have a batch axis and two others"),
        ((2, 8), {"sequence_axis": 0}, "`inputs` must have a batch axis and two others"),
        ((2, 3, 8), {"sequence_axis": -1}, "`sequence_axis` and `feature_axis`.*sequence_axis=-1"),
        ((2, 3, 8), {"sequence_axis": 3}, "`inputs` must have a batch axis"),
    ],
)
def test_rotary_inputs_have_steps_and_pairs(shape, config, match):
    layer = custom_layers.RotaryEmbedding(**config)
    with pytest.raises(ValueError, match=f"rotary_embedding: .*{match}"):
        layer(keras.Input(batch_shape=shape))


# ALiBi


@pytest.mark.parametrize(
    ("heads", "slopes"),
    [
        (1, [2**-8]),
        (2, [2**-4, 2**-8]),
        (8, [2**-h for h in range(1, 9)]),  # the paper's example
        (3, [2**-4, 2**-8, 2**-2]),
        (12, [2**-h for h in range(1, 9)] + [2 ** -(h + 0.5) for h in range(4)]),
    ],
)
def test_slopes_and_weights_are_the_paper_s(heads, slopes):
    """After a causal softmax, where a bias per query makes no difference."""
    scores = draw(2, heads, 4, 6)
    y = numpy_of(custom_layers.AlibiBias()(scores)).astype("float64")
    hidden = ~np.tri(4, 6, k=2, dtype=bool)
    y[:, :, hidden] = -np.inf
    wanted = numpy_codes.alibi_scores(scores.astype("float64"), slopes)
    np.testing.assert_allclose(numpy_codes.softmax(y), numpy_codes.softmax(wanted), atol=1e-6)


def test_alibi_refuses_what_it_cannot_bias():
    with pytest.raises(ValueError, match=r"alibi_bias: `attention_scores` must.*shape=\(4, 5, 6\)"):
        custom_layers.AlibiBias()(draw(4, 5, 6))
    with pytest.raises(ValueError, match="number of heads must be known"):
        custom_layers.AlibiBias()(ops.ones((2, 3, 4)))
    with pytest.raises(ValueError, match="alibi_bias: `alibi_bias_max` must be above 0"):
        custom_layers.AlibiBias(0)


# T5's bias

SETTINGS = [(32, 128, True), (32, 128, False), (8, 20, True), (7, 30, False), (4, 2, True)]


@pytest.mark.parametrize(("buckets", "farthest", "both_ways"), SETTINGS)
def test_buckets_are_the_paper_s(buckets, farthest, both_ways):
    offsets = np.arange(-300, 301, dtype="int32")
    got = numpy_of(bucket_of_offset(ops.convert_to_tensor(offsets), buckets, farthest, both_ways))
    wanted = [numpy_codes.t5_bucket(int(d), buckets, farthest, both_ways) for d in offsets]
    np.testing.assert_array_equal(got, wanted)
    assert got.min() == 0
    assert set(got) <= set(range(buckets))


@pytest.mark.parametrize(("buckets", "farthest", "both_ways"), SETTINGS[:4])
def test_buckets_are_those_of_kerashub_s_t5(buckets, farthest, both_ways):
    from keras_hub.src.models.t5.t5_multi_head_attention import T5MultiHeadAttention

    offsets = ops.arange(-300, 301, dtype="int32")
    wanted = T5MultiHeadAttention._relative_position_bucket(offsets, both_ways, buckets, farthest)
    got = bucket_of_offset(offsets, buckets, farthest, both_ways)
    np.testing.assert_array_equal(numpy_of(got), numpy_of(wanted))


def test_buckets_on_a_boundary_are_exact():
    table = bucket_of_distance(16, 128)  # ranges begin at 8 * 16 ** (k / 8)
    assert [int(table[n]) for n in (7, 8, 15, 16, 31, 32, 63, 64)] == [7, 8, 9, 10, 11, 12, 13, 14]


@pytest.mark.parametrize("both_ways", [True, False])
@pytest.mark.parametrize("start", [0, 6, "tensor"])
def test_bias_is_the_entry_of_head_and_bucket(both_ways, start):
    layer = custom_layers.RelativePositionBias(8, 10, bidirectional=both_ways)
    scores, table = draw(2, 3, 4, 12), draw(8, 3, seed=5)
    layer(scores)
    layer.embeddings.assign(table)
    first = 6 if start == "tensor" else start
    start = ops.convert_to_tensor(6, dtype="int32") if start == "tensor" else start
    got = numpy_of(layer(scores, start_index=start))
    wanted = scores.copy()
    for t in range(4):
        for s in range(12):
            bucket = numpy_codes.t5_bucket(s - (first + t), 8, 10, both_ways)
            wanted[:, :, t, s] += table[bucket]
    np.testing.assert_allclose(got, wanted, atol=1e-6)


def test_bias_equals_kerashub_s_t5():
    from keras_hub.src.models.t5.t5_multi_head_attention import T5MultiHeadAttention

    for is_decoder in (False, True):
        theirs = T5MultiHeadAttention(
            is_decoder=is_decoder,
            hidden_dim=8,
            key_value_dim=4,
            num_heads=2,
            dropout=0.0,
            use_relative_attention_bias=True,
        )
        layer = custom_layers.RelativePositionBias(bidirectional=not is_decoder)
        scores = draw(1, 2, 40, 150)
        layer(scores)
        layer.embeddings.assign(theirs.relative_attention_bias)
        wanted = scores + numpy_of(theirs.compute_bias(40, 150, query_start_index=100))
        np.testing.assert_allclose(numpy_of(layer(scores, start_index=100)), wanted, atol=1e-6)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="traced by tf.function")
def test_gradients_count_how_often_a_bucket_is_used():
    import tensorflow as tf

    layer = custom_layers.RelativePositionBias(8, 10)
    layer(draw(2, 3, 4, 5))

    @tf.function(
        input_signature=[tf.TensorSpec((None, 3, None, None)), tf.TensorSpec((), "int32")],
        jit_compile=False,
    )
    def gradients(scores, start):
        with tf.GradientTape() as tape:
            tape.watch(scores)
            total = tf.reduce_sum(layer(scores, start_index=start))
        of_scores, of_table = tape.gradient(total, [scores, layer.embeddings.value])
        return of_scores, tf.convert_to_tensor(of_table)

    of_scores, of_table = gradients(draw(2, 3, 4, 5), 1)
    np.testing.assert_array_equal(of_scores, np.ones((2, 3, 4, 5)))
    counts = np.zeros(8)
    for t in range(4):
        for s in range(5):
            counts[numpy_codes.t5_bucket(s - (1 + t), 8, 10)] += 2
    np.testing.assert_array_equal(of_table, np.stack([counts] * 3, axis=1))


def test_a_bias_is_saved_with_its_config_and_shared(tmp_path):
    inputs = keras.Input((2, None, None))
    bias = custom_layers.RelativePositionBias(8, 10, False, "ones", "l2", "non_neg")
    model = keras.Model(inputs, bias(bias(inputs)))
    assert len(model.weights) == 1
    assert model.weights[0].path.endswith("/embeddings")
    model.save(tmp_path / "bias.keras")
    again = keras.saving.load_model(tmp_path / "bias.keras")
    x = draw(2, 2, 3, 5)
    np.testing.assert_allclose(numpy_of(model(x)), x + 2, atol=1e-6)
    np.testing.assert_array_equal(numpy_of(again(x)), numpy_of(model(x)))
    config = again.layers[-1].get_config()
    assert (config["num_buckets"], config["max_distance"], config["bidirectional"]) == (
        8,
        10,
        False,
    )
    assert float(sum(again.losses)) == pytest.approx(0.01 * 16)


@pytest.mark.parametrize(
    ("config", "match"),
    [
        ({"num_buckets": 7}, "`num_buckets` must be even.*num_buckets=7, bidirectional=True"),
        ({"num_buckets": 2}, "`num_buckets` must be even"),
        ({"num_buckets": 1, "bidirectional": False}, "`num_buckets` must be even"),
        ({"num_buckets": 2.5}, "`num_buckets` must be a positive integer"),
        ({"max_distance": 8}, "`max_distance` must be above the 8 distances"),
        ({"max_distance": 16, "bidirectional": False}, "`max_distance` must be above the 16"),
    ],
)
def test_buckets_that_cannot_be_are_refused(config, match):
    with pytest.raises(ValueError, match=f"relative_position_bias: {match}"):
        custom_layers.RelativePositionBias(**config)


def test_scores_have_four_axes_and_the_heads_of_the_table():
    layer = custom_layers.RelativePositionBias()
    with pytest.raises(
        ValueError, match=r"relative_position_bias: `attention_scores` .*\(3, 4, 5\)"
    ):
        layer(draw(3, 4, 5))
    layer(draw(2, 3, 4, 5))
    with pytest.raises(ValueError, match="axis 1"):
        layer(draw(2, 4, 4, 5))
    with pytest.raises(ValueError, match="relative_position_bias: `start_index` must be 0 or more"):
        layer(draw(2, 3, 4, 5), start_index=-1)
