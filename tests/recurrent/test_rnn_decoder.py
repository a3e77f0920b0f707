"""The decoder fed with tokens: what it feeds itself, its gradient, its numbers by hand, its errors."""

import keras
import numpy as np
import pytest
from keras import ops

import custom_layers
from custom_layers import RNNDecoder
from custom_layers.recurrent.rnn_decoder import draw_tokens, shifted
from tests.parity.differentiate import BACKEND, MODES, outputs_and_gradients
from tests.parity.harness import assert_close

BATCH, STEPS, WORDS, UNITS, START = 4, 6, 7, 5, 1
TARGETS = np.random.default_rng(0).integers(2, WORDS, (BATCH, STEPS)).astype("int32")
STATE = np.random.default_rng(1).standard_normal((BATCH, UNITS)).astype("float32")
HOUSES = pytest.mark.parametrize("layers", [keras.layers, custom_layers], ids=["builtin", "custom"])
every_mode = pytest.mark.parametrize(  # on TensorFlow XLA takes long to compile: once, below
    "mode", [mode for mode in MODES if (mode, BACKEND) != ("jit", "tensorflow")]
)
on_tensorflow = pytest.mark.skipif(BACKEND != "tensorflow", reason="run on TensorFlow")


def numbers(tensor):
    return np.asarray(ops.convert_to_numpy(tensor))


def build(layers=custom_layers, rnn="SimpleRNN", cell_options=(), **options):
    """A decoder with random weights, large enough that its tokens depend on what it is fed with."""
    decoder = RNNDecoder(
        layers.Embedding(WORDS, 3),
        getattr(layers, rnn)(UNITS, return_sequences=True, **dict(cell_options)),
        layers.Dense(WORDS),
        start_token=START,
        **options,
    )
    decoder(TARGETS)
    for seed, weight in enumerate(decoder.trainable_variables):
        weight.assign(1.5 * np.random.default_rng(seed + 3).standard_normal(weight.shape))
    return decoder


def wind_back(decoder):
    """The next draws are those of a new decoder of the same seed."""
    decoder.seed_generator.state.assign(keras.random.SeedGenerator(decoder.seed).state.value)


class Plain(keras.layers.Layer):
    """Teacher forcing as one writes it: the decoder's own layers, fed with given tokens."""

    def __init__(self, decoder):
        super().__init__()
        self.of = decoder
        self.built = True

    def call(self, tokens, initial_state=None, training=False):
        x = self.of.embedding(tokens)
        return self.of.readout(self.of.rnn(x, initial_state=initial_state, training=training))


def by_hand(decoder, state, targets=None, is_own=None, v=None):
    """Equations (1) to (7) of a simple RNN in NumPy: logits and the tokens fed in."""
    E, W, U, b, R, r = (numbers(w).astype("float64") for w in decoder.trainable_variables)
    h, token, logits, fed = state.astype("float64"), np.full(BATCH, START), [], []
    for t in range(STEPS):
        fed.append(token)
        h = np.tanh(E[token] @ W + h @ U + b)
        logits.append(h @ R + r)
        own = logits[-1].argmax(axis=-1)
        if v is not None:
            p = np.exp(logits[-1] - logits[-1].max(axis=-1, keepdims=True))
            F = np.cumsum(p / p.sum(axis=-1, keepdims=True), axis=-1)
            own = np.array([np.searchsorted(F[i], v[t, i], side="right") for i in range(BATCH)])
        token = own if targets is None else np.where(is_own[t], own, targets[:, t])
    return np.stack(logits, axis=1), np.stack(fed, axis=1)


@pytest.mark.parametrize("training", [False, True], ids=["use", "training"])
def test_a_free_run_by_hand(training):
    decoder = build(sampling="categorical", seed=4)
    v = None
    if training:
        v = numbers(keras.random.uniform((STEPS, BATCH), seed=keras.random.SeedGenerator(4)))
    expected, fed = by_hand(decoder, STATE, v=v)
    logits = decoder(initial_state=[STATE], steps=STEPS, training=training)
    np.testing.assert_allclose(numbers(logits), expected, rtol=1e-4, atol=1e-4)
    assert len(np.unique(fed)) > 3, "a run of one token would prove little"


