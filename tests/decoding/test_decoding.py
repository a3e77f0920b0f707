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
from custom_layers.decoding.sampling import most_probable

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


def beam_by_hand(table, row, width, alpha, steps):
    """Best sentence of a beam that never stops before `steps`, in plain Python."""
    beam = [()]
    for _ in range(steps):
        longer = [(*s, w) for s in beam if END not in s for w in WORDS]
        candidates = [s for s in beam if END in s] + longer
        beam = sorted(candidates, key=lambda s: -score(table, row, s, alpha))[:width]
    return beam[0]


@pytest.mark.parametrize("alpha", [0.0, 0.6, 2.0])
@pytest.mark.parametrize(("width", "steps"), [(2, 12), (4, 7)])
def test_stopping_early_changes_no_result(alpha, width, steps):
    table = random_table(12, seed=5)
    table[..., END] -= 1.0
    arguments = {**ARGUMENTS, "max_steps": steps}
    options = {"beam_width": width, "length_penalty": alpha, **arguments}
    decoded = beam_search(*model(table), **options)
    expected = [beam_by_hand(table, row, width, alpha, steps) for row in range(12)]
    assert unpadded(decoded.tokens) == expected
    for row in (0, 1):  # alone, a sentence may stop before the others
        assert unpadded(beam_search(*model(table, [row]), **options).tokens) == [expected[row]]


def test_the_beam_stops_when_no_open_hypothesis_can_win():
    table = np.zeros((1, VOCABULARY, VOCABULARY, VOCABULARY), "float32")
    table[..., START, END] = 3.0  # ending at once is best; after any other word none ever ends
    table[..., 3:, END] = -1e9
    taken = []
    step, state = model(table)

    def counted(tokens, state):
        taken.append(1)
        return step(tokens, state)

    decoded = beam_search(counted, state, beam_width=3, **{**ARGUMENTS, "max_steps": 500})
    assert unpadded(decoded.tokens) == [(END,)]
    assert len(taken) < 20


def test_the_beam_goes_on_while_a_longer_sentence_may_win_by_its_length():
    """Ending at once leads at step 1; by (1) the other hypothesis overtakes it at step 2."""
    table = np.full((1, VOCABULARY, VOCABULARY, VOCABULARY), -20.0, "float32")
    table[..., START, END], table[..., START, 3], table[..., 3, 3] = np.log(0.55), np.log(0.45), 20
    decoded = beam_search(*model(table), beam_width=2, length_penalty=3.0, **ARGUMENTS)
    assert unpadded(decoded.tokens) == [(3, 3, 3, 3)]


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
    "truncated": lambda *args, **kwargs: sample(*args, top_k=1, top_p=0.9, **kwargs),
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


def kept_by_hand(logits, temperature, top_k, top_p):
    """Probabilities of the truncated distribution of one step, float64, token by token."""
    p = {w: np.exp(float(logits[w]) / temperature) for w in WORDS}
    ranked = sorted(p, key=lambda w: (-p[w], w))[:top_k]
    total, chosen = sum(p[w] for w in ranked), []
    for word in ranked:
        if sum(p[w] for w in chosen) / total >= (1.0 if top_p is None else top_p):
            break
        chosen.append(word)
    total = sum(p[w] for w in chosen)
    return np.array([p[w] / total if w in chosen else 0.0 for w in range(VOCABULARY)])


TRUNCATIONS = [
    *[(1.0, 2, None), (0.7, 3, None), (1.5, 99, None)],
    *[(1.0, None, 0.5), (1.5, None, 0.9), (1.0, None, 1.0), (1.0, None, 1e-6)],
    *[
        (1.0, 3, 0.6),
        (2.0, 2, 0.6),
        (1.0, 3, 1.0),
        (1.0, np.int64(2), np.float32(0.9)),
        (1.0, None, np.float64(0.8)),
    ],
]


@pytest.mark.parametrize(("temperature", "top_k", "top_p"), TRUNCATIONS)
def test_truncated_samples_follow_the_renormalised_distribution(temperature, top_k, top_p):
    draws, table = 20_000, random_table(1, seed=8)
    table[0, ..., PADDING] += 20  # forbidden: it takes no place among the k and no part of p
    decoded = sample(
        *model(table, np.zeros(draws, int)),
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        seed=11,
        **{**ARGUMENTS, "max_steps": 1},
    )
    tokens = decoded.tokens.numpy()[:, 0]
    expected = kept_by_hand(table[0, PADDING, START], temperature, top_k, top_p)
    assert set(tokens) <= set(np.flatnonzero(expected))
    check_frequencies(tokens, expected)
    np.testing.assert_allclose(
        decoded.log_probabilities, np.log(expected[tokens]), rtol=1e-5, atol=1e-6
    )


def test_the_truncations_above_are_not_all_alike():
    logits = random_table(1, seed=8)[0, PADDING, START]
    sizes = [np.count_nonzero(kept_by_hand(logits, *setting)) for setting in TRUNCATIONS]
    assert set(sizes) == {1, 2, 3, 4}
    assert sizes[TRUNCATIONS.index((1.0, 3, 0.6))] < 3  # p cuts what k left
    assert sizes[TRUNCATIONS.index((1.0, None, 1.0))] == len(WORDS)


