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
# # Back-propagation through time
#
# A framework differentiates a recurrent network for us, and hides how. Here we do it by hand: every
# term of the gradient stands beside the line that computes it. Then we ask three witnesses whether
# it is right: TensorFlow's `GradientTape`, central differences, and the layers of `custom_layers`,
# which train with the same lines when they are told `gradient="bptt"`.
#
# Back-propagation through time is nothing but the chain rule, applied to a loop. Two facts about
# loops make it worth a page:
#
# 1. **a state is used twice**, by the loss now and by the next step, and so its gradient has two
#    parts that are added;
# 2. **a weight is used at every step**, and so its gradient is a sum over the steps.
#
# We write $dq$ for $\partial L / \partial q$, an array of the same shape as $q$.

# %%
import importlib.util
import inspect
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if importlib.util.find_spec("tutorials") is None:  # a notebook starts in its own folder
    sys.path.insert(0, str(next(p for p in Path.cwd().parents if (p / "tutorials").is_dir())))

import keras
import numpy as np
import tensorflow as tf

import custom_layers
from custom_layers.debugging import record
from custom_layers.recurrent.gru_step import gru_step_backward_reset_after
from custom_layers.recurrent.lstm import lstm_step, lstm_step_backward
from tutorials import page
from tutorials.backpropagation_through_time import pictures
from tutorials.backpropagation_through_time.layer_gradients import (
    gradients_of,
    with_the_weights_of,
)

PAGE = page.begin("backpropagation_through_time", "The gradient of a loop, every term by hand.")
rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. A network with a memory
#
# Batch first, then steps, as everywhere in Keras. All numbers are float64, so that "equal" can mean
# equal to the twelfth digit.

# %%
batch, steps, features, units = 4, 8, 3, 5
x = rng.standard_normal((batch, steps, features))
target = rng.standard_normal((batch, steps, units))
W = 0.5 * rng.standard_normal((features, units))
U = 0.5 * rng.standard_normal((units, units))
b = 0.5 * rng.standard_normal(units)

# %% [markdown]
# The simple (Elman) network, and a loss that looks at the state of every step:
#
# $$a_t = x_t W + h_{t-1} U + b \qquad (1)$$
# $$h_t = \tanh(a_t) \qquad (2)$$
# $$L = \tfrac12 \sum_t \lVert h_t - y_t \rVert^2 \qquad (3)$$
#
# The list `h` keeps every state, from $h_0 = 0$ on: the way back needs them all. This is the price
# of back-propagation through time: memory grows with the number of steps.


# %%
def forward(x, W, U, b):
    """States h_0, h_1, ..., h_T."""
    h = [np.zeros((len(x), U.shape[0]))]
    for t in range(x.shape[1]):
        a = x[:, t] @ W + h[-1] @ U + b  # (1)
        h.append(np.tanh(a))  # (2)
    return h


def loss_of(h, target):
    return 0.5 * sum(np.sum((h[t + 1] - target[:, t]) ** 2) for t in range(target.shape[1]))  # (3)


h = forward(x, W, U, b)
print(f"loss {loss_of(h, target):.4f}")

# %% [markdown]
# ## 2. The way back
#
# Follow one state $h_t$. It is read at two places: by the loss (3), and by the next step's (1). The
# chain rule adds what comes back from both:
#
# $$dh_t = \underbrace{(h_t - y_t)}_{\text{from (3), now}} +
#          \underbrace{da_{t+1}\, U^\top}_{\text{from (1), later}} \qquad (4)$$
#
# For the last step there is no "later". That is why we start there, and go backwards in time.
#
# Through the tanh. Its slope is $1 - \tanh^2$, and $\tanh(a_t)$ is $h_t$, which we have kept:
#
# $$da_t = dh_t \odot (1 - h_t^2) \qquad (5)$$
#
# Every weight is read at every step, so every step has its say:
#
# $$dW = \sum_t x_t^\top da_t \qquad dU = \sum_t h_{t-1}^\top da_t \qquad db = \sum_t da_t \qquad (6)$$
#
# and the input of a step is read by that step alone: $dx_t = da_t\, W^\top$ (7).