@pytest.mark.parametrize("probability", [0.3, 0.8])
@pytest.mark.parametrize("sampling", ["categorical", "greedy"])
def test_scheduled_sampling_by_hand(probability, sampling):
    decoder = build(sampling_probability=probability, sampling=sampling, seed=4)
    generator = keras.random.SeedGenerator(4)
    v = None
    if sampling == "categorical":
        v = numbers(keras.random.uniform((STEPS, BATCH), seed=generator))
    is_own = numbers(keras.random.uniform((STEPS, BATCH), seed=generator)) < probability
    expected, fed = by_hand(decoder, STATE, TARGETS, is_own, v)
    logits = decoder(TARGETS, initial_state=[STATE], training=True)
    np.testing.assert_allclose(numbers(logits), expected, rtol=1e-4, atol=1e-4)
    forced = numbers(shifted(ops.convert_to_tensor(TARGETS), START))
    assert 0.05 < np.mean(fed != forced) < 0.9
    assert np.all(fed[:, 0] == START)


@pytest.mark.parametrize(
    ("layers", "rnn", "mode"),
    [
        (keras.layers, "GRU", "eager"),
        (custom_layers, "LSTM", "eager"),
        (custom_layers, "GRU", "traced" if "traced" in MODES else MODES[-1]),
    ],
    ids=["builtin GRU", "LSTM", "GRU, traced"],
)
def test_probability_0_is_teacher_forcing_to_the_last_bit(layers, rnn, mode):
    decoder = build(layers, rnn, sampling_probability=0.0)
    plain = Plain(decoder)
    tokens = numbers(shifted(ops.convert_to_tensor(TARGETS), START))
    np.testing.assert_array_equal(tokens, np.insert(TARGETS[:, :-1], 0, START, axis=1))
    for training in (True, False):
        kwargs = {"training": training}
        own = outputs_and_gradients(decoder, [TARGETS], kwargs, mode=mode)
        other = outputs_and_gradients(plain, [tokens], kwargs, mode=mode)
        assert len(own) == len(other) == 1 + len(decoder.trainable_variables)
        exact = mode != "jit"  # a compiler may add up two programs in two orders
        for mine, wanted in zip(own.values(), other.values(), strict=True):
            np.testing.assert_allclose(mine, wanted, rtol=0, atol=0 if exact else 1e-6)


@HOUSES
@pytest.mark.parametrize("sampling", ["categorical", "greedy"])
def test_probability_1_is_a_free_run(layers, sampling):
    decoder = build(layers, "GRU", sampling_probability=1.0, sampling=sampling, seed=2)
    fed = decoder(TARGETS, initial_state=[STATE], training=True)
    wind_back(decoder)
    free = decoder(initial_state=[STATE], steps=STEPS, training=True)
    np.testing.assert_array_equal(numbers(fed), numbers(free))
    in_use = numbers(decoder(TARGETS, initial_state=[STATE]))
    assert not np.allclose(in_use, numbers(free)), "in use, targets are always followed"


def lstm(layers):
    return layers.LSTM(UNITS, return_sequences=True)


def stack(layers):
    return layers.RNN([layers.LSTMCell(4), layers.GRUCell(3)], return_sequences=True)


