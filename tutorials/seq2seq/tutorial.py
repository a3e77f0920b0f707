# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Sequences to sequences
#
# A recurrent network reads a sequence step by step, and may speak at each step, or at the last one
# alone, or after it has read all. So there are four shapes of task:
#
# | | reads | says | here |
# |---|---|---|---|
# | many to one | $x_1 \dots x_T$ | $y$ | digits, their sum |
# | one to many | $x$ | $y_1 \dots y_T$ | a number, its words |
# | many to many, aligned | $x_1 \dots x_T$ | $y_1 \dots y_T$ | digits, the largest so far |
# | many to many, not aligned | $x_1 \dots x_S$ | $y_1 \dots y_T$ | a written date, its ISO form |
#
# We train each of them, from Keras's layers and from those of `custom_layers`, which must agree (1 to
# 4). Then two questions about the last shape, which is translation's: what does it cost to squeeze a
# whole sequence into one vector, and what does attention save (5, 6)? And what should a decoder be fed
# with while it learns: the truth, or what it has said itself (7)?

# %%
import importlib.util
import os
import sys
from functools import partial
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if importlib.util.find_spec("tutorials") is None:  # a notebook starts in its own folder
    sys.path.insert(0, str(next(p for p in Path.cwd().parents if (p / "tutorials").is_dir())))

import keras
import numpy as np
import tensorflow as tf

import custom_layers
from custom_layers.debugging import record
from custom_layers.training import inverse_sigmoid_decay, linear_decay
from tutorials import page
from tutorials.seq2seq import claims, feeding, lengths_right, model, pictures, tasks
from tutorials.seq2seq.pictures import PATIENT, WITH, WITHOUT
from tutorials.side_by_side import train_both

PAGE = page.begin("seq2seq", "Every shape of sequence task, attention over length, what is fed in.")
BATCH, ALIKE = 64, 30  # the losses of so many batches are compared: rounding grows afterwards
pairs, scores = {}, {}

# %% [markdown]
# ## 1. Many to one
#
# The state after the last step has seen everything, $h_t = \mathrm{GRU}(E x_t, h_{t-1})$. Only it
# is read:
#
# $$\hat y = w^\top h_T + b \qquad (1)$$
#
# The sum is said in tens, so that it is near 1. `train_both` builds the network from `keras.layers` and
# from `custom_layers`, from the same weights, and calls `fit` on the same batches.

# %%
train = tasks.digit_sums(BATCH * (15 if PAGE.fast else 500), steps=6, seed=0)
test = tasks.digit_sums(500, steps=6, seed=1)
pairs["many to one"] = train_both(model.adder, *train, batch_size=BATCH, shuffle=False)
adder = pairs["many to one"].custom
sums = model.answers(adder, test.x)
scores["many to one"] = float(np.mean(np.round(10 * sums) == np.round(10 * test.y)))
for digits, said in zip(test.x[:3], sums[:3, 0], strict=True):
    print(" + ".join(map(str, digits)), f"= {10 * said:.2f}, that is {digits.sum()}")

# %% [markdown]
# ## 2. Many to many, aligned
#
# With `return_sequences=True` the layer hands over the state of every step, and a readout is applied to
# each. An answer sees what was read up to its own step and nothing of what comes:
#
# $$\ell_t = W h_t + b \qquad (2)$$

# %%
train = tasks.running_maxima(BATCH * (15 if PAGE.fast else 300), steps=10, seed=0)
test = tasks.running_maxima(500, steps=10, seed=1)
pairs["aligned"] = train_both(model.tagger, *train, batch_size=BATCH, shuffle=False)
largest = model.tokens_of(pairs["aligned"].custom, test.x)
scores["aligned"] = float(np.mean(largest == test.y))

