"""Decoders that carry keys and values of all steps, as a Transformer does, against no cache.

The model: two layers of attention over the tokens so far, in NumPy on the whole prefix, in the
decoders one token at a time with a nest (dict of list of tensors) of caches of fixed shape. A
decoder that hands a hypothesis another one's past scores its sentence wrongly.
"""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from custom_layers.decoding import beam_search, greedy, sample

PADDING, START, END, VOCABULARY, STEPS = 0, 1, 2, 7, 4
HEADS, KEY_DIM, LAYERS, SENTENCES = 2, 3, 2, 5
FORBIDDEN = (PADDING, START)
WORDS = [token for token in range(VOCABULARY) if token not in FORBIDDEN]
ARGUMENTS = {"start": START, "end": END, "max_steps": STEPS, "forbidden": FORBIDDEN}


class Weights:
    def __init__(self, seed):
        random = np.random.default_rng(seed)
        shape = (LAYERS, VOCABULARY, HEADS, KEY_DIM)
        self.query, self.key, self.value = random.normal(0, 1.5, (3, *shape))
        self.output = random.normal(0, 1, (LAYERS, HEADS, KEY_DIM, VOCABULARY))
        self.bias = random.normal(0, 1, (SENTENCES, VOCABULARY))


def logits_of(weights, row, prefix):
    """Logits after `prefix`, float64, without a cache."""
    logits = weights.bias[row].copy()
    for layer in range(LAYERS):
        keys, values = weights.key[layer][list(prefix)], weights.value[layer][list(prefix)]
        scores = np.einsum("hd,thd->ht", weights.query[layer][prefix[-1]], keys)
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        logits += np.einsum("ht,thd,hdv->v", shares, values, weights.output[layer])
    return logits


def log_probability(weights, row, sentence):
    total, prefix = 0.0, (START,)
    for token in sentence:
        logits = logits_of(weights, row, prefix)
        total += logits[token] - np.log(np.sum(np.exp(logits[WORDS])))
        prefix = (*prefix, token)
    return total


def model(weights, max_steps=STEPS, batch=SENTENCES):
    """Step function with its caches, and the number of steps it has taken."""
    state = {
        "layers": [tf.zeros([batch, 2, max_steps, HEADS, KEY_DIM]) for _ in range(LAYERS)],
        "place": {"row": tf.range(batch), "step": tf.zeros([batch], tf.int32)},
    }
    taken = tf.Variable(0)
    table = {name: tf.constant(value, tf.float32) for name, value in vars(weights).items()}

    def step(tokens, state):
        taken.assign_add(1)
        t = state["place"]["step"][0]
        logits = tf.gather(table["bias"], state["place"]["row"])
        now = tf.range(max_steps)[:, None, None] == t
        so_far = tf.range(max_steps) <= t
        caches = []
        for layer, cache in enumerate(state["layers"]):
            new = tf.stack([tf.gather(table[n][layer], tokens) for n in ("key", "value")], axis=1)
            cache = tf.where(now, new[:, :, None], cache)
            query = tf.gather(table["query"][layer], tokens)
            scores = tf.einsum("bhd,bthd->bht", query, cache[:, 0])
            shares = tf.nn.softmax(tf.where(so_far, scores, -1e9))
            context = tf.einsum("bht,bthd->bhd", shares, cache[:, 1])
            logits += tf.einsum("bhd,hdv->bv", context, table["output"][layer])
            caches.append(cache)
        place = {"row": state["place"]["row"], "step": state["place"]["step"] + 1}
        return logits, {"layers": caches, "place": place}

    return step, state, taken


DECODERS = {
    "greedy": greedy,
    "sample": sample,
    "truncated": lambda *args, **kwargs: sample(*args, top_k=3, top_p=1.0, seed=4, **kwargs),
    "beam": lambda *args, **kwargs: beam_search(*args, beam_width=3, **kwargs),
}
every_decoder = pytest.mark.parametrize("decoder", DECODERS.values(), ids=DECODERS.keys())


def unpadded(tokens):
    rows = [list(map(int, row)) for row in np.asarray(tokens)]
    return [tuple(row[: row.index(END) + 1] if END in row else row) for row in rows]


