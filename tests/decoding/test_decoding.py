"""Decoders on a small random language model, against brute force.

The model: the logits of the next token are a table row that depends on the sentence's own number
and on the last two tokens. The last token but one travels in the state, so a decoder that
mixes up the states of rows or hypotheses is found out.
"""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from custom_layers.decoding import beam_search, greedy, sample

PADDING, START, END, VOCABULARY, STEPS = 0, 1, 2, 6, 4
FORBIDDEN = (PADDING, START)
WORDS = [token for token in range(VOCABULARY) if token not in FORBIDDEN]
ARGUMENTS = {"start": START, "end": END, "max_steps": STEPS, "forbidden": FORBIDDEN}


def random_table(sentences, seed=0):
    random = np.random.default_rng(seed)
    return random.normal(0, 1.5, (sentences, VOCABULARY, VOCABULARY, VOCABULARY)).astype("float32")


def model(table, rows=None):
    """Step function and initial state for the sentences `rows` of `table`."""
    rows = np.arange(len(table)) if rows is None else np.asarray(rows)
    state = {"row": tf.constant(rows, tf.int32), "previous": tf.fill([len(rows)], PADDING)}

    def step(tokens, state):
        index = tf.stack([state["row"], state["previous"], tokens], axis=-1)
        logits = tf.gather_nd(tf.constant(table), index)
        return logits, {"row": state["row"], "previous": tokens}

    return step, state


def log_probability(table, row, sentence):
    """log p(sentence), the forbidden tokens at probability zero."""
    total, previous, last = 0.0, PADDING, START
    for token in sentence:
        logits = table[row, previous, last].astype("float64")
        total += logits[token] - np.log(np.sum(np.exp(logits[WORDS])))
        previous, last = last, token
    return total


def every_sentence():
    """All sentences that end within STEPS, and all that are cut there."""
    inner = [token for token in WORDS if token != END]
    for length in range(STEPS):
        for body in itertools.product(inner, repeat=length):
            yield (*body, END)
    yield from itertools.product(inner, repeat=STEPS)


def score(table, row, sentence, alpha):
    return log_probability(table, row, sentence) / ((5 + len(sentence)) / 6) ** alpha


def unpadded(tokens):
    """Sentences as tuples; fails when anything but padding follows an end."""
    sentences = []
    for row in np.asarray(tokens):
        length = int(np.argmax(row == END)) + 1 if END in row else len(row)
        assert np.all(row[length:] == PADDING), "a finished sentence must stay finished"
        sentences.append(tuple(int(token) for token in row[:length]))
    return sentences


@pytest.mark.parametrize("alpha", [0.0, 0.6, 2.0])
def test_wide_beam_finds_the_optimum_of_all_sentences(alpha):
    table = random_table(6)
    step, state = model(table)
    width = len(list(every_sentence()))
    decoded = beam_search(step, state, beam_width=width, length_penalty=alpha, **ARGUMENTS)
    best = [
        max(every_sentence(), key=lambda s, row=row: score(table, row, s, alpha))
        for row in range(6)
    ]
    assert unpadded(decoded.tokens) == best
    np.testing.assert_allclose(
        decoded.log_probabilities,
        [log_probability(table, row, sentence) for row, sentence in enumerate(best)],
        rtol=1e-5,
    )
    assert len({len(sentence) for sentence in best}) > 1  # otherwise alpha would go untested


def test_length_penalty_prefers_longer_sentences():
    table = random_table(20, seed=3)
    step, state = model(table)
    lengths = [
        np.mean(
            [
                len(s)
                for s in unpadded(
                    beam_search(
                        step, state, beam_width=50, length_penalty=alpha, **ARGUMENTS
                    ).tokens
                )
            ]
        )
        for alpha in (0.0, 3.0)
    ]
    assert lengths[0] < lengths[1]


def test_greedy_takes_the_best_token_of_each_step():
    table = random_table(30)
    decoded = greedy(*model(table), **ARGUMENTS)
    for row, sentence in enumerate(unpadded(decoded.tokens)):
        previous, last = PADDING, START
        for token in sentence:
            logits = table[row, previous, last]
            assert token == max(WORDS, key=lambda word, logits=logits: logits[word])
            previous, last = last, token
        assert sentence[-1] == END or len(sentence) == STEPS
        np.testing.assert_allclose(
            decoded.log_probabilities[row], log_probability(table, row, sentence), rtol=1e-5
        )


def test_greedy_stops_as_soon_as_all_have_ended():
    table = random_table(3)
    table[..., END] = 50.0
    assert greedy(*model(table), **{**ARGUMENTS, "max_steps": 1000}).tokens.shape == (3, 1)


@pytest.mark.parametrize("alpha", [0.0, 0.6])
def test_beam_of_one_is_greedy(alpha):
    table = random_table(40, seed=1)
    one = beam_search(*model(table), beam_width=1, length_penalty=alpha, **ARGUMENTS)
    best = greedy(*model(table), **ARGUMENTS)
    np.testing.assert_array_equal(one.tokens, best.tokens)
    np.testing.assert_allclose(one.log_probabilities, best.log_probabilities, rtol=1e-6)