# %%
def backward(x, h, W, U, target):
    """The gradients by x, W, U, b, and dh_t of every step."""
    dW, dU, db, dx = np.zeros_like(W), np.zeros_like(U), np.zeros_like(U[0]), np.zeros_like(x)
    dh_of_step = [None] * x.shape[1]
    later = np.zeros_like(h[0])  # nothing comes after the last step
    for t in reversed(range(x.shape[1])):
        dh = (h[t + 1] - target[:, t]) + later  # (4)
        da = dh * (1 - h[t + 1] ** 2)  # (5)
        dW += x[:, t].T @ da  # (6)
        dU += h[t].T @ da  # (6): h[t] is the state before step t
        db += da.sum(axis=0)  # (6)
        dx[:, t] = da @ W.T  # (7)
        later = da @ U.T  # (4), for the step before
        dh_of_step[t] = dh
    return {"x": dx, "W": dW, "U": dU, "b": db}, dh_of_step


by_hand, dh_of_step = backward(x, h, W, U, target)

# %% [markdown]
# These are all the terms there are. `later` is the whole of "through time": take that line out, and
# each step learns from its own loss only.
#
# ## 3. Three witnesses
#
# **GradientTape** watches the same loop and differentiates it.

# %%
sources = {"x": tf.constant(x), "W": tf.constant(W), "U": tf.constant(U), "b": tf.constant(b)}
with tf.GradientTape() as tape:
    tape.watch(sources)
    state, loss = tf.zeros((batch, units), tf.float64), 0.0
    for t in range(steps):
        state = tf.tanh(sources["x"][:, t] @ sources["W"] + state @ sources["U"] + sources["b"])
        loss += 0.5 * tf.reduce_sum((state - target[:, t]) ** 2)
by_tape = {name: gradient.numpy() for name, gradient in tape.gradient(loss, sources).items()}

# %% [markdown]
# **Central differences** need no calculus at all. Move one weight a little in a random direction
# $v$; the loss must change as the gradient says, up to the square of the little step:
#
# $$\frac{L(U + \varepsilon v) - L(U - \varepsilon v)}{2 \varepsilon} \approx \langle dU, v \rangle$$


# %%
def difference(name, epsilon=1e-5):
    """(what the loss does, what the gradient says) along a random direction."""
    values = {"x": x, "W": W, "U": U, "b": b}
    v = rng.standard_normal(values[name].shape)
    moved = ({**values, name: values[name] + e * v} for e in (epsilon, -epsilon))
    ends = [loss_of(forward(**weights), target) for weights in moved]
    return (ends[0] - ends[1]) / (2 * epsilon), float(np.sum(by_hand[name] * v))


differences = {name: difference(name) for name in by_hand}

# %% [markdown]
# **The layer.** `custom_layers.SimpleRNN` with `gradient="bptt"` does what we did, in `fit` as well.
# `gradients_of` is a tape around a call of it.


# %%
def apart(own, other):
    """Largest difference, as a share of the largest entry."""
    return float(np.abs(own - other).max() / np.abs(other).max())


options: Any = {"return_sequences": True, "dtype": "float64", "bias_initializer": "normal"}
layer = custom_layers.SimpleRNN(units, gradient="bptt", **options)
layer.build(x.shape)
layer.set_weights([W, U, b])
found = gradients_of(layer, x, lambda y: 0.5 * tf.reduce_sum((y - target) ** 2))
by_layer = dict(zip(("x", "W", "U", "b"), found, strict=True))

print("      tape      layer     differences")
for name, (seen, said) in differences.items():
    tape_, layer_ = apart(by_hand[name], by_tape[name]), apart(by_layer[name], by_tape[name])
    print(f"d{name}  {tape_:9.1e} {layer_:9.1e} {abs(seen - said) / abs(seen):9.1e}")

# %% [markdown]
# The backward step that the layer runs is our loop's body, for any activation (`slope_of`). The sum
# over steps (6) is one large matrix product at the end:

# %%
print(inspect.getsource(custom_layers.recurrent.simple_rnn.simple_rnn_step_backward))

# %% [markdown]
# ## 4. What becomes of a gradient on a long way
#
# Let the loss look at the last state only. Then nothing is added in (4) on the way, and from step
# to step the gradient is multiplied by the same two things, over and over:
#
# $$dh_{t-1} = \big(dh_t \odot (1 - h_t^2)\big)\, U^\top$$
#
# The slope is at most 1. If $U$ makes vectors shorter, the gradient is gone after a few steps: it
# **vanishes**. If $U$ makes them longer, faster than the slopes shrink them, it **explodes**. Our own
# loop shows it. $U$ is an orthogonal matrix, which changes no length, times a scale, and the inputs
# are so small that all slopes stay near 1: what is left is the scale, to the power of the steps.

# %%
long, width = 60, 32


