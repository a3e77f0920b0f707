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
# # The simple recurrent network
#
# A network that reads a sequence needs a way to keep what it has read. Jeffrey Elman's is the simplest
# there is: the hidden layer reads, beside the input, **its own values of the step before**.
#
# We write that network down, unroll it, find the gradient of every weight and bias by hand, and check
# each number. We answer why some books give it two biases and Keras one. Then we train it with `fit`.
#
# The chain rule through long sequences, LSTM, GRU and truncation have a page of their own,
# [`backpropagation_through_time`](../backpropagation_through_time/tutorial.ipynb). What becomes of
# gradients over many steps is on [`vanishing_gradients`](../vanishing_gradients/tutorial.ipynb).
#
# We write $dq$ for $\partial L / \partial q$, an array of the same shape as $q$.

# %%
import importlib.util
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if importlib.util.find_spec("tutorials") is None:  # a notebook starts in its own folder
    sys.path.insert(0, str(next(p for p in Path.cwd().parents if (p / "tutorials").is_dir())))

import keras
import numpy as np
import tensorflow as tf

import custom_layers
from custom_layers.debugging import GradientInspector
from custom_layers.debugging.tables import read_log
from tutorials import page
from tutorials.simple_rnn import pictures
from tutorials.simple_rnn.central_differences import central_differences
from tutorials.simple_rnn.layer_gradients import layer_gradients
from tutorials.simple_rnn.model import build, build_without_loop
from tutorials.simple_rnn.temporal_xor import best_loss, draw_bits, is_third

PAGE = page.begin("simple_rnn", "An Elman network: unrolled, differentiated by hand, and trained.")
rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. The network
#
# At each step $t$ it reads $x_t$ and its own state $h_{t-1}$, makes a new state, and says something
# about it, here a logit $z_t$: how likely is it that the answer $y_t$ is 1?
#
# $$a_t = x_t W + b_x + h_{t-1} U + b_h \qquad (1)$$
# $$h_t = \tanh(a_t), \qquad h_0 = 0 \qquad (2)$$
# $$z_t = h_t V + c \qquad (3)$$
# $$L = \frac1N \sum_{t} \ln(1 + e^{z_t}) - y_t z_t \qquad (4)$$
#
# (4) is the binary cross-entropy of a logit, over all $N$ answers of the batch. For now the network
# has two biases, one for each of the two products: $b_x$ for the input, $b_h$ for the hidden state.
# Float64 throughout, so that "equal" can mean equal to the twelfth digit.

# %%
batch, steps, features, units = 3, 5, 2, 4
x = rng.standard_normal((batch, steps, features))
y = rng.integers(0, 2, (batch, steps, 1)).astype(float)
weights = {
    "W": 0.7 * rng.standard_normal((features, units)),
    "U": 0.7 * rng.standard_normal((units, units)),
    "b_x": 0.5 * rng.standard_normal(units),
    "b_h": 0.5 * rng.standard_normal(units),
    "V": 0.7 * rng.standard_normal((units, 1)),
    "c": 0.5 * rng.standard_normal(1),
}


def forward(x, w):
    """States h_0, ..., h_T, and logits z_1, ..., z_T."""
    h, z = [np.zeros((len(x), len(w["U"])))], []
    for t in range(x.shape[1]):
        a = x[:, t] @ w["W"] + w["b_x"] + h[-1] @ w["U"] + w["b_h"]  # (1)
        h.append(np.tanh(a))  # (2)
        z.append(h[-1] @ w["V"] + w["c"])  # (3)
    return h, np.stack(z, axis=1)


def loss_of(z, y):
    return np.mean(np.logaddexp(0, z) - y * z)  # (4)


h, z = forward(x, weights)
print(f"loss {loss_of(z, y):.4f}; states {len(h)} of {h[0].shape}; logits {z.shape}")

