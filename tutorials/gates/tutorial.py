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
# # Gates
#
# A gate is a number between 0 and 1 by which another is multiplied: at 0 nothing passes, at 1 all.
# Three cells are made of gates: the LSTM, the GRU, and an LSTM whose gates have **peepholes** into
# the cell that they guard. We compute each by hand (1), set one by hand so that it keeps exact time
# (2), train all of them on two tasks about time, measuring (3) and ringing at the right step (4),
# and draw what the gates do (5).

# %%
import importlib.util
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
from custom_layers.data import measured_intervals, timed_spikes
from custom_layers.debugging import GradientInspector, record
from custom_layers.debugging.tables import read_log
from tutorials import page
from tutorials.gates import networks, pictures
from tutorials.gates.networks import alarms, network
from tutorials.gates.timer import first_mistake, timer, widest_last_gap

PAGE = page.begin(
    "gates", "LSTM, GRU and peephole LSTM: what gates do, and what keeping time takes."
)
rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. Three cells
#
# The **LSTM** has a cell $c$ besides its state $h$, and three gates:
#
# $$i_t, f_t, o_t = \sigma(x_t W + h_{t-1} U + b) \qquad g_t = \tanh(x_t W_g + h_{t-1} U_g + b_g)
#   \qquad (1)$$
# $$c_t = f_t \odot c_{t-1} + i_t \odot g_t \qquad (2)$$
# $$h_t = o_t \odot \tanh(c_t) \qquad (3)$$
#
# What is new, $g$, comes in through the input gate; what was there stays as far as the forget gate
# is open; what the others see goes out through the output gate.


# %%
def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def lstm(x, kernel, recurrent_kernel, bias, peepholes=(0.0,)):
    """Every state h_t; with peepholes, (4) in place of (1)."""
    units = len(recurrent_kernel)
    p_i, p_f, p_o = np.split(np.broadcast_to(peepholes, 3 * units), 3)
    h, c, states = np.zeros((len(x), units)), np.zeros((len(x), units)), []
    for t in range(x.shape[1]):
        a_i, a_f, a_g, a_o = np.split(x[:, t] @ kernel + h @ recurrent_kernel + bias, 4, axis=-1)
        i, f = sigmoid(a_i + p_i * c), sigmoid(a_f + p_f * c)  # (1), (4)
        c = f * c + i * np.tanh(a_g)  # (2)
        o = sigmoid(a_o + p_o * c)  # (1), (4)
        h = o * np.tanh(c)  # (3)
        states.append(h)
    return np.stack(states, axis=1)


# %% [markdown]
# In (1) a gate sees the input and $h_{t-1}$. It does not see the cell that it guards, except
# through the output gate and the tanh. **Peepholes** (Gers, Schraudolph and Schmidhuber 2002) let
# it look, each gate into its own unit's cell:
#
# $$i_t = \sigma(\ldots + p_i \odot c_{t-1}) \qquad f_t = \sigma(\ldots + p_f \odot c_{t-1}) \qquad
#   o_t = \sigma(\ldots + p_o \odot c_t) \qquad (4)$$
#
# The **GRU** has no cell, and two gates: $z$ mixes the old state with a candidate, and $r$ says how
# much of the old state the candidate sees.
#
# $$z_t, r_t = \sigma(x_t W + b + h_{t-1} U + d) \qquad (5)$$
# $$n_t = \tanh(x_t W_n + b_n + r_t \odot (h_{t-1} U_n + d_n)) \qquad (6)$$
# $$h_t = z_t \odot h_{t-1} + (1 - z_t) \odot n_t \qquad (7)$$


# %%
def gru(x, kernel, recurrent_kernel, biases):
    """Every state h_t."""
    h, states = np.zeros((len(x), len(recurrent_kernel))), []
    for t in range(x.shape[1]):
        a_z, a_r, a_n = np.split(x[:, t] @ kernel + biases[0], 3, axis=-1)
        u_z, u_r, u_n = np.split(h @ recurrent_kernel + biases[1], 3, axis=-1)
        z, r = sigmoid(a_z + u_z), sigmoid(a_r + u_r)  # (5)
        h = z * h + (1 - z) * np.tanh(a_n + r * u_n)  # (6), (7)
        states.append(h)
    return np.stack(states, axis=1)