# %% [markdown]
# ## 3. One to many, and how a decoder is fed
#
# Now the network speaks on its own. It begins with a state that is made from the one input. But what
# does it *read* at each step? What has been said before, one token at a time, and so every token can
# follow from all before it:
#
# $$h_t = \mathrm{GRU}(E f_t, h_{t-1}), \qquad \ell_t = W h_t + b, \qquad f_1 = \text{start} \qquad (3)$$
#
# In training the truth is known, and is fed in: $f_{t+1} = y_t$. This is **teacher forcing** (Williams
# and Zipser 1989), and all steps can be computed by one call of a recurrent layer. In use there is
# no truth. The decoder **runs free**, on its own tokens: $f_{t+1} = \arg\max \ell_t$. So one network has
# two ways to be run, and `custom_layers.RNNDecoder` is a layer that has both. It is put together from
# the three layers that one would write anyway:

# %%
decoder = custom_layers.RNNDecoder(
    custom_layers.Embedding(10, 4),
    custom_layers.GRU(8, return_sequences=True),
    custom_layers.Dense(10),
    start_token=tasks.START,
)
some_targets, some_state = np.array([[4, 7, 5, 2]]), np.zeros((1, 8), "float32")
forced = decoder(some_targets, initial_state=[some_state])
free = decoder(initial_state=[some_state], steps=4)
own_tokens = np.argmax(free, axis=-1)

# %% [markdown]
# Two facts fix what it does. Fed with the truth, it is the ordinary model, to the last bit. And when it
# is made to follow the tokens that it has said itself, it says them again.

# %%
embed, gru, readout = decoder.embedding, decoder.rnn, decoder.readout
ordinary = readout(gru(embed(np.array([[tasks.START, 4, 7, 5]])), initial_state=[some_state]))
forced_apart = float(np.abs(forced - ordinary).max())
again = decoder(own_tokens, initial_state=[some_state])
free_apart = float(np.abs(again - free).max())
print(f"forced - ordinary: {forced_apart:.1e}, free - its own tokens: {free_apart:.1e}")

# %% [markdown]
# The task: the numbers below 1000, three digits in one vector, to be spelled. 200 are held out.

# %%
train, test, words = tasks.spelled_numbers(held_out=200, seed=0)
pairs["one to many"] = train_both(
    lambda layers: model.speller(layers, len(words)),
    [train.x, train.y],
    train.y,
    batch_size=BATCH,
    epochs=2 if PAGE.fast else 60,
)
speller = pairs["one to many"].custom
spelled = model.tokens_of(speller.running_free(test.y.shape[1]), test.x)
scores["one to many"] = float(model.right(spelled, test.y).mean())
for x, tokens in zip(test.x[:3], spelled[:3], strict=True):
    print(*x.reshape(3, 10).argmax(axis=-1), "->", " ".join(words.decode(tokens)))

# %% [markdown]
# ## 4. Many to many, not aligned
#
# Put the two together: an **encoder** reads a sequence to its end, and its last state is the decoder's
# first (Sutskever et al. 2014, arXiv:1409.3215; Cho et al. 2014 hand it to every step as well):
#
# $$h_s = \mathrm{GRU}(E x_s, h_{s-1}), \qquad g_t = \mathrm{GRU}(E' f_t, g_{t-1}), \qquad g_0 = h_S
#   \qquad (4)$$
#
# $$\ell_t = W g_t + b \qquad (5)$$
#
# Lengths are now free, and so is the order. And all that passes from one to the other is $h_S$, however
# long the sequence was. With **attention** the decoder reads all states of the encoder again, each as
# much as it fits its own (here as in Luong et al. 2015, arXiv:1508.04025, with a trained scale $w$):
#
# $$a_{ts} = \mathrm{softmax}_s(w\, g_t^\top h_s), \qquad c_t = \sum_s a_{ts} h_s \qquad (6)$$
#
# $$\ell_t = W \tanh(W_c [c_t ; g_t]) + b \qquad (7)$$
#
# Dates as people write them, character by character, are to be said in the form of ISO 8601:

# %%
dates = tasks.dates(320 if PAGE.fast else 6000, held_out=500, seed=0)
pairs["not aligned"] = train_both(
    lambda layers: model.translator(
        layers, len(dates.source), len(dates.target), 64, attention=True
    ),
    [dates.train.x, dates.train.y],
    dates.train.y,
    batch_size=BATCH,
    epochs=1 if PAGE.fast else 5,
)
translator = pairs["not aligned"].custom
said = model.tokens_of(translator.running_free(dates.test.y.shape[1]), dates.test.x)
scores["not aligned"] = float(model.right(said, dates.test.y).mean())
for text, tokens in zip(dates.texts[:5], said[:5], strict=True):
    print(f"{text:28} {''.join(dates.target.decode(tokens))}")

# %% [markdown]
# All four, on new examples (of the sums, some few in a hundred chance to have been learnt); running free
# where there is a decoder. And how far the losses of the two namespaces are apart:

# %%
apart = {name: pair.apart(ALIKE) for name, pair in pairs.items()}
for name, score in scores.items():
    print(f"{name:12} right {score:.3f}   losses apart {apart[name]:.1e}")

# %% [markdown]
# Where does the date's decoder look? `record` takes the attention weights out of a call of the decoder,
# and the gradients with them. The longest of the held-out dates, each row a character that is said:

# %%
longest = int(np.argmax([len(text) for text in dates.texts]))
row = slice(longest, longest + 1)
with record(translator.training) as trace, tf.GradientTape() as tape:
    logits = translator.training([dates.test.x[row], dates.test.y[row]])
    loss = tf.reduce_mean(model.masked_loss(dates.test.y[row], logits))
recording = trace.read(tape, loss)
name = next(name for name in recording if name.endswith("attention/attention_weights"))
attended = recording[name].value.numpy()[0]
written, tokens = dates.texts[longest], dates.target.decode(dates.test.y[longest])
shown = attended[: len(tokens), : len(written)]
PAGE.show(pictures.save_alignment(shown, list(written), tokens, PAGE.out / "alignment.png"))

# %% [markdown]
# ## 5. What a fixed vector is slow to learn
#
# Bahdanau et al. 2015 (arXiv:1409.0473, figure 2) drew the quality of a translation over the length of
# the sentence. Without attention it fell; with attention it did not, if the network had been trained on
# sentences of up to 50 words. The same picture, of a task where nothing but memory counts: up to twelve
# different letters are read, and said **backwards**. The networks differ in (5) or (7) and in nothing
# else, and get the same batches; a third one, without attention, gets many more. We also ask for lengths
# that none has ever seen.

# %%
LONGEST, LETTERS = 12, 20
LENGTHS = range(2, 17, 2) if PAGE.fast else range(1, 19)
STEPS, MORE_STEPS, SEEDS = (15, 15, 1) if PAGE.fast else (700, 6000, 2)
slowing = keras.optimizers.schedules.CosineDecay(5e-3, MORE_STEPS)  # a rate that ends at 0
tests = {
    n: tasks.reversed_letters(np.full(200, n), LETTERS, seed=n, width=max(LENGTHS)) for n in LENGTHS
}


def reverser(attention, **options):
    words = tasks.FIRST + LETTERS
    return model.translator(custom_layers, words, words, 64, attention, **options)


reversers, right = {}, {}
for name, make, steps, seeds in (
    (WITHOUT, partial(reverser, False), STEPS, range(SEEDS)),
    (WITH, partial(reverser, True), STEPS, range(SEEDS)),
    (PATIENT, partial(reverser, False, learning_rate=slowing), MORE_STEPS, range(1)),
):
    lengths = np.random.default_rng(0).integers(1, LONGEST + 1, BATCH * steps)
    train = tasks.reversed_letters(lengths, LETTERS, seed=0)
    reversers[name], right[name] = lengths_right.learn(make, seeds, train, tests, batch_size=BATCH)
    means = zip(LENGTHS, right[name].mean(axis=0), strict=True)
    print(f"{name:30}", *(f"{length}:{share:.2f}" for length, share in means))