# %% [markdown]
# ## 2. Unrolled
#
# The loop is short, and hides how deep the network is. Write it out, a line for each step, and it is a
# plain feed-forward network of as many layers as there are steps. Two things are unusual about it. Each
# layer gets an input of its own. And **all layers have the same weights**.
#
# Let us take that literally, and give every step a copy of its own: $U_1, U_2, \dots$ A tape tells the
# gradient of each copy.

# %%
copies = [{name: tf.constant(array) for name, array in weights.items()} for _ in range(steps)]
with tf.GradientTape() as tape:
    tape.watch(copies)
    state, logits = tf.zeros((batch, units), tf.float64), []
    for t, own in enumerate(copies):  # one layer of the unrolled network
        state = tf.tanh(x[:, t] @ own["W"] + own["b_x"] + state @ own["U"] + own["b_h"])
        logits.append(state @ own["V"] + own["c"])
    unrolled = tf.stack(logits, axis=1)
    loss = tf.reduce_mean(tf.nn.softplus(unrolled) - y * unrolled)
by_copy = tape.gradient(loss, copies)
print("|dU_t| of each copy:", [f"{np.linalg.norm(own['U']):.4f}" for own in by_copy])

# %% [markdown]
# The copies are no weights that one could move one by one: they are one $U$. Move it, and all copies
# move. So the gradient of a shared weight is **the sum over its copies**, and that is the whole secret
# of back-propagation through time:
#
# $$dU = dU_1 + dU_2 + \dots + dU_T \qquad (5)$$
#
# ($dU_1$ is zero, for $U_1$ reads $h_0 = 0$.)
#
# ## 3. Every gradient, by hand
#
# Backwards through (4), (3), (2) and (1). A state $h_t$ is read at two places, by its logit and by the
# next step, and so (8) has two terms; nothing comes after the last step, and so $da_{T+1} = 0$:
#
# $$dz_t = (\sigma(z_t) - y_t) / N \qquad (6)$$
# $$dV = \sum_t h_t^\top dz_t \qquad dc = \sum_t dz_t \qquad (7)$$
# $$dh_t = dz_t V^\top + da_{t+1} U^\top, \qquad da_{T+1} = 0 \qquad (8)$$
# $$da_t = dh_t \odot (1 - h_t^2) \qquad (9)$$
# $$dW = \sum_t x_t^\top da_t \qquad dU = \sum_t h_{t-1}^\top da_t \qquad (10)$$
# $$db_x = \sum_t da_t \qquad db_h = \sum_t da_t \qquad (11)$$
#
# The sums go over the sequences of the batch as well. The products in (7) and (10) do that by
# themselves; for a bias it has to be said.


# %%
def backward(x, y, h, z, w):
    """The gradient of every weight and bias, and |dh_t| of every step."""
    d = {name: np.zeros_like(array) for name, array in w.items()}
    d_z = (1 / (1 + np.exp(-z)) - y) / y.size  # (6)
    later, norms = np.zeros_like(h[0]), []  # nothing comes after the last step
    for t in reversed(range(x.shape[1])):
        d["V"] += h[t + 1].T @ d_z[:, t]  # (7)
        d["c"] += d_z[:, t].sum(axis=0)  # (7)
        d_h = d_z[:, t] @ w["V"].T + later  # (8)
        d_a = d_h * (1 - h[t + 1] ** 2)  # (9)
        d["W"] += x[:, t].T @ d_a  # (10)
        d["U"] += h[t].T @ d_a  # (10): h[t] is the state before this step
        d["b_x"] += d_a.sum(axis=0)  # (11)
        d["b_h"] += d_a.sum(axis=0)  # (11)
        later = d_a @ w["U"].T  # (8), for the step before
        norms.append(np.linalg.norm(d_h))
    return d, norms[::-1]


by_hand, norms = backward(x, y, h, z, weights)
of_copies = [float(np.linalg.norm(own["U"])) for own in by_copy]
first = [state[0] for state in h]
PAGE.show(pictures.save_unrolled(first, norms, of_copies, PAGE.out / "unrolled.png"))