# %% [markdown]
# By hand, by our layers, and by Keras's (which has no peepholes), from the same random weights, and
# with the gradients that a random cotangent sends back:

# %%
x, cotangent = (rng.standard_normal((3, 7, width)) for width in (2, 4))
apart = {}
for kind, by_hand in (("LSTM", lstm), ("GRU", gru), ("PeepholeLSTM", lstm)):
    found = {}
    start: Any = None
    for name, layers in (("ours", custom_layers), ("Keras", keras.layers)):
        if not hasattr(layers, kind):
            continue
        layer = getattr(layers, kind)(4, return_sequences=True, dtype="float64")
        layer.build(x.shape)
        start = start or [0.7 * rng.standard_normal(w.shape) for w in layer.get_weights()]
        layer.set_weights(start)
        with tf.GradientTape() as tape:
            outputs = layer(tf.constant(x))
            loss = tf.reduce_sum(outputs * cotangent)
        gradients = tape.gradient(loss, [w.value for w in layer.trainable_variables])
        found[name] = [outputs.numpy(), *(gradient.numpy() for gradient in gradients)]
    apart[f"{kind}, by hand"] = np.abs(by_hand(x, *start) - found["ours"][0]).max()
    if "Keras" in found:
        pairs = zip(found["ours"], found["Keras"], strict=True)
        apart[f"{kind}, Keras"] = max(np.abs(a - b).max() / np.abs(b).max() for a, b in pairs)
    print(f"{kind:13} {sum(w.size for w in start):4} weights")
print("differ from ours by", {name: f"{difference:.1e}" for name, difference in apart.items()})

# %% [markdown]
# ## 2. A clock, set by hand
#
# Let a cell count: with $i = g = f = 1$, (2) is $c_t = c_{t-1} + 1$. Peepholes can read the count.
# With
#
# $$f_t = \sigma\big(K (d - \tfrac12 - c_{t-1})\big) \qquad o_t = \sigma\big(K (c_t - d + \tfrac12)\big)
#   \qquad (8)$$
#
# the forget gate shuts when $d$ steps are counted, and the output gate opens just then: a spike
# every $d$ steps, for ever, as Gers et al. let their networks make them. $K$ says how sharply a gate
# turns; with $K = 40$ it is open or shut to the eighth digit half a step from its threshold. One
# unit will do, and not a step is missed in ten thousand:

# %%
clocks, intervals = {}, (10, 50, 1000)
for interval in intervals:
    task = timed_spikes(interval, 10_000)
    clock = tf.function(timer(interval), jit_compile=True)
    spikes = clock(tf.constant(task.x)).numpy()
    clocks[interval] = first_mistake(spikes, task)
    print(f"every {interval:4} steps: right for {clocks[interval]:,} of {task.y.size:,} steps")

# %% [markdown]
# Without peepholes a gate sees $h = o \tanh(c)$. Counted in whole steps, $\tanh(19)$ and
# $\tanh(20)$ are the same number. The cell can count in smaller steps. But if it counts from 0, in
# $d$ equal steps, they have to fit where tanh is not yet flat, and the last one moves what the gates
# see by less than $0.5/d$, where a peephole sees 1. From $-1$, the lowest to which one step can set
# a cell ($f = 0$, $i = 1$, $g = -1$), it is at most $1.3/d$. Steps that grow towards the end give
# more; but then the state has to drive its own steps.

# %%
gaps = {(start, d): widest_last_gap(d, start) for start in (0, -1) for d in intervals}
for (start, d), gap in gaps.items():
    print(f"from {start:2}, d = {d:4}: the last step is worth {gap:.5f} = {gap * d:.3f} / d")