@pytest.mark.parametrize(
    ("layers", "rnn", "mode"),
    [
        (keras.layers, lstm, "eager"),
        (keras.layers, stack, "eager"),
        (custom_layers, stack, "eager"),
        (custom_layers, lstm, MODES[-1]),
    ],
    ids=["LSTM, built in", "stack, built in", "stack", "LSTM, compiled"],
)
def test_a_free_run_agrees_with_itself(layers, rnn, mode):
    """Forced to follow its own tokens, the decoder says the same again; so it is with any cell."""
    decoder = RNNDecoder(
        layers.Embedding(WORDS, 3, embeddings_initializer="normal"),
        rnn(layers),
        layers.Dense(WORDS, kernel_initializer="normal"),
        start_token=START,
    )
    decoder(TARGETS)
    for seed, weight in enumerate(decoder.trainable_variables):
        weight.assign(1.5 * np.random.default_rng(seed).standard_normal(weight.shape))
    sizes = [w.shape[-1] for w in keras.tree.flatten(decoder.rnn.get_initial_state(BATCH))]
    rng = np.random.default_rng(5)
    flat = [rng.standard_normal((BATCH, size)).astype("float32") for size in sizes]
    states = keras.tree.pack_sequence_as(decoder.rnn.get_initial_state(BATCH), flat)
    kwargs = {"initial_state": states, "steps": STEPS}
    free = outputs_and_gradients(decoder, [], kwargs, mode=mode)
    tokens = free["output/0"].argmax(axis=-1).astype("int32")
    assert len(np.unique(tokens)) > 2
    forced = outputs_and_gradients(decoder, [tokens], {"initial_state": states}, mode=mode)
    assert_close(free, forced, relative=1e-5)


@every_mode
def test_the_gradient_is_that_of_the_tokens_that_were_fed(mode):
    """None flows through the choice; the inputs that are forced have the plain model's."""
    decoder = build(rnn="GRU", sampling_probability=0.5, seed=6)
    sampled = outputs_and_gradients(
        decoder, [TARGETS], {"initial_state": [STATE], "training": True}, mode=mode
    )
    wind_back(decoder)
    states = [ops.convert_to_tensor(STATE)]
    fed = decoder.tokens_fed(ops.convert_to_tensor(TARGETS), states, [], BATCH, None, True)
    kwargs = {"initial_state": [STATE]}
    plain = outputs_and_gradients(Plain(decoder), [numbers(fed)], kwargs, mode=mode)
    assert np.mean(numbers(fed)[:, 1:] != TARGETS[:, :-1]) > 0.1
    for mine, wanted in zip(sampled.values(), plain.values(), strict=True):
        np.testing.assert_allclose(mine, wanted, rtol=1e-4, atol=1e-5)


def test_draws_follow_the_seed():
    def runs(seed):
        decoder = build(rnn="GRU", sampling_probability=0.5, seed=seed)
        return [numbers(decoder(TARGETS, training=True)) for _ in range(3)]

    first, again, other = runs(1), runs(1), runs(2)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[0], first[1]), "each step draws anew"
    assert not np.array_equal(first[0], other[0])


def test_drawn_tokens_have_the_softmax_s_distribution():
    logits = ops.convert_to_tensor(np.log([[0.1, 0.2, 0.0001, 0.6999]]).astype("float32"))
    v = (np.arange(10_000) + 0.5) / 10_000
    drawn = draw_tokens(ops.repeat(logits, len(v), axis=0), ops.convert_to_tensor(v, "float32"))
    shares = np.bincount(numbers(drawn), minlength=4) / len(v)
    np.testing.assert_allclose(shares, [0.1, 0.2, 0.0001, 0.6999], atol=2e-4)
    almost_one = ops.convert_to_tensor([np.nextafter(np.float32(1), np.float32(0))])
    flat = draw_tokens(ops.zeros((1, 3)), almost_one)
    assert numbers(flat).tolist() == [2], "no token beyond the vocabulary"


def test_the_first_pass_drops_nothing():
    options = {"cell_options": {"dropout": 0.5, "seed": 3}, "sampling": "greedy"}
    decoder = build(rnn="GRU", sampling_probability=1.0, **options)
    states = [ops.convert_to_tensor(STATE)]
    fed = decoder.tokens_fed(ops.convert_to_tensor(TARGETS), states, [], BATCH, None, True)
    tokens = numbers(decoder(initial_state=[STATE], steps=STEPS)).argmax(axis=-1)
    np.testing.assert_array_equal(numbers(fed)[:, 1:], tokens[:, :-1])
    dropped = numbers(decoder(TARGETS, initial_state=[STATE], training=True))
    assert not np.allclose(dropped, numbers(decoder(initial_state=[STATE], steps=STEPS)))