def norms_of_simple_rnn(scale):
    """|dh_t| of every step, of a loss that misses the target at the last step alone."""
    U = scale * np.linalg.qr(np.random.default_rng(1).standard_normal((width, width)))[0]
    W, b = np.full((features, width), 1e-4), np.zeros(width)
    x = rng.standard_normal((batch, long, features))
    h = forward(x, W, U, b)
    target = np.stack(h[1:], axis=1)
    target[:, -1] += 1.0
    _, dh = backward(x, h, W, U, target)
    return np.array([np.linalg.norm(d) for d in dh])


norms = {f"simple RNN, U scaled to {s}": norms_of_simple_rnn(s) for s in (0.8, 1.0, 1.15)}

# %% [markdown]
# ## 5. LSTM: a path without a matrix
#
# The LSTM was made against just that. Its second state, the cell $c_t$, goes from step to step
# through no matrix and no tanh, only through a gate (Hochreiter and Schmidhuber 1997; the forget
# gate is of Gers et al. 2000):
#
# $$c_t = f_t \odot c_{t-1} + i_t \odot g_t \qquad h_t = o_t \odot \tanh(c_t)$$
#
# The cell, too, is read at two places, by $h_t$ and by the next step. So there are two gradients to
# carry, and the second is the point of the whole cell:
#
# $$dc_t = \underbrace{dh_t \odot o_t \odot (1 - \tanh^2 c_t)}_{\text{through } h_t} +
#   \underbrace{dc_{t+1} \odot f_{t+1}}_{\text{later}}$$
#
# Where the forget gate is near 1, the gradient arrives as it left. The gates themselves are read
# once each: $do_t = dh_t \odot \tanh c_t$, $df_t = dc_t \odot c_{t-1}$, $di_t = dc_t \odot g_t$,
# $dg_t = dc_t \odot i_t$, each then through the slope of its own activation. In the code:

# %%
print(inspect.getsource(lstm_step_backward))

# %% [markdown]
# The loop around it is the loop of section 2, with two states instead of one. `d_outputs` says what
# the loss thinks of each $h_t$, and `kernel` and `bias` project the inputs before the loop.


# %%
def lstm_by_hand(x, weights, d_outputs):
    """Gradients by x, kernel, recurrent kernel and bias."""
    kernel, recurrent_kernel, bias = weights
    projected, zeros = tf.constant(x @ kernel + bias), tf.zeros((len(x), units), tf.float64)
    h, c, kept = zeros, zeros, []
    for t in range(x.shape[1]):
        step = lstm_step(projected[:, t], h, c, recurrent_kernel)
        kept.append((step, h, c))  # the record, and the states before it
        h, c = step.h, step.c
    d_h, d_c, d_projected, d_recurrent = zeros, zeros, [], tf.zeros_like(recurrent_kernel)
    for t in reversed(range(x.shape[1])):
        d = lstm_step_backward(*kept[t], recurrent_kernel, d_h + d_outputs[:, t], d_c)
        d_h, d_c = d.h, d.c  # to the step before
        d_projected.append(d.projected)
        d_recurrent += d.recurrent_kernel  # the sum over steps
    d_a = np.stack(d_projected[::-1], axis=1)
    d_kernel = np.einsum("btf,btu->fu", x, d_a)  # the projection's, all steps at once
    return [d_a @ kernel.T, d_kernel, d_recurrent.numpy(), d_a.sum(axis=(0, 1))]


d_outputs = rng.standard_normal((batch, steps, units))  # any loss, as seen from the outputs


def loss_of_outputs(y):
    return tf.reduce_sum(y * d_outputs)


lstm = custom_layers.LSTM(units, **options)  # gradient="autodiff", the default
lstm_autodiff = gradients_of(lstm, x, loss_of_outputs)
lstm_bptt = gradients_of(with_the_weights_of(lstm, gradient="bptt"), x, loss_of_outputs)
lstm_hand = lstm_by_hand(x, lstm.get_weights(), d_outputs)
lstm_apart = [max(map(apart, own, lstm_autodiff)) for own in (lstm_bptt, lstm_hand)]
print("LSTM: the layer {:.1e}, by hand {:.1e}".format(*lstm_apart))

# %% [markdown]
# A recorder (`custom_layers.debugging`) shows the total derivatives $dc_t$ of a layer, whoever
# computes them: here of an LSTM that remembers well, since a bias of 4 opens its forget gate by 98%,
# and a small $U$ leaves the cell as the only long way.