over_length = pictures.save_accuracy_over_length(LENGTHS, right, LONGEST, PAGE.out / "picture.png")
PAGE.show(over_length)

# %% [markdown]
# Within the lengths that were learnt (white), after 700 updates the fixed vector does well on short
# sequences and fails on long ones, and attention on none. It is not that 64 numbers could not hold
# twelve letters: with nine times the updates the same network says nearly all of them. But to pack a
# sequence into one vector takes longer to learn, the longer it is. Attention need not pack.
#
# And beyond (grey)? Attention is lost within two letters, the patient vector within four. That attention
# can look at any number of states does not say that it knows where to look in more than it has seen.
#
# ## 6. The gradient's way
#
# The same, seen from the loss. Without attention there is one door, the last state: whatever the loss
# has to say to an early state must go back through all later ones. With attention each state has a door
# of its own, $\partial L / \partial h_s$ through $c_t$ in (6) directly. `record` measures both, on
# networks that have learnt nothing yet and on those of section 5.

# %%
example = tasks.reversed_letters(np.full(64, LONGEST), LETTERS, seed=77)
norms: dict[str, dict[str, np.ndarray]] = {"before training": {}, "after training": {}}
for name, attention in ((WITHOUT, False), (WITH, True)):
    keras.utils.set_random_seed(0)
    norms["before training"][name] = lengths_right.norms_by_state(reverser(attention), example)
    norms["after training"][name] = lengths_right.norms_by_state(reversers[name], example)
PAGE.show(pictures.save_gradients_by_state(norms, PAGE.out / "gradients.png"))

# %% [markdown]
# Before training (left), without attention the first letter's state hears less than a hundredth of what
# the last one hears; with attention all hear about as much. After training (right) the lines run more
# alike: a network that has learnt to keep its states has learnt to keep their gradients, too. (The blue
# line lies lower because its loss does.) Attention helps most where nothing has been learnt yet.
#
# ## 7. What a decoder is fed with
#
# A decoder that was always fed with the truth has never seen a mistake; when it runs free it meets its
# own. This difference between training and use is called **exposure bias**. Bengio et al. 2015
# (arXiv:1506.03099) proposed **scheduled sampling**: at each step throw a coin, and feed the decoder's
# own token with probability $p$,
#
# $$f_{t+1} = o_t \text{ if } u_t < p_i \text{ else } y_t, \qquad
#   o_t \sim \mathrm{softmax}(\ell_t) \qquad (8)$$
#
# where $p_i$ grows with the training step $i$, for instance by the "inverse sigmoid"
#
# $$1 - p_i = \frac{k}{k + e^{i / k}} \qquad (9)$$
#
# `RNNDecoder(..., sampling_probability=0.0)` has a variable for $p$, and the callback
# `ScheduledSampling(decoder, inverse_sigmoid_decay(k))` sets it before each step. A token that has been
# chosen has no gradient. So the layer first finds the tokens, step by step and without a gradient, and
# then computes everything as if they had been given: training stays the training of an ordinary
# network, and gates and states can be watched in it as always.
#
# We compare four ways from the same weights and on the same batches: teacher forcing ($p = 0$); two
# schedules, a straight line up to one quarter and (9), which ends near 1; and its own draws from the
# first step on ($p = 1$). The network is the one without attention, half as wide, at ten letters, where
# it makes mistakes.