# %% [markdown]
# ## 3. Measuring
#
# Spikes come in at random distances. At each one the network is to say how many steps it has been
# since the last. That asks for a counter, a reset, and a reading of the count, and $h$ may show the
# count all the time: nothing here needs a peephole.

# %%
EPOCHS, UNITS, LONGEST = (3, 8, 10) if PAGE.fast else (20, 8, 20)
made = {"count": 640, "steps": 60, "shortest": 2, "longest": LONGEST}
train, test = (measured_intervals(**made, seed=seed) for seed in (0, 1))
columns = {
    f"{kind}, {name}": (kind, layers)
    for kind in ("LSTM", "GRU", "PeepholeLSTM")
    for name, layers in (("Keras", keras.layers), ("ours", custom_layers))
    if hasattr(layers, kind)
}
losses, errors = {}, {}
starts: dict[str, Any] = {}
for name, (kind, layers) in columns.items():
    keras.utils.set_random_seed(0)
    model = network(layers, kind, UNITS)
    model.set_weights(starts.setdefault(kind, model.get_weights()))
    losses[name], errors[name] = networks.learn_to_measure(
        model, train, test, LONGEST, EPOCHS, xla=not PAGE.fast
    )
    print(f"{name:19} loss {losses[name][-1]:.5f}, off by {errors[name]:.2f} steps on average")

# %% [markdown]
# Built-in and custom columns learn alike. From this one start every cell measures to within a step
# on average, as expected: $h$ may show the count all the time. They are not equal, though: the LSTM
# is the farthest off, the GRU the least.
#
# ## 4. Ringing at the right step
#
# Now a little is too much. Each spike winds up an alarm clock: it is to ring from the $d$-th step
# after the spike on, until the next spike. A step early or late is a mistake. We train LSTMs and
# peephole LSTMs of two units from the same weights, with the same streams; the peepholes begin at
# 0, so that both begin as one function. GRUs of two units run beside them, and LSTMs of eight; and
# the plain LSTMs of two units once more, for four times as many updates.
#
# All are trained by Adam, its rate falling from 0.03 to 0 along a cosine, the gradient of each weight
# matrix at most 1 long. The forget gates of the LSTMs begin open, with a bias of 3; the GRU begins
# as Keras has it.

# %%
UPDATES = networks.UPDATES_IN_AN_EPOCH
DELAY, EPOCHS, SEEDS = (8, 2, range(1)) if PAGE.fast else (25, 10, range(4))
kinds = {
    "peephole LSTM, 2 units": ("PeepholeLSTM", 2, EPOCHS),
    "LSTM, 2 units": ("LSTM", 2, EPOCHS),
    "GRU, 2 units": ("GRU", 2, EPOCHS),
    "LSTM, 8 units": ("LSTM", 8, EPOCHS),
    "LSTM, 2 units, longer": ("LSTM", 2, 4 * EPOCHS),
}
ringers = {
    name: networks.learn_to_ring(kind, units, DELAY, SEEDS, epochs)
    for name, (kind, units, epochs) in list(kinds.items())[: 2 if PAGE.fast else None]
}
for name, (members, exact, right) in ringers.items():
    shares = ", ".join(f"{share:.0%}" for share in exact[-1])
    print(f"{name}, {members[0].count_params()} weights, {len(exact) * UPDATES} updates:")
    print(f"  on time {shares}; right at {right.mean():.1%} of all steps")
exact_of = {name: r.exact for name, r in ringers.items()}
title = f"Ring {DELAY} steps after a spike: who rings at exactly the right one"
learning = pictures.save_learning(exact_of, UPDATES, title, PAGE.out / "learning.png")
PAGE.show(learning)

# %% [markdown]
# After 1,000 updates the LSTM whose gates see their cell rings at the right step more than nine times
# in ten, from every start; the plain one of the same size, from the same starts, knows about when,
# and seldom exactly when. It is not that it cannot: at the end of 4,000 updates two of the four starts
# are always on time, and the other two never. Size helps, too: eight units tell the time together
# after 1,000, with more than nine times the weights. And the GRU of two units needs no peephole, and
# learns fastest here.
#
# Why, section 2 says in part. These gates read $h$, and $h$ lies in $(-1, 1)$ in a GRU as well.
# Equal steps would be worth $0.02$ at the end ($0.5/d$), or $0.05$ from $-1$. How far does $h$
# really move in the last step before an alarm?

