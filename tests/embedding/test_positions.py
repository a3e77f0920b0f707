"""What the layers of positions promise beside their peers, and what they refuse."""

import keras
import numpy as np
import pytest
from keras import ops

import custom_layers
from tests.embedding import numpy_codes

TENSORFLOW = keras.backend.backend() == "tensorflow"
on_tensorflow = pytest.mark.skipif(not TENSORFLOW, reason="traced by tf.function")


def draw(*shape, seed=3):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def numpy_of(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


MAKERS = {
    "sine_position_encoding": lambda: custom_layers.SinePositionEncoding(),
    "position_embedding": lambda: custom_layers.PositionEmbedding(50),
    "rotary_embedding": lambda: custom_layers.RotaryEmbedding(),
}
every_layer = pytest.mark.parametrize("name", MAKERS)


@every_layer
@pytest.mark.parametrize("start", [4, np.int64(4), "tensor"])
def test_a_cached_step_is_the_step_of_the_whole_sequence(name, start):
    layer, x = MAKERS[name](), draw(2, 6, 8)
    whole = numpy_of(layer(x))
    index = ops.convert_to_tensor(4, dtype="int32") if isinstance(start, str) else start
    np.testing.assert_allclose(
        numpy_of(layer(x[:, 4:5], start_index=index)), whole[:, 4:5], atol=1e-6
    )


@every_layer
@pytest.mark.parametrize("shape", [(2, 6, 3, 8), (3, 6, 3, 8)])
def test_rows_of_positions_belong_to_sequences(name, shape):
    """Also where an axis between them has the batch's size and could be taken for it."""
    layer, x = MAKERS[name](), draw(*shape)
    if name != "rotary_embedding":  # its steps are axis 1, theirs the last but one
        x = np.swapaxes(x, 1, 2)
    positions = np.stack([np.arange(6) + 2 * b for b in range(len(x))])
    together = numpy_of(layer(x, positions=positions))
    for b in range(len(x)):
        apart = numpy_of(layer(x[b : b + 1], start_index=2 * b))
        np.testing.assert_allclose(together[b : b + 1], apart, atol=1e-6)


@every_layer
@pytest.mark.parametrize("shape", [(1,), (5,), (3, 6), (2, 5), (2, 1), (2, 6, 1), ()])
def test_positions_have_an_entry_for_each_step(name, shape):
    with pytest.raises(ValueError, match=rf"{name}: `positions` must be \(steps,\) or .*shape=\("):
        MAKERS[name]()(draw(2, 6, 8), positions=np.zeros(shape, "int32"))


@every_layer
def test_one_row_of_positions_serves_a_batch(name):
    layer, x, row = MAKERS[name](), draw(2, 3, 8), np.array([5, 1, 1])
    np.testing.assert_array_equal(
        numpy_of(layer(x, positions=row)), numpy_of(layer(x, positions=row[None]))
    )


@on_tensorflow
@every_layer
def test_steps_and_batch_may_be_unknown(name):
    import tensorflow as tf

    layer, x = MAKERS[name](), draw(2, 6, 8)
    wanted = numpy_of(layer(x, start_index=3))

    @tf.function(
        input_signature=[tf.TensorSpec((None, None, 8)), tf.TensorSpec((), "int32")],
    )
    def run(x, start):
        return layer(x, start_index=start)

    np.testing.assert_allclose(run(x, 3).numpy(), wanted, atol=1e-6)

    @tf.function(
        input_signature=[tf.TensorSpec((None, None, 8)), tf.TensorSpec((None, None), "int32")],
    )
    def run_at(x, positions):
        return layer(x, positions=positions)

    rows = np.tile(np.arange(3, 9), (2, 1))
    np.testing.assert_allclose(run_at(x, rows).numpy(), wanted, atol=1e-6)


@every_layer
def test_a_functional_model_takes_any_length(name):
    inputs = keras.Input((None, 8))
    model = keras.Model(inputs, MAKERS[name]()(inputs))
    assert model.output_shape == (None, None, 8)
    assert [model(draw(2, steps, 8)).shape[1] for steps in (3, 7)] == [3, 7]


# Sines and cosines


@pytest.mark.parametrize(("features", "wavelength"), [(8, 10000), (5, 10000), (6, 50)])
def test_sines_are_the_paper_s(features, wavelength):
    layer = custom_layers.SinePositionEncoding(max_wavelength=wavelength)
    code = numpy_of(layer(draw(2, 7, features), start_index=2))
    wanted = numpy_codes.sine(range(2, 9), features, wavelength)
    np.testing.assert_allclose(code, np.stack([wanted, wanted]), atol=1e-6)


@pytest.mark.skipif(not TENSORFLOW, reason="keras.ops.sin is float32 in float64 elsewhere")
def test_sines_are_the_paper_s_to_the_last_digits():
    layer = custom_layers.SinePositionEncoding(dtype="float64")
    code = ops.convert_to_numpy(layer(np.zeros((1, 7, 8)), start_index=2))
    assert code.dtype == "float64"
    np.testing.assert_allclose(code[0], numpy_codes.sine(range(2, 9), 8), atol=1e-14)


def test_far_positions_keep_codes_of_their_own_in_half_precision():
    """Counted in bfloat16, 300 and 301 would be one position."""
    layer = custom_layers.SinePositionEncoding(dtype="bfloat16")
    code = layer(np.zeros((1, 2, 8), "float32"), start_index=300)
    assert keras.backend.standardize_dtype(code.dtype) == "bfloat16"
    np.testing.assert_allclose(numpy_of(code)[0], numpy_codes.sine([300, 301], 8), atol=0.01)


def test_a_code_without_batch_is_accepted():
    code = numpy_of(custom_layers.SinePositionEncoding()(draw(4, 6)))
    np.testing.assert_allclose(code, numpy_codes.sine(range(4), 6), atol=1e-6)


def test_ids_have_no_place_for_a_code():
    with pytest.raises(ValueError, match=r"sine_position_encoding: `inputs` .*shape=\(3,\)"):
        custom_layers.SinePositionEncoding()(np.zeros(3))
    with pytest.raises(ValueError, match=r"position_embedding: `inputs` .*shape=\(3,\)"):
        custom_layers.PositionEmbedding(4)(np.zeros(3))


# The table


@pytest.mark.parametrize(
    ("steps", "start"), [(11, 0), (6, 5), (1, 10), (1, -1), (6, "tensor"), (6, np.int64(5))]
)
def test_a_sequence_that_leaves_the_table_is_one_clear_line(steps, start):
    layer = custom_layers.PositionEmbedding(10)
    layer(draw(2, 3, 4))
    start = ops.convert_to_tensor(5, dtype="int32") if isinstance(start, str) else start
    match = (
        r"position_embedding: the steps must lie in the 10 positions of `sequence_length`.*steps="
    )
    with pytest.raises(ValueError, match=match):
        layer(draw(2, steps, 4), start_index=start)


def test_the_last_row_is_within_the_table():
    layer, x = custom_layers.PositionEmbedding(10), draw(2, 4, 3)
    rows = numpy_of(layer(x, start_index=6))
    np.testing.assert_array_equal(rows[0], numpy_of(layer.position_embeddings.value)[6:])
    np.testing.assert_array_equal(rows[1], rows[0])


def test_a_model_of_too_long_sequences_is_not_built():
    with pytest.raises(ValueError, match=r"position_embedding: the steps must lie.*steps=11"):
        custom_layers.PositionEmbedding(10)(keras.Input((11, 4)))


def test_the_table_needs_a_known_width_and_whole_positions():
    with pytest.raises(ValueError, match="position_embedding: the last axis of `inputs`"):
        custom_layers.PositionEmbedding(10)(keras.Input((5, None)))
    with pytest.raises(TypeError, match=r"position_embedding: `positions` .*dtype=float"):
        custom_layers.PositionEmbedding(10)(
            draw(1, 2, 4), positions=np.array([0.0, 1.5], "float32")
        )


@pytest.mark.parametrize("size", [0, -1, 2.5, None, True])
def test_sizes_of_tables_are_positive_integers(size):
    with pytest.raises(
        ValueError, match="position_embedding: `sequence_length` must be a positive"
    ):
        custom_layers.PositionEmbedding(size)
    sizes = {"vocabulary_size": 4, "sequence_length": 4, "embedding_dim": 4}
    for name in sizes:
        match = f"token_and_position_embedding: `{name}` must be a positive"
        with pytest.raises(ValueError, match=match):
            custom_layers.TokenAndPositionEmbedding(**{**sizes, name: size})


# Tokens and positions


def test_tokens_and_positions_are_summed_and_masked_without_a_warning(recwarn):
    layer = custom_layers.TokenAndPositionEmbedding(7, 5, 4, mask_zero=True)
    ids = np.array([[1, 0, 2], [0, 3, 0]])
    y = layer(ids, start_index=1)
    assert not [w for w in recwarn if "mask" in str(w.message)]
    tokens = numpy_of(layer.token_embedding.embeddings.value)[ids]
    places = numpy_of(layer.position_embedding.position_embeddings.value)[1:4]
    np.testing.assert_allclose(numpy_of(y), tokens + places, atol=1e-7)
    np.testing.assert_array_equal(numpy_of(mask_seen_after(layer, ids)), ids != 0)


def mask_seen_after(layer, inputs, **options):
    class Seen(keras.layers.Layer):
        def call(self, inputs, mask=None):
            self.seen = mask
            return inputs

    seen = Seen()
    seen(layer(inputs, **options))
    return seen.seen


def test_the_table_of_tokens_makes_logits():
    layer = custom_layers.TokenAndPositionEmbedding(7, 5, 4)
    y = layer(np.array([[1, 0, 2]]))
    logits = layer.token_embedding(y, reverse=True)
    table = numpy_of(layer.token_embedding.embeddings.value)
    np.testing.assert_allclose(numpy_of(logits), numpy_of(y) @ table.T, atol=1e-6)


def test_tables_start_from_different_numbers():
    layer = custom_layers.TokenAndPositionEmbedding(5, 5, 4)
    layer.build((None, 3))
    tokens, places = (numpy_of(w.value) for w in layer.weights)
    assert np.abs(tokens - places).max() > 1e-3


# Reversible


def test_one_table_makes_vectors_and_logits():
    """Press and Wolf: the gradient of both uses adds up in one table."""
    layer = custom_layers.ReversibleEmbedding(5, 3)
    ids, h = np.array([[1, 4]]), draw(1, 2, 3)
    table = numpy_of(layer(ids)), numpy_of(layer.embeddings.value)
    np.testing.assert_array_equal(table[0], table[1][ids])
    np.testing.assert_allclose(numpy_of(layer(h, reverse=True)), h @ table[1].T, atol=1e-6)
    assert [w.name for w in layer.weights] == ["embeddings"]


def test_capped_logits_stay_below_the_cap_in_their_order():
    layer = custom_layers.ReversibleEmbedding(5, 3, tie_weights=False, logit_soft_cap=2.0)
    layer.build()
    kernel, h = 5 * draw(3, 5), draw(4, 3, seed=4)
    layer.reverse_embeddings.assign(kernel)
    logits = numpy_of(layer(h, reverse=True))
    np.testing.assert_allclose(logits, 2 * np.tanh(h @ kernel / 2), atol=1e-6)


def test_vectors_carry_the_mask_of_ids_and_logits_none():
    layer = custom_layers.ReversibleEmbedding(5, 3, mask_zero=True)
    ids = np.array([[1, 0, 2]])
    np.testing.assert_array_equal(numpy_of(mask_seen_after(layer, ids)), ids != 0)
    assert mask_seen_after(layer, draw(1, 2, 3), reverse=True) is None
    inputs = keras.Input((None,), dtype="int32")
    model = keras.Model(inputs, layer(layer(inputs), reverse=True))
    assert model(ids).shape == (1, 3, 5)


@pytest.mark.parametrize("tie_weights", [True, False])
@pytest.mark.parametrize("listed", [True, False])
def test_a_table_may_be_given(tie_weights, listed):
    table = draw(5, 3)
    weights = [table] if listed else table
    layer = custom_layers.ReversibleEmbedding(5, 3, tie_weights=tie_weights, weights=weights)
    np.testing.assert_array_equal(numpy_of(layer(np.arange(5))), table)
    assert len(layer.weights) == 2 - tie_weights
    with pytest.raises(ValueError, match=r"reversible_embedding: `weights` .*\(5, 3\).*\(4, 3\)"):
        custom_layers.ReversibleEmbedding(5, 3, weights=table[:4])


@pytest.mark.parametrize(
    ("config", "match"),
    [
        ({"input_dim": 0}, "`input_dim` must be a positive integer"),
        ({"output_dim": 2.5}, "`output_dim` must be a positive integer"),
        ({"logit_soft_cap": 0}, r"`logit_soft_cap` must be above 0\. Received: logit_soft_cap=0"),
    ],
)
def test_numbers_out_of_range_are_refused(config, match):
    with pytest.raises(ValueError, match=f"reversible_embedding: {match}"):
        custom_layers.ReversibleEmbedding(**{"input_dim": 5, "output_dim": 3, **config})


def test_vectors_of_another_length_are_refused():
    with pytest.raises(ValueError, match=r"reversible_embedding: `inputs` .*shape=\(2, 4\)"):
        custom_layers.ReversibleEmbedding(5, 3)(draw(2, 4), reverse=True)


@pytest.mark.parametrize(
    "act",
    [
        lambda: custom_layers.ReversibleEmbedding(3, 2, lora_rank=1),
        lambda: built_reversible().enable_lora(1),
        lambda: built_reversible().quantize("int8"),
        lambda: built_reversible(dtype="int8_from_float32"),
        lambda: built_sum(dtype="int8_from_float32"),
    ],
)
def test_lora_and_quantization_point_to_keras(act):
    match = r"reversible_embedding: .*keras\.layers\.ReversibleEmbedding"
    with pytest.raises(NotImplementedError, match=match):
        act()


def built_sum(**config):
    custom_layers.TokenAndPositionEmbedding(3, 2, 4, **config).build((None, 2))


def built_reversible(**config):
    layer = custom_layers.ReversibleEmbedding(3, 2, **config)
    layer.build()
    return layer