# %% [markdown]
# Left the network with its loop, right the same network unrolled. The little squares are the states of
# the first sequence.
#
# ## 4. Three witnesses
#
# **The tape**, by equation (5): the sum of the gradients of all copies. And **central differences**,
# which know no calculus: move one number a little up and down, and see what the loss does. The network
# is so small that we can ask for every single number of it.

# %%
by_tape = {name: np.sum([own[name] for own in by_copy], axis=0) for name in weights}
by_difference = central_differences(lambda w: loss_of(forward(x, w)[1], y), weights)


def apart(own, other):
    """Largest difference, as a share of the largest entry."""
    return float(np.abs(own - other).max() / np.abs(other).max())


checked = sum(array.size for array in weights.values())
print(f"{checked} numbers     tape   differences")
tape_apart = max(apart(gradient, by_tape[name]) for name, gradient in by_hand.items())
for name, gradient in by_hand.items():
    print(f"d{name:4} {gradient.size:4} {apart(gradient, by_tape[name]):12.1e}", end="")
    print(f" {apart(gradient, by_difference[name]):12.1e}")

# %% [markdown]
# ## 5. Why two biases have one gradient
#
# Look at (11): $db_x$ and $db_h$ are the same sum. The reason is in (1). The two biases are only ever
# **added**. Nothing can tell $b_x = 3, b_h = 0$ from $b_x = 1, b_h = 2$: the network is a function of
# $b = b_x + b_h$, and $\partial b / \partial b_x = \partial b / \partial b_h = 1$.

# %%
moved = {**weights, "b_x": weights["b_x"] + 0.3, "b_h": weights["b_h"] - 0.3}
same_function = np.abs(forward(x, moved)[1] - z).max()
print("the two gradients are one:", bool(np.all(by_hand["b_x"] == by_hand["b_h"])))
print(f"0.3 from one bias to the other: the logits move by {same_function:.1e}")

# %% [markdown]
# So Keras keeps one bias, $b$. Its `SimpleRNN` can do all that the network of (1) can. Other libraries
# keep two, because the kernel for graphics cards that they call has two. They are not wrong, but there
# is a small price: both biases take the same step, so $b$ takes it **twice**. Gradient descent with two
# biases is gradient descent with one bias at twice its learning rate. By hand, ten steps of each:

# %%
rate = 0.5
two = dict(weights)
one = {**weights, "b_x": weights["b_x"] + weights["b_h"], "b_h": np.zeros(units)}
rates_of_one = {"b_x": 2 * rate, "b_h": 0.0}


def gradients(w):
    h, z = forward(x, w)
    return backward(x, y, h, z, w)[0]


for _ in range(10):
    of_two, of_one = gradients(two), gradients(one)
    two = {name: w - rate * of_two[name] for name, w in two.items()}
    one = {name: w - rates_of_one.get(name, rate) * of_one[name] for name, w in one.items()}
two_is_one_at_twice_the_rate = np.abs(forward(x, two)[1] - forward(x, one)[1]).max()
biases_moved = np.abs(two["b_x"] + two["b_h"] - weights["b_x"] - weights["b_h"]).max()
print(f"logits after 10 steps differ by {two_is_one_at_twice_the_rate:.1e}", end="")
print(f" (the biases moved by {biases_moved:.2f})")

# %% [markdown]
# There is one cell where the second bias is a weight of its own: the GRU, where a gate $r_t$ multiplies
# the hidden part alone, $n_t = \tanh(x_t W + b_x + r_t \odot (h_{t-1} U + b_h))$. There
# $db_h = \sum_t r_t \odot da_t$, and Keras's GRU keeps both. Its other two gates only add, and there
# the two gradients are equal again:

# %%
gru = custom_layers.GRU(units, dtype="float64", bias_initializer="normal")
with tf.GradientTape() as tape:
    sum_of_states = tf.reduce_sum(gru(tf.constant(x)))