@keras.saving.register_keras_serializable(package="tests")
class Attending(keras.layers.Layer):
    """A readout of the outputs and of the mean over what is kept of an encoder's sequence."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.attention = custom_layers.LuongAttention()
        self.dense = custom_layers.Dense(WORDS)

    def call(self, outputs, encoder_sequence, mask=None):
        context = self.attention(outputs, encoder_sequence, mask=mask)
        return self.dense(ops.concatenate([outputs, context], axis=-1))


@pytest.mark.parametrize("masked", [False, True])
def test_a_readout_attends_to_the_encoder_s_sequence(masked):
    decoder = RNNDecoder(
        custom_layers.Embedding(WORDS, 3),
        custom_layers.GRU(UNITS, return_sequences=True),
        Attending(),
        start_token=START,
    )
    memory = np.random.default_rng(2).standard_normal((BATCH, 8, 3)).astype("float32")
    other = memory.copy()
    other[:, 5:] += 1
    mask = np.arange(8) < 5
    mask = np.broadcast_to(mask, (BATCH, 8))
    options = {"encoder_sequence_mask": mask} if masked else {}
    for call in ({"targets": TARGETS}, {"steps": STEPS}):
        one, two = (
            numbers(decoder(**call, encoder_sequence=m, **options)) for m in (memory, other)
        )
        assert np.allclose(one, two, atol=1e-6) is masked
    carried = keras.layers.Masking()(np.where(mask[..., None], memory, 0))  # Keras's own way
    found = numbers(decoder(TARGETS, encoder_sequence=carried))
    given = numbers(decoder(TARGETS, encoder_sequence=memory, encoder_sequence_mask=mask))
    np.testing.assert_allclose(found, given, atol=1e-6)


def test_weights_are_those_of_the_plain_model_and_files_keep_the_probability(tmp_path):
    assert len(build(rnn="GRU").weights) == 1 + 3 + 2
    decoder = build(rnn="GRU", sampling_probability=0.25, sampling="greedy", seed=9)
    targets = keras.Input((None,), dtype="int32")
    state = keras.Input((UNITS,))
    model = keras.Model([targets, state], decoder(targets, initial_state=[state]))
    decoder.probability.assign(0.75)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    again = next(layer for layer in loaded.layers if isinstance(layer, RNNDecoder))
    for name in ("name", "start_token", "sampling_probability", "sampling", "seed"):
        assert again.get_config()[name] == decoder.get_config()[name]
    assert type(again.rnn) is custom_layers.GRU
    assert float(again.probability) == 0.75
    np.testing.assert_array_equal(
        numbers(loaded([TARGETS, STATE])), numbers(decoder(TARGETS, initial_state=[STATE]))
    )
    free = again(initial_state=[STATE], steps=9)
    np.testing.assert_array_equal(numbers(free), numbers(decoder(initial_state=[STATE], steps=9)))


def test_both_ways_in_functional_models():
    decoder = build(rnn="GRU")
    state = keras.Input((UNITS,))
    targets = keras.Input((None,), dtype="int32")
    forced = keras.Model([targets, state], decoder(targets, initial_state=[state]))
    free = keras.Model(state, decoder(initial_state=[state], steps=STEPS))
    assert forced.output_shape == (None, None, WORDS)
    assert free.output_shape == (None, STEPS, WORDS)
    expected = numbers(decoder(initial_state=[STATE], steps=STEPS))
    np.testing.assert_allclose(free.predict(STATE, verbose=0), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(
        numbers(forced([TARGETS, STATE])),
        numbers(decoder(TARGETS, initial_state=[STATE])),
        rtol=1e-5,
        atol=1e-5,
    )


@on_tensorflow
@pytest.mark.parametrize("eager", [True, False], ids=["eager", "traced"])
def test_a_recorder_sees_the_second_pass_and_no_other(eager):
    import tensorflow as tf

    from custom_layers.debugging import record

    decoder = build(rnn="GRU", sampling_probability=0.5, seed=3)

    def look():
        with record(decoder) as trace, tf.GradientTape() as tape:
            loss = tf.reduce_sum(decoder(TARGETS, training=True) ** 2)
        recording = trace.read(tape, loss)
        assert recording.not_watchable == []
        return {name: (q.value, q.gradient) for name, q in recording.items()}

    seen = (look if eager else tf.function(look))()
    assert {"gru/h", "gru/z", "gru/r", "gru/n", "dense/output"} <= set(seen)
    assert not [name for name in seen if ":2" in name]
    wind_back(decoder)
    logits = numbers(decoder(TARGETS, training=True))
    np.testing.assert_allclose(numbers(seen["dense/output"][0]), logits, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(numbers(seen["dense/output"][1]), 2 * logits, rtol=1e-5, atol=1e-5)
    assert seen["gru/h"][1].shape == (BATCH, STEPS, UNITS)


def layers_of(**changes):
    options = {
        "embedding": custom_layers.Embedding(WORDS, 3),
        "rnn": custom_layers.GRU(UNITS, return_sequences=True),
        "readout": custom_layers.Dense(WORDS),
        "start_token": START,
    }
    return {**options, **changes}


@pytest.mark.parametrize("probability", [-0.1, 1.01, float("nan")])
def test_a_probability_outside_of_0_and_1(probability):
    with pytest.raises(ValueError, match=r"must be in \[0, 1\], or None. Received: sampling_prob"):
        RNNDecoder(**layers_of(sampling_probability=probability))


@pytest.mark.parametrize(
    "rnn",
    [
        custom_layers.GRU(UNITS),
        custom_layers.GRU(UNITS, return_sequences=True, return_state=True),
        custom_layers.GRU(UNITS, return_sequences=True, go_backwards=True),
        custom_layers.GRU(UNITS, return_sequences=True, stateful=True),
        custom_layers.Bidirectional(custom_layers.GRU(UNITS, return_sequences=True)),
        custom_layers.Dense(3),
    ],
    ids=["last output", "states", "backwards", "stateful", "bidirectional", "no cell"],
)
def test_layers_that_cannot_be_fed_step_by_step(rnn):
    with pytest.raises(ValueError, match=r"`rnn` must be a recurrent layer with a cell.*Received"):
        RNNDecoder(**layers_of(rnn=rnn))


def test_what_else_does_not_fit():
    with pytest.raises(ValueError, match=r"`embedding` must not mask.*mask_zero=True"):
        RNNDecoder(**layers_of(embedding=custom_layers.Embedding(WORDS, 3, mask_zero=True)))
    with pytest.raises(ValueError, match=r"`sampling` must be one of .*sampling='beam'"):
        RNNDecoder(**layers_of(sampling="beam"))
    decoder = build(rnn="LSTM")
    with pytest.raises(ValueError, match=r"either `targets` to learn or `steps`.*None, steps=None"):
        decoder(initial_state=[STATE, STATE])
    with pytest.raises(ValueError, match=r"either `targets` to learn or `steps`.*tensor, steps=3"):
        decoder(TARGETS, steps=3)
    with pytest.raises(ValueError, match=r"`targets` must be tokens \(batch, steps\).*\(4, 6, 1\)"):
        decoder(TARGETS[..., None])
    with pytest.raises(ValueError, match=r"`initial_state` must hold 2 tensor\(s\).*1 tensor"):
        decoder(TARGETS, initial_state=[STATE])
    with pytest.raises(ValueError, match=r"`initial_state` must be \(batch, units\) = \(None, 5\)"):
        decoder(TARGETS, initial_state=[STATE, STATE[:, :3]])
    with pytest.raises(ValueError, match=r"the size of the batch must be known"):
        decoder(steps=3)