# %%
streams = alarms(DELAY, 50, longer=1, seed=2)
last = {
    name: [networks.last_steps(model, streams).max() for model in members]
    for name, (members, *_) in ringers.items()
    if "peephole" not in name
}
for name, steps in last.items():
    print(f"{name:23} of the unit that moves farthest, by start: {np.round(steps, 2)}")

# %% [markdown]
# Over the whole of $(-1, 1)$ equal steps would be $2/d = 0.08$ each. The GRU's last one is worth more
# than 0.3: its steps **grow**. Its gates read all of its state, and a state that drives its own next
# step can do that. Those of the plain LSTM read what its output gate lets out. With two units it
# finds steps up to 0.08, slowly, little more than equal ones from $-1$; with eight, more than 0.1.
#
# ## 5. The gates at work
#
# `record` listens to a network for the time of a `with` block: each gate, the cell and the state,
# at every step. The two networks, of 1,000 updates each, began with the same weights.

# %%
rising = np.diff(streams.y[..., 0], axis=1) > 0
telling = int(np.argmax(rising.sum(axis=1)))  # the stream with the most alarms
x, due = streams.x[telling : telling + 1], streams.y[telling : telling + 1]
best = int(np.argmax(ringers["peephole LSTM, 2 units"].exact[-1]))
watched = {}
for name in ("peephole LSTM, 2 units", "LSTM, 2 units"):
    model = ringers[name].members[best]
    with record(model) as trace, tf.GradientTape() as tape:
        logits = model(x)
        loss = keras.losses.BinaryCrossentropy(from_logits=True)(due, logits)
    recording = trace.read(tape, loss)
    of_cell = {key: recording[f"cell/{key}"].value[0].numpy() for key in "ifgoch"}
    watched[name] = pictures.Watched(of_cell, sigmoid(logits[0, :, 0].numpy()))
PAGE.show(pictures.save_gates(watched, x[0, :, 0], due[0, :, 0], PAGE.out / "gates.png"))

# %% [markdown]
# A line is a unit. Around the second alarm, counted from its spike:

# %%
wound_up = int(np.flatnonzero(rising[telling])[1]) + 1 - DELAY  # the spike before the second alarm
around = slice(wound_up + DELAY - 5, wound_up + DELAY + 2)
for name, (seen, answers) in watched.items():
    f, c = seen["f"][wound_up].round(2), seen["c"][[wound_up - 1, wound_up]].round(1)
    print(f"{name}: at the spike f = {f}, c = {c[0]} before and {c[1]} after")
    for told, line in zip(("o", "o", "answer"), [*seen["o"].T, answers], strict=True):
        print(f"  {told:6} at steps {DELAY - 5} to {DELAY + 1}: {line[around].round(2)}")

# %% [markdown]
# In the **peephole LSTM** one unit works. At each spike its forget gate shuts and clears its cell, and
# the cell counts from there. Its output gate reads the count, gives way slowly at first, and shuts
# within three steps around $d$; then the answer turns. The other unit is never cleared: it runs on.
#
# The **plain LSTM** clears nothing. Its forget gates stay open at a spike, and both cells run on, until
# $\tanh(c)$ is 1 or -1, whatever the time. What starts anew at a spike is $h$: the output gates open,
# and then sink, each step by what the last one has left of $h = \pm o$. That is a clock, too, of two
# gates that read each other. But it passes $d$ at a slow pace, and the answer turns over many steps.
#
# The recorded gates are those of (2) and (3), to the last digits:

# %%
recorded_apart = 0.0
for seen, _ in watched.values():
    i, f, g, o, c, h = (seen[key] for key in ("i", "f", "g", "o", "c", "h"))
    before = np.concatenate([np.zeros_like(c[:1]), c[:-1]])
    for own, other in ((f * before + i * g, c), (o * np.tanh(c), h)):  # (2), (3)
        recorded_apart = max(recorded_apart, float(np.abs(own - other).max()))