@pytest.mark.parametrize(("top_k", "top_p"), [(2, None), (None, 0.6), (3, 0.7)])
def test_log_probabilities_of_truncated_sentences_add_up(top_k, top_p):
    table = random_table(40, seed=6)
    decoded = sample(*model(table), top_k=top_k, top_p=top_p, seed=2, **ARGUMENTS)
    for row, sentence in enumerate(unpadded(decoded.tokens)):
        total, previous, last = 0.0, PADDING, START
        for token in sentence:
            p = kept_by_hand(table[row, previous, last], 1.0, top_k, top_p)
            total, previous, last = total + np.log(p[token]), last, token
        np.testing.assert_allclose(decoded.log_probabilities[row], total, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("truncation", [{"top_k": 1}, {"top_p": 1e-9}, {"top_k": 1, "top_p": 0.5}])
def test_a_single_candidate_is_greedy_at_any_temperature(truncation):
    table = np.round(random_table(60))  # rounding makes ties
    best = greedy(*model(table), **ARGUMENTS).tokens
    for temperature in (0.3, 1.0, 50.0):
        decoded = sample(*model(table), temperature=temperature, **truncation, **ARGUMENTS)
        np.testing.assert_array_equal(decoded.tokens, best)
        np.testing.assert_allclose(decoded.log_probabilities, 0, atol=1e-6)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_ties_go_to_the_smaller_token_number(jit_compile):
    even = np.log([[0.1, 0.3, 0.3, 0.3], [0.25, 0.25, 0.25, 0.25]]).astype("float32")
    cut = tf.function(most_probable, jit_compile=jit_compile)
    for top_k, top_p, kept in [(2, None, [[1, 2], [0, 1]]), (None, 0.4, [[1, 2], [0, 1]])]:
        p = np.exp(cut(even, top_k, top_p))
        assert [list(np.flatnonzero(row)) for row in p] == kept
        np.testing.assert_allclose(p.sum(-1), 1, rtol=1e-6)


def test_forbidden_tokens_stay_forbidden_when_fewer_than_k_are_left():
    table = random_table(200, seed=9)
    table[..., START] += 30
    decoded = sample(*model(table), top_k=5, top_p=0.999, temperature=3.0, **ARGUMENTS)
    for sentence in unpadded(decoded.tokens):
        assert set(sentence) <= set(WORDS)
    assert np.all(np.isfinite(decoded.log_probabilities))


def test_a_step_without_probability_for_a_token_never_yields_it():
    table = random_table(200, seed=9)
    table[..., 4] = -np.inf
    for truncation in ({"top_k": 5}, {"top_p": 1.0}, {"top_k": 5, "top_p": 0.9}):
        decoded = sample(*model(table), **truncation, **ARGUMENTS)
        assert not any(4 in sentence for sentence in unpadded(decoded.tokens))
        assert np.all(np.isfinite(decoded.log_probabilities))


def test_a_cold_numpy_temperature_is_greedy_too():
    table = random_table(30)
    decoded = sample(*model(table), temperature=np.float32(0), top_k=3, **ARGUMENTS)
    np.testing.assert_array_equal(decoded.tokens, greedy(*model(table), **ARGUMENTS).tokens)


def test_seed_fixes_the_samples():
    table = random_table(50)
    runs = [sample(*model(table), seed=seed, **ARGUMENTS).tokens.numpy() for seed in (1, 1, 2)]
    np.testing.assert_array_equal(runs[0], runs[1])
    assert runs[0].shape != runs[2].shape or np.any(runs[0] != runs[2])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s, x: greedy(s, x, **{**ARGUMENTS, "max_steps": 0}), "`max_steps` must be at le"),
        (lambda s, x: greedy(s, x, **{**ARGUMENTS, "max_steps": np.int64(0)}), "`max_steps` must"),
        (lambda s, x: greedy(s, x, **{**ARGUMENTS, "max_steps": 2.5}), "an integer. Received: max"),
        (lambda s, x: greedy(s, {}, **ARGUMENTS), "`state` must hold at least one tensor"),
        (lambda s, x: greedy(s, {"x": None}, **ARGUMENTS), "a nest of tensors. Received: a None"),
        (lambda s, x: greedy(s, [tf.constant(3)], **ARGUMENTS), r"batch as its first.*shape \(\)"),
        (lambda s, x: greedy(s, (x, tf.zeros(3)), **ARGUMENTS), r"same first axis.*\[2, 3\]"),
        (lambda s, x: sample(s, x, temperature=-1.0, **ARGUMENTS), "`temperature` must be 0 or"),
        (lambda s, x: sample(s, x, temperature=np.float32(-1), **ARGUMENTS), "`temperature` must"),
        (lambda s, x: sample(s, x, top_k=0, **ARGUMENTS), "^sample: `top_k` must.*top_k=0. Pass"),
        (lambda s, x: sample(s, x, top_k=-3, **ARGUMENTS), "`top_k` must be an integer of 1"),
        (lambda s, x: sample(s, x, top_k=2.0, **ARGUMENTS), "`top_k` must be an integer of 1"),
        (lambda s, x: sample(s, x, top_k=True, **ARGUMENTS), "`top_k` must be an integer of 1"),
        (lambda s, x: sample(s, x, top_p=0, **ARGUMENTS), "^sample: `top_p` must.*top_p=0. Pass"),
        (lambda s, x: sample(s, x, top_p=1.01, **ARGUMENTS), "`top_p` must be greater than 0"),
        (lambda s, x: sample(s, x, top_p=float("nan"), **ARGUMENTS), "`top_p` must be greater"),
        (lambda s, x: sample(s, x, top_p="0.9", **ARGUMENTS), "`top_p` must be greater"),
        (lambda s, x: sample(s, x, temperature=0, top_k=0, **ARGUMENTS), "`top_k` must"),
        (lambda s, x: beam_search(s, x, beam_width=0, **ARGUMENTS), "`beam_width` must be at le"),
        (lambda s, x: beam_search(s, x, beam_width=2.5, **ARGUMENTS), "an integer. Received: beam"),
        (lambda s, x: beam_search(s, x, length_penalty=-1, **ARGUMENTS), "`length_penalty` must"),
    ],
)
def test_wrong_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call(*model(random_table(2)))
    assert "\n" not in str(caught.value)