d_bias = np.split(tape.gradient(sum_of_states, gru.cell.bias.value).numpy(), 3, axis=-1)
gru_apart = {name: apart(*d) for name, d in zip("zrn", d_bias, strict=True)}
print("db_x and db_h of the GRU differ by", {k: f"{v:.1e}" for k, v in gru_apart.items()})

# %% [markdown]
# ## 6. The third witness: the layer
#
# `custom_layers.SimpleRNN` is (1) and (2) with one bias. Its equations stand in
# `custom_layers/recurrent/simple_rnn.py` under the same letters. We give it our weights and ask for its
# gradients, of the framework (`gradient="autodiff"`) and of its own hand-written way back
# (`gradient="bptt"`, our loop). And Keras's own layer.


# %%
expected = {**by_hand, "b": by_hand["b_h"]}
layers_apart = {}
for name, found in {
    "custom_layers, bptt": layer_gradients(custom_layers, x, y, weights, gradient="bptt"),
    "custom_layers, autodiff": layer_gradients(custom_layers, x, y, weights),
    "keras.layers": layer_gradients(keras.layers, x, y, weights),
}.items():
    layers_apart[name] = max(apart(g, expected[weight]) for weight, g in found.items())
    print(f"{name:24} largest difference from our own: {layers_apart[name]:.1e}")

# %% [markdown]
# ## 7. A task: exclusive or, spread over time
#
# In 1990 Elman gave his network a stream of bits. Two are random, the third is their exclusive or, then
# two random ones again:
#
# $$b_3 = b_1 \oplus b_2, \quad b_6 = b_4 \oplus b_5, \quad \dots$$
#
# At every step the network is to say the next bit. Two of three cannot be known, and cost $\ln 2$ each,
# whatever one does. The third can, but only by a network that **remembers** the bit before this one, and
# that has **counted** which is the third: nothing in the stream marks it.

# %%
TRIPLES, UNITS, RATE, BATCH = 8, 16, 1e-2, 64
SEQUENCES, EPOCHS = (1024, 40) if PAGE.fast else (2048, 40)
bits, next_bits = draw_bits(SEQUENCES, TRIPLES, seed=1)
unseen, unseen_next = draw_bits(512, TRIPLES, seed=2)
best = best_loss(TRIPLES)
print("x", bits[0, :12, 0].astype(int), "\ny", next_bits[0, :12, 0].astype(int))
print(f"knowing nothing costs {np.log(2):.3f} a bit; the best there is, {best:.3f}")

# %% [markdown]
# The same model twice, from `keras.layers` and from `custom_layers`, from the same weights, on the same
# batches; still in float64, since a network that finds out all at once makes much of a rounding. On
# the second we set a `GradientInspector`: it writes the gradient of every weight, and of
# the state at every step, for TensorBoard, and leaves the training as it is.

# %%
keras.utils.set_random_seed(0)
models = {"keras.layers": build(keras.layers, UNITS, RATE)}
models["custom_layers"] = build(custom_layers, UNITS, RATE)
models["custom_layers"].set_weights(models["keras.layers"].get_weights())
EVERY = 20
inspector = GradientInspector(
    PAGE.out / "log", probe=(bits[:BATCH], next_bits[:BATCH]), every=EVERY
)
losses = {}
for name, model in models.items():
    watch = [inspector] if name == "custom_layers" else []
    history = model.fit(bits, next_bits, BATCH, EPOCHS, shuffle=False, callbacks=watch, verbose=0)
    losses[name] = history.history["loss"]
    print(f"{name:14} loss {losses[name][0]:.4f} at first, {losses[name][-1]:.4f} in the end")
losses_apart = float(np.abs(np.subtract(*losses.values())).max())
trained = [np.concatenate([np.ravel(w) for w in m.get_weights()]) for m in models.values()]
weights_apart = apart(*trained)
print(f"largest difference of two losses {losses_apart:.1e}, of the weights {weights_apart:.1e}")