print(f"{recorded_apart:.1e}")

# %% [markdown]
# A training watched from within: the inspector writes how saturated each gate is (a gate that is
# always open or shut no longer learns), and every gradient by step, for TensorBoard.

# %%
model = network(custom_layers, "PeepholeLSTM", 2)
model.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=True)
inspector = GradientInspector(PAGE.out / "logs", probe=(streams.x, streams.y), every=10)
model.fit(streams.x, streams.y, batch_size=5, epochs=2, verbose=0, callbacks=[inspector])
print(tags := sorted({t for t in read_log(PAGE.out / "logs").scalars.tag if "cell/o/" in t}))


# %% [markdown]
# ## What has been claimed
#
# Every claim of this page, checked. The fast mode trains far too little for the alarms.
# %%
def check():
    """Raise AssertionError for the first claim that does not hold."""
    assert max(apart.values()) <= 1e-12
    assert set(clocks.values()) == {10_000}, "no clock misses a step"
    for (start, d), gap in gaps.items():
        assert gap < (0.5 if start == 0 else 1.3) / d
    for kind in ("LSTM", "GRU"):
        np.testing.assert_allclose(losses[f"{kind}, ours"], losses[f"{kind}, Keras"], atol=1e-5)
    assert all(loss[-1] < loss[0] for loss in losses.values())
    assert recorded_apart <= 1e-5
    assert tags
    if PAGE.fast:
        return
    assert max(errors.values()) < 1, "all measure to within a step on average"
    assert errors["GRU, ours"] < errors["PeepholeLSTM, ours"] < errors["LSTM, ours"]
    peephole, plain, gru_exact, larger, longer = (shares[-1] for shares in exact_of.values())
    assert min(*peephole, *gru_exact, *larger) > 0.9, "from every start"
    assert plain.mean() < 0.3
    assert np.sum(longer > 0.9) == np.sum(longer < 0.1) == 2, "given time, from two starts of four"
    of_plain, of_gru, of_larger, of_longer = last.values()
    assert max(of_plain + of_longer) < 0.1 < min(of_larger)
    assert min(of_gru) > 0.3
    spikes = np.flatnonzero(x[0, :, 0])
    seen, plainly = (watched[name][0] for name in ("peephole LSTM, 2 units", "LSTM, 2 units"))
    unit = int(np.argmin(seen["f"][wound_up]))
    assert np.all(seen["f"][spikes][:, unit] < 0.1), "one unit is cleared at each spike"
    assert np.ptp(seen["o"][around][3:, unit]) > 0.5, "its output gate turns within three steps"
    assert np.all(seen["f"][spikes][:, 1 - unit] > 0.9), "the other never"
    assert np.all(plainly["f"] > 0.9), "the plain LSTM clears nothing"
    assert np.all(np.abs(plainly["c"][wound_up:]) > 5), "tanh(c) is 1 or -1"
    sharp, dull = (np.ptp(answers[around][3:]) for _, answers in watched.values())
    assert sharp > 2 * dull


check()
PAGE.report(
    "In 1,000 updates an LSTM of two units learns exact time if its gates see their cell, and a GRU; a "
    "plain LSTM does not, and in 4,000 from two starts of four.",
    {
        f"alarms on time after {len(exact) * UPDATES} updates, {name}": f"{exact[-1].mean():.0%} "
        f"({', '.join(f'{share:.0%}' for share in exact[-1])})"
        for name, exact in exact_of.items()
    }
    | {
        f"measuring up to {LONGEST} steps, off on average, {kind}": f"{off:.2f} steps"
        for kind, off in errors.items()
        if "ours" in kind
    }
    | {
        f"state moves before an alarm, {name}": ", ".join(f"{step:.2f}" for step in steps)
        for name, steps in last.items()
    },
    learning,
)
print("all claims hold")