# %%
SIZE, FEED_STEPS, FEED_SEEDS = 10, *((10, 1) if PAGE.fast else (400, 3))
ways = {
    "teacher forcing": lambda step: 1.0,
    "linear": linear_decay(1, 0.25 / FEED_STEPS, floor=0.75),
    "inverse sigmoid": inverse_sigmoid_decay(2 if PAGE.fast else 60),
    "own tokens": lambda step: 0.0,
}
train = tasks.reversed_letters(np.full(BATCH * FEED_STEPS, SIZE), LETTERS, seed=5)
test = tasks.reversed_letters(np.full(1000, SIZE), LETTERS, seed=6)


def fed():
    words = tasks.FIRST + LETTERS
    return model.translator(
        custom_layers, words, words, 32, attention=False, sampling_probability=0.0
    )


start, measured = feeding.FreshStart(fed()), []
for seed in range(FEED_SEEDS):
    keras.utils.set_random_seed(seed)
    weights = fed().training.get_weights()
    measured.append(
        feeding.train_each_way(start, weights, ways, train, test, seed, batch_size=BATCH)
    )

# %%
shares = {
    way: {
        "fed the truth": [of_seed[way].forced for of_seed in measured],
        "running free": [of_seed[way].free for of_seed in measured],
    }
    for way in ways
}
probabilities = {
    way: np.array([1 - decay(step) for step in range(FEED_STEPS)]) for way, decay in ways.items()
}
PAGE.show(pictures.save_feeding(probabilities, shares, PAGE.out / "feeding.png"))
fed_truth, run_free = (
    {way: float(np.mean(each[kind])) for way, each in shares.items()}
    for kind in ("fed the truth", "running free")
)
for way in ways:
    print(f"{way:15} fed the truth {fed_truth[way]:.3f}, running free {run_free[way]:.3f}")

# %% [markdown]
# Of 20 letters, guessing gets one in twenty. As found, with every seed:
#
# - **Nobody corrects it, and it is right less often.** What teacher forcing has taught loses about a
#   third of its right tokens when it runs free. Not all of that is exposure bias: the true letters also
#   tell what has been said already, and a free run lacks that, whatever it was trained on.
# - **Sampling takes the difference away, and from the wrong side.** The more of its own tokens a decoder
#   was fed with, the less it loses; but it does not speak better when it runs free, it profits less from
#   the truth. Teacher forcing is ahead even where it has never been trained, its own tokens from
#   the first step on come next, and both schedules are behind.
#
# So it is here, with so many steps for each. In the paper, on captions, parsing and speech, it helped.
# Huszár 2015 (arXiv:1511.05101) shows why it need not: while the decoder's own tokens come in, the
# labels still are those of the true ones, and the best it can do is to heed less what is fed in and to
# learn what usually stands at a place. Our labels go on after a wrong letter as if it had been right.
#
# ## What has been claimed, checked

# %%
figures = claims.figures_of(apart, scores, LENGTHS, right, LONGEST, run_free)
PAGE.report(
    "A fixed vector learns long sequences slowly, attention soon; neither goes far beyond those learnt.",
    figures,
    over_length,
)


def check():
    """Raise AssertionError for the first claim that does not hold."""
    assert max(apart.values()) <= 1e-5, apart
    assert forced_apart == 0, "fed with the truth, the decoder is the ordinary model"
    assert free_apart < 1e-6, "it says again what it follows of its own"
    np.testing.assert_allclose(attended.sum(axis=-1), 1, rtol=1e-5)
    untaught, taught = norms.values()
    assert untaught[WITHOUT][0] < 0.01 * untaught[WITHOUT][-1], "one door, far away"
    assert untaught[WITH].min() > 0.3 * untaught[WITH].max(), "with attention a door for each state"
    kept_before, kept = (norm[WITHOUT][0] / norm[WITHOUT][-1] for norm in (untaught, taught))
    assert PAGE.fast or kept > 3 * kept_before, "who has learnt to keep a state keeps its gradient"
    if not PAGE.fast:  # a few steps teach nothing
        claims.check_what_was_learnt(scores, LENGTHS, right, LONGEST, shares)


check()
print("all claims hold")