# %% [markdown]
# The same network without the loop reads this bit alone, and can do no better than not to know:

# %%
keras.utils.set_random_seed(0)
without = build_without_loop(UNITS, RATE)
no_loop = without.fit(bits, next_bits, BATCH, 5, shuffle=False, verbose=0).history["loss"][-1]
print(f"without the loop: {no_loop:.4f}")

# %% [markdown]
# What has it learnt? On sequences that it has not seen, the loss at each step, and the gradients that
# the inspector wrote:

# %%
z = models["custom_layers"].predict(unseen, batch_size=512, verbose=0)
by_step = np.mean(np.logaddexp(0, z) - unseen_next * z, axis=(0, 2))  # (4), step by step
third = is_third(TRIPLES)
right = float(np.mean(((z > 0) == unseen_next)[:, third]))
scalars = read_log(PAGE.out / "log").scalars.query("tag.str.startswith('elman')")
norms_of = scalars.query(
    "measure == 'gradient_norm' and quantity in ['kernel', 'recurrent_kernel', 'bias']"
)
watched = {str(name): frame["value"].tolist() for name, frame in norms_of.groupby("quantity")}
print(f"third bits said right: {right:.1%}; weights watched: {', '.join(watched)}")
picture = pictures.save_learnt(
    losses, best, by_step, third, watched, EVERY, PAGE.out / "picture.png"
)
PAGE.show(picture)

# %% [markdown]
# The middle picture is after Elman's figure 3: the loss falls at every third bit, and nowhere else. The
# network was never told that bits come in threes. (His is the root mean squared error, over twelve bits
# in a row of one long stream; our sequences begin with the first bit of a triple.) A memory of two steps
# is what the plain network is good at. When it has to be two hundred, other things happen:
# [`vanishing_gradients`](../vanishing_gradients/tutorial.ipynb).
#
# ## What has been claimed
#
# Every claim of this page, checked.


# %%
def check():
    """Raise AssertionError for the first claim that does not hold."""
    for name, gradient in by_hand.items():
        assert apart(gradient, by_tape[name]) <= 1e-12, f"d{name}: the sum over the copies"
        assert apart(gradient, by_difference[name]) <= 1e-7, f"d{name}: central differences"
    assert not np.any(by_copy[0]["U"]), "the first copy of U reads zeros"
    assert max(layers_apart.values()) <= 1e-12, "the layers have our gradients"
    assert np.all(by_hand["b_x"] == by_hand["b_h"]), "two biases, one gradient"
    assert same_function <= 1e-12, "only the sum of the biases matters"
    assert two_is_one_at_twice_the_rate <= 1e-12 < 0.01 < biases_moved
    assert max(gru_apart["z"], gru_apart["r"]) <= 1e-12 < 0.1 < gru_apart["n"]
    assert losses_apart <= 1e-5, "the twin trains as the original"
    assert weights_apart <= 1e-5, "... to the same weights"
    assert no_loop > 0.69, "without a memory nothing can be known"
    assert losses["custom_layers"][-1] < best + 0.03, "nearly the best that there is"
    assert right > 0.99
    assert by_step[third].max() < 0.1 < 0.6 < by_step[~third].min(), "every third bit is known"
    assert set(watched) == {"kernel", "recurrent_kernel", "bias"}
    assert all(np.all(np.isfinite(values)) for values in watched.values())


check()
print("all claims hold")
PAGE.report(
    "Every gradient of an Elman network, by hand, is that of the tape and of the layers; and the "
    "network learns exclusive or over time, nearly as well as can be.",
    {
        f"gradients by hand and by tape, {checked} numbers, differ by": tape_apart,
        "losses of keras.layers and custom_layers in fit differ by": losses_apart,
        "weights after that differ by": weights_apart,
        "loss in nats a bit": losses["custom_layers"][-1],
        "loss that nobody can beat": best,
        "loss without the loop": no_loop,
        "third bits said right": f"{right:.1%}",
    },
    picture,
)