# %%
long_x = 0.05 * rng.standard_normal((batch, long, features))
keras.utils.set_random_seed(0)
small = keras.initializers.Orthogonal(0.1)
remembering = custom_layers.LSTM(width, recurrent_initializer=small, dtype="float64")
remembering.build(long_x.shape)
remembering.cell.bias.assign(np.repeat([0.0, 4.0, 0.0, 0.0], width))


def recorded(truncate_every=None):
    """|dc_t| of every step, and the gradient by the recurrent kernel."""
    layer = with_the_weights_of(remembering, gradient="bptt", truncate_every=truncate_every)
    with record(layer) as trace, tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(tf.constant(long_x)))
    recording = trace.read(tape, loss)
    by_weight: list[Any] = list(recording.weights.values())
    return recording[f"{layer.name}/c"].gradient_norms().numpy(), np.ravel(by_weight[1])


norms["LSTM, cell state"], whole = recorded()
for name, values in norms.items():
    print(f"{name:28} |d_1| / |d_T| = {values[0] / values[-1]:.1e}")

# %% [markdown]
# ## 6. GRU, shortly
#
# The GRU mixes its old state with a candidate, $h_t = z_t \odot h_{t-1} + (1 - z_t) \odot n_t$. So
# the state has a path without a matrix as well, $dh_{t-1} \mathrel{+}= dh_t \odot z_t$, beside the
# three through $U$. The update gate hears the difference of the two that it mixes:
# $dz_t = dh_t \odot (h_{t-1} - n_t)$.

# %%
print(inspect.getsource(gru_step_backward_reset_after))
gru = custom_layers.GRU(units, **options)
gru_autodiff = gradients_of(gru, x, loss_of_outputs)
gru_bptt = gradients_of(with_the_weights_of(gru, gradient="bptt"), x, loss_of_outputs)
gru_apart = max(map(apart, gru_bptt, gru_autodiff))
print(f"GRU: {gru_apart:.1e}")

# %% [markdown]
# ## 7. Truncation
#
# On a sequence of thousands of steps the way back is long, and its far end says little. With
# `truncate_every=k` the steps are cut into blocks of k, and no gradient of a state passes from one
# block to the one before. The outputs stay the same to the last bit; only the gradient forgets.

# %%
cut = {k: recorded(k) for k in (None, 30, 20, 12, 4)}
cosines = {k: g @ whole / np.linalg.norm(g) / np.linalg.norm(whole) for k, (_, g) in cut.items()}
for k, cosine in cosines.items():
    print(f"truncate_every={k!s:5} cosine with the whole gradient by U: {cosine:.3f}")
truncations = {f"truncate_every={k}": total for k, (total, _) in cut.items()}
PICTURE = pictures.save_gradients_over_time(norms, truncations, PAGE.out / "gradients.png")
PAGE.show(PICTURE)

# %% [markdown]
# Left: what is left of the gradient, so many steps before the end. The slope of a line is the
# factor of one step. Right: the same LSTM, truncated. Each line follows the whole one as far as the
# border of its block and ends there. What lies left of the border is what truncation cuts off: the
# network can still *use* what it saw there, but it can no longer *learn* to.
#
# In training nothing else changes: `fit` gives the same losses with either, and a file keeps the choice.
#
# ## What has been claimed
#
# Every claim of this page, checked.


# %%
def check():
    """Raise AssertionError for the first claim that does not hold."""
    for name, (seen, said) in differences.items():
        assert apart(by_hand[name], by_tape[name]) <= 1e-12, name
        assert apart(by_layer[name], by_tape[name]) <= 1e-12, name
        assert abs(seen - said) <= 1e-6 * max(1, abs(seen)), name
    assert max(lstm_apart) <= 1e-12
    assert gru_apart <= 1e-12
    vanishing, steady, exploding, cell = (v[0] / v[-1] for v in norms.values())
    assert vanishing < 1e-5, "a contracting U lets the gradient vanish"
    assert 0.9 < steady <= 1, "an orthogonal U keeps it"
    assert exploding > 1e3, "an expanding U lets it explode"
    assert 0.1 < cell < 1, "the forget gate keeps the cell's gradient alive"
    for k, (total, _) in cut.items():
        border = 0 if k is None else long - (long % k or k)
        assert np.all(total[:border] == 0), "nothing passes a border"
        np.testing.assert_allclose(total[border:], cut[None][0][border:], rtol=1e-10)
    assert cosines[30] > cosines[4], "larger blocks lie nearer to the whole gradient"


check()
figures = {f"gradient left 60 steps back, {name}": v[0] / v[-1] for name, v in norms.items()}
PAGE.report("Every term of the gradient, by hand, is the tape's.", figures, PICTURE)