@pytest.mark.parametrize("name", ["greedy", "sample", "beam"])
@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
def test_sentences_have_the_probability_that_the_model_without_a_cache_gives(name, mode):
    weights = Weights(seed=1)
    step, state, _ = model(weights)

    def decode(state):
        return DECODERS[name](step, state, **ARGUMENTS)

    run = decode if mode == "eager" else tf.function(decode, jit_compile=mode == "xla")
    decoded = run(state)
    sentences = unpadded(decoded.tokens)
    assert decoded.tokens.shape == (SENTENCES, max(map(len, sentences)))
    assert len(set(sentences)) > 2
    expected = [log_probability(weights, row, s) for row, s in enumerate(sentences)]
    np.testing.assert_allclose(decoded.log_probabilities, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["greedy", "beam"])
def test_xla_and_the_graph_decode_what_eager_mode_does(name):
    step, state, _ = model(Weights(seed=2))
    eager = DECODERS[name](step, state, **ARGUMENTS)
    for jit_compile in (False, True):
        run = tf.function(lambda x: DECODERS[name](step, x, **ARGUMENTS), jit_compile=jit_compile)
        np.testing.assert_array_equal(run(state).tokens, eager.tokens)


def test_greedy_follows_the_model_without_a_cache():
    weights = Weights(seed=3)
    step, state, _ = model(weights)
    for row, sentence in enumerate(unpadded(greedy(step, state, **ARGUMENTS).tokens)):
        prefix = (START,)
        for token in sentence:
            logits = logits_of(weights, row, prefix)
            assert token == max(WORDS, key=lambda word, logits=logits: logits[word])
            prefix = (*prefix, token)


def test_the_wide_beam_finds_the_optimum_of_all_sentences():
    weights = Weights(seed=4)
    inner = [token for token in WORDS if token != END]
    every = [(*body, END) for n in range(STEPS) for body in itertools.product(inner, repeat=n)]
    every += list(itertools.product(inner, repeat=STEPS))
    step, state, _ = model(weights)
    decoded = beam_search(step, state, beam_width=len(every), length_penalty=0.0, **ARGUMENTS)
    for row, sentence in enumerate(unpadded(decoded.tokens)):
        assert sentence == max(every, key=lambda s, row=row: log_probability(weights, row, s))


@every_decoder
@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
def test_decoding_stops_by_itself_when_all_sentences_have_ended(decoder, graph):
    weights = Weights(seed=6)
    weights.bias[:, END] += 0.5
    step, state, taken = model(weights, max_steps=300)

    def decode(state):
        return decoder(step, state, **{**ARGUMENTS, "max_steps": 300})

    decoded = (tf.function(decode) if graph else decode)(state)
    longest = max(map(len, unpadded(decoded.tokens)))
    assert all(sentence[-1] == END for sentence in unpadded(decoded.tokens))
    assert longest == decoded.tokens.shape[1]
    assert longest <= int(taken) < 60  # a beam goes on while another may still win
    if decoder is not DECODERS["beam"]:
        assert int(taken) == longest > 1


@every_decoder
def test_the_batch_may_be_unknown(decoder):
    weights = Weights(seed=6)
    step, state, _ = model(weights)
    specs = tf.nest.map_structure(lambda x: tf.TensorSpec([None, *x.shape[1:]], x.dtype), state)

    @tf.function(input_signature=[specs])
    def in_graph(state):
        return decoder(step, state, **ARGUMENTS)

    for batch in (2, SENTENCES):
        _, state, _ = model(weights, batch=batch)
        np.testing.assert_array_equal(
            in_graph(state).tokens, decoder(step, state, **ARGUMENTS).tokens
        )


def test_a_state_of_unknown_rank_is_carried():
    step, state, _ = model(Weights(seed=6))

    @tf.function(input_signature=[tf.TensorSpec(None)])
    def in_graph(unknown):
        return greedy(
            lambda tokens, s: (step(tokens, s[0])[0], (step(tokens, s[0])[1], s[1])),
            (state, unknown),
            **ARGUMENTS,
        )

    expected = greedy(step, state, **ARGUMENTS).tokens
    np.testing.assert_array_equal(in_graph(tf.zeros([SENTENCES, 1])).tokens, expected)