def test_wider_beam_is_better_than_greedy_somewhere_and_the_widest_never_worse():
    table = random_table(40, seed=1)
    best = greedy(*model(table), **ARGUMENTS).log_probabilities.numpy()
    wide = beam_search(*model(table), beam_width=200, length_penalty=0.0, **ARGUMENTS)
    assert np.all(wide.log_probabilities.numpy() >= best - 1e-5)
    assert np.any(wide.log_probabilities.numpy() > best + 0.1)


DECODERS = {
    "greedy": greedy,
    "beam": lambda *args, **kwargs: beam_search(*args, beam_width=3, **kwargs),
    "cold sampling": lambda *args, **kwargs: sample(*args, temperature=1e-4, **kwargs),
}


@pytest.mark.parametrize("decoder", DECODERS.values(), ids=DECODERS.keys())
def test_batched_equals_one_by_one(decoder):
    table = random_table(12, seed=2)
    together = decoder(*model(table), **ARGUMENTS)
    for row, sentence in enumerate(unpadded(together.tokens)):
        alone = decoder(*model(table, [row]), **ARGUMENTS)
        assert unpadded(alone.tokens) == [sentence]
        np.testing.assert_allclose(
            alone.log_probabilities[0], together.log_probabilities[row], rtol=1e-5, atol=1e-6
        )


@pytest.mark.parametrize("decoder", DECODERS.values(), ids=DECODERS.keys())
def test_graph_equals_eager_with_an_unknown_batch_size(decoder):
    table = random_table(5, seed=4)
    eager = decoder(*model(table), **ARGUMENTS)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32)])
    def in_graph(rows):
        step, _ = model(table)
        return decoder(step, {"row": rows, "previous": tf.zeros_like(rows)}, **ARGUMENTS)

    for decoded in (in_graph(tf.range(5)), in_graph(tf.range(5))):
        np.testing.assert_array_equal(decoded.tokens, eager.tokens)
    assert in_graph(tf.range(2)).tokens.shape[0] == 2


def test_temperature_towards_zero_is_greedy():
    table = random_table(30)
    best = greedy(*model(table), **ARGUMENTS).tokens
    for temperature in (0, 1e-4, tf.constant(1e-4)):
        cold = sample(*model(table), temperature=temperature, seed=5, **ARGUMENTS).tokens
        np.testing.assert_array_equal(cold, best)


@pytest.mark.parametrize("temperature", [0.7, 1.0, 3.0])
def test_samples_follow_the_distribution(temperature):
    draws = 20_000
    table = random_table(1)
    decoded = sample(
        *model(table, np.zeros(draws, int)),
        temperature=temperature,
        seed=11,
        **{**ARGUMENTS, "max_steps": 2},
    )
    tokens = decoded.tokens.numpy()
    logits = table[0, PADDING, START] / temperature
    first = np.array([np.exp(logits[w]) if w in WORDS else 0.0 for w in range(VOCABULARY)])
    first /= first.sum()
    check_frequencies(tokens[:, 0], first)
    word = 4
    followers = tokens[tokens[:, 0] == word, 1]
    logits = table[0, START, word] / temperature
    second = np.array([np.exp(logits[w]) if w in WORDS else 0.0 for w in range(VOCABULARY)])
    check_frequencies(followers, second / second.sum())


def check_frequencies(tokens, probabilities):
    """Each frequency lies within five standard deviations of the binomial distribution."""
    assert len(tokens) > 300
    frequencies = np.bincount(tokens, minlength=VOCABULARY) / len(tokens)
    deviation = np.sqrt(probabilities * (1 - probabilities) / len(tokens))
    assert np.all(np.abs(frequencies - probabilities) <= 5 * deviation + 1e-12)


def test_seed_fixes_the_samples():
    table = random_table(50)
    runs = [sample(*model(table), seed=seed, **ARGUMENTS).tokens.numpy() for seed in (1, 1, 2)]
    np.testing.assert_array_equal(runs[0], runs[1])
    assert runs[0].shape != runs[2].shape or np.any(runs[0] != runs[2])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s, x: greedy(s, x, **{**ARGUMENTS, "max_steps": 0}), "`max_steps` must be at le"),
        (lambda s, x: greedy(s, {}, **ARGUMENTS), "`state` must hold at least one tensor"),
        (lambda s, x: sample(s, x, temperature=-1.0, **ARGUMENTS), "`temperature` must be 0 or"),
        (lambda s, x: beam_search(s, x, beam_width=0, **ARGUMENTS), "`beam_width` must be at le"),
        (lambda s, x: beam_search(s, x, length_penalty=-1, **ARGUMENTS), "`length_penalty` must"),
    ],
)
def test_wrong_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(*model(random_table(2)))
