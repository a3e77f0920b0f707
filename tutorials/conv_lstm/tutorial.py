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
# # ConvLSTM: the next pictures of a film
#
# A film is a sequence of pictures, so an LSTM can read it. But an LSTM reads a *row of numbers*. To it,
# a digit in the upper left corner and the same digit below have no number in common, and what has been
# learnt of one place must be learnt again at every other. A **ConvLSTM** (Shi et al. 2015,
# arXiv:1506.04214) is an LSTM whose products are convolutions. Its states are pictures, and what it
# knows it knows everywhere.
#
# Two digits fly about and bounce off the walls. Ten frames are given. What do the next ten show?

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

import custom_layers
from custom_layers.debugging import GradientInspector
from custom_layers.debugging.tables import read_log
from tutorials import page
from tutorials.conv_lstm import baselines, model, pictures
from tutorials.conv_lstm.films import (
    AHEAD,
    PATCH,
    SEEN,
    SIZE,
    films,
    most_apart,
    patches,
    pixels,
    squared_error,
)
from tutorials.conv_lstm.inside import look_inside
from tutorials.conv_lstm.limits import error_of_ink
from tutorials.digit_images import digits
from tutorials.side_by_side import BatchLosses, train_both

PAGE = page.begin(
    "conv_lstm", "The next pictures of a film: an LSTM whose products are convolutions."
)
rng = np.random.default_rng(0)
FILTERS, BATCH = (8 if PAGE.fast else 32), 8

# %% [markdown]
# ## 1. Films
#
# MNIST's digits at half their size, in films of 20 frames of 32 x 32 pixels, 1.5 pixels a frame in any
# direction. Training and test films share no digit. After Shi et al. (their section 4.1) we hand them
# over in patches: each 2 x 2 pixels are the four channels of one place. Nothing is lost, and a
# convolution has a quarter of the places to visit.

# %%
train, what = films("train", 64 if PAGE.fast else 3000, seed=0)
test, _ = films("test", 32 if PAGE.fast else 300, seed=1)
x_train, x_test = patches(train.pixels), patches(test.pixels)
print(f"{what}: films {train.pixels.shape}, as patches {x_train.shape}")
PAGE.show(pictures.save_films(test.pixels[:3], 2, PAGE.out / "films.png"))

# %% [markdown]
# ## 2. The layer
#
# The equations are those of the LSTM, with a convolution, $*$, for each matrix product:
#
# $$i_t, f_t, o_t = \sigma(x_t * W + h_{t-1} * U + b) \qquad g_t = \tanh(x_t * W_g + h_{t-1} * U_g + b_g)
#   \qquad (1)$$
# $$c_t = f_t \odot c_{t-1} + i_t \odot g_t \qquad\qquad h_t = o_t \odot \tanh(c_t) \qquad (2)$$
#
# (Shi et al. also let the gates see the cell, by peepholes with a weight of their own for each place.
# Keras leaves them out, and so do we: only so does the layer know no place and no size.)
#
# Where the picture is one single place there is nothing to slide over. Then a ConvLSTM *is* an LSTM, and
# with a kernel of 1 x 1 it is an LSTM at every place, the same one everywhere:

# %%
one_place = rng.normal(size=(3, 6, 1, 1, 5)).astype("float32")
conv = custom_layers.ConvLSTM2D(4, 1)
plain = custom_layers.LSTM(4)
conv(one_place), plain(one_place[:, :, 0, 0])
conv.set_weights([rng.normal(scale=0.5, size=w.shape) for w in conv.get_weights()])
plain.set_weights([np.squeeze(w) for w in conv.get_weights()])
as_lstm = float(np.abs(conv(one_place)[:, 0, 0] - plain(one_place[:, :, 0, 0])).max())
print(f"ConvLSTM of one place, and LSTM, differ by {as_lstm:.1e}")

# %% [markdown]
# **It knows no place.** Move the film, and the states move with it. We draw a film in the middle of a
# large frame, move it by three patches to the right, and look at the last state of a ConvLSTM with
# random weights. Moved back, it should be the same. It is, but for a rim at the border:

# %%
film = np.zeros((1, 8, 24, 24, 4), "float32")
film[:, :, 9:15, 7:13] = x_test[:1, :8, 5:11, 5:11]
moved = np.roll(film, 3, axis=3)
random_layer = custom_layers.ConvLSTM2D(6, 3, padding="same")
random_layer(film)
random_layer.set_weights([rng.normal(scale=0.4, size=w.shape) for w in random_layer.get_weights()])
apart = np.abs(np.roll(random_layer(moved), -3, axis=2) - random_layer(film))[0].max(axis=-1)
in_the_middle, at_border = float(apart[9:15, 9:12].max()), float(apart.max())
print(f"in the middle: {in_the_middle:.1e}, at the border: {at_border:.2f}")

# %% [markdown]
# The rim is no fault. Around the picture the convolution reads zeros, which no other place has as its
# neighbours (the biases make something of empty ground), and what is read there spreads by one patch a
# frame. This is how the network can know *where the walls are*. Without the rim, it could not tell that
# a digit is about to bounce.
#
# ## 3. Built-in and custom
#
# The network: a ConvLSTM, and a convolution that turns the state after each frame into the next frame:
#
# $$h_t, c_t = \mathrm{ConvLSTM}(x_t, h_{t-1}, c_{t-1}) \qquad (3) \qquad\qquad
#   p_{t+1} = \sigma(h_t * V + b) \qquad (4)$$
#
# The loss is the cross-entropy between $p_{t+1}$ and the true frame, at every step. From the same
# weights, on the same batches, Keras's layers and ours must learn alike:

# %%
few = x_train[: (2 if PAGE.fast else 10) * BATCH]
both = train_both(
    lambda layers: model.next_frame(layers, filters=8),
    *(few[:, :-1], few[:, 1:]),
    batch_size=BATCH,
    shuffle=False,
)
twins = both.apart(10)
print(f"the losses of ten batches differ by {twins:.1e}")

# %% [markdown]
# ## 4. One frame ahead
#
# Against what? A forecast that is free says what an error is worth:
#
# - **stay**: the next frame is as this one;
# - **move on**: the last frame, shifted as a whole by a third of the shift that best takes the frame
#   three before it into it. (Video coders find a motion for each block; one for all is the simplest of
#   the kind, and two digits have two.)
#
# and an **LSTM** that reads frames as rows of 1,024 numbers, with 256 units: 37 times as many weights,
# and a seventh of the multiplications, for the ConvLSTM uses each weight at 256 places.

# %%
EPOCHS = 2 if PAGE.fast else 3
keras.utils.set_random_seed(0)
networks = {
    "LSTM": model.dense_next_frame(custom_layers, units=32 if PAGE.fast else 256),
    "ConvLSTM": model.next_frame(custom_layers, FILTERS),
}
weights = {name: network.count_params() for name, network in networks.items()}
kernels = {
    name: sum(w.size for w in network.get_weights() if w.ndim > 1)
    for name, network in networks.items()
}
products = {"LSTM": kernels["LSTM"], "ConvLSTM": kernels["ConvLSTM"] * (SIZE // PATCH) ** 2}
print("weights:", weights, "multiplications for a frame:", products)
losses = {}
for name, network in networks.items():
    seen = BatchLosses()
    network.fit(
        *(x_train[:, :-1], x_train[:, 1:]),
        batch_size=BATCH,
        epochs=EPOCHS,
        verbose=0 if PAGE.fast else 2,
        callbacks=[seen],
    )
    losses[name] = seen.losses
PAGE.show(pictures.save_losses(losses, 4 if PAGE.fast else 20, PAGE.out / "losses.png"))

# %% [markdown]
# The error: squared differences, summed over the pixels of a frame, in the mean of the test films. A
# frame of nothing but ground has the *ink* of the true one as its error.

# %%
given, true = test.pixels[:, :SEEN], test.pixels[:, SEEN:]
ink = float(squared_error(np.zeros_like(true), true).mean())
seen_patches = x_test[:, :SEEN]
free = model.running_free(networks["ConvLSTM"])
one_frame = networks["LSTM"].predict(seen_patches, verbose=0)[
    :, -1:
]  # of the LSTM, no more is asked
said = {
    "stay": baselines.stay(given, AHEAD),
    "move on": baselines.move_on(given, AHEAD),
    "LSTM": pixels(one_frame),
    "ConvLSTM": pixels(free.predict(seen_patches, verbose=0)),
}
errors = {name: squared_error(frames, true[:, : frames.shape[1]]) for name, frames in said.items()}
print(f"ink: {ink:.1f}", {name: round(float(error[0]), 1) for name, error in errors.items()})

# %% [markdown]
# ## 5. Ten frames ahead
#
# To see farther, the network reads what it has said itself: from frame 11 on,
#
# $$x_t = p_t \qquad (5)$$
#
# It has never seen such frames. They are a little blurred, and it blurs them more. This is the weakness
# of teacher forcing that the page [seq2seq](../seq2seq/tutorial.ipynb) shows on words. But a shade of
# grey can be differentiated, where a chosen word cannot. So we can **train the free run itself**:
# `running_free` is a model of the very same layers that reads ten frames, runs free for ten, and has
# all ten in its loss. The gradient flows back through every frame that was said.

# %%
keras.utils.set_random_seed(1)
free.fit(
    *(x_train[:, :SEEN], x_train[:, SEEN:]),
    batch_size=BATCH,
    epochs=1 if PAGE.fast else 2,
    verbose=0 if PAGE.fast else 2,
)
said["ConvLSTM, free run trained"] = pixels(free.predict(seen_patches, verbose=0))
errors["ConvLSTM, free run trained"] = squared_error(said["ConvLSTM, free run trained"], true)
for name, error in errors.items():
    print(f"{name:28}", *(f"{e:5.1f}" for e in error))
look_at = most_apart(test)
shown = {name: frames[look_at] for name, frames in said.items() if len(errors[name]) == AHEAD}
of_horizon = {name: error for name, error in errors.items() if len(error) == AHEAD}
PAGE.show(pictures.save_forecasts(true[look_at], shown, of_horizon, ink, PAGE.out / "picture.png"))

# %% [markdown]
# Digits far from each other, and still they melt away. The one-frame network even forgets them: what is
# less than half likely it darkens once more at every frame. The other has learnt to stay grey, which is
# the best answer of a network that does not know where the digit is: how bright a pixel is *in the mean*
# of all that may come.
#
# How much of that is the film's fault? Its places are rounded to pixels, so ten frames leave open where
# exactly a digit flies. `limits.py` draws ways at random, keeps those that agree with all ten frames,
# and takes the mean of where they lead: the best forecast there can be, of a digit that is known.

# %%
of_test = digits("test", 9000)[0].pixels / 255
best = error_of_ink(of_test, *(10, 10_000) if PAGE.fast else (200, 30_000), seed=0)
own = errors["ConvLSTM, free run trained"] / ink
print("error of the ink, 1 and 10 frames ahead, the best possible:", best[[0, -1]].round(2))
print("the network whose free run was trained:", own[[0, -1]].round(2))

# %% [markdown]
# Little. Most of the grey is what this network has not learnt: one layer, a kernel of 3 and 3,000 films
# are few. Shi et al. stack several layers, with larger kernels.
#
# ## 6. A larger frame, and one more digit
#
# The layer's weights know no size. We make the network once more, for frames of 48 x 48 pixels with
# three digits, and hand it the weights that have been learnt, without any more training. The LSTM
# cannot even be asked.

# %%
large, _ = films("test", 16 if PAGE.fast else 100, seed=2, size=48, flying=3)
large_network = model.next_frame(custom_layers, FILTERS, size=48)
large_network.set_weights(networks["ConvLSTM"].get_weights())
x_large = patches(large.pixels)
asked = model.running_free(large_network, ahead=1)
on_large = squared_error(
    pixels(asked.predict(x_large[:, :SEEN], verbose=0)), large.pixels[:, SEEN : SEEN + 1]
)
of_ink = {
    "trained size": errors["ConvLSTM, free run trained"][0] / ink,
    "larger, three digits": on_large[0] / (large.pixels[:, SEEN] ** 2).sum(axis=(1, 2)).mean(),
}
print("error one frame ahead, of the ink:", {k: round(float(v), 3) for k, v in of_ink.items()})

# %% [markdown]
# ## 7. Inside: gates that are pictures
#
# Each gate has a value at each place. Here is what one filter of each does while a film runs: the one
# whose forget gate changes most. In the recorded run that filter keeps the empty ground: its forget gate
# shuts where a digit is or has just been, and opens at the walls, where the cell grows frame by frame.
# They are the zeros of the padding, seen.

# %%
reader = networks["ConvLSTM"]
ink_of = x_test[look_at, SEEN].sum(axis=-1)[4:-4, 4:-4]  # a patch with ink, away from the walls
row, column = np.unravel_index(np.argmax(ink_of), ink_of.shape)
inside = look_inside(reader, x_test[look_at, :SEEN], (int(row) + 4, int(column) + 4))
busiest = int(np.argmax(inside.values["forget gate"].std(axis=(0, 1, 2))))
maps = {name: value[..., busiest] for name, value in inside.values.items()}
PAGE.show(pictures.save_gates(test.pixels[look_at, :SEEN], maps, PAGE.out / "gates.png"))

# %% [markdown]
# ## 8. Inside: a cone
#
# What is one patch of the forecast made of? The gradient of it by every state, at every place and step,
# says so. One step carries a state as far as half a kernel, here one patch. So
#
# $$\frac{\partial p_{T+1}[r_0, c_0]}{\partial h_t[r, c]} = 0 \quad \text{where} \quad
#   \max(|r - r_0|, |c - c_0|) > T - t + 1 \qquad (6)$$
#
# This is a cone that opens into the past, and no training widens it: with a kernel of $k$ patches, no
# state can be carried along faster than $(k-1)/2$ patches a frame. (A frame reaches one patch farther
# than a state, since it is convolved as well: of something faster the last frames alone can tell.) Shi
# et al. say that fast motion needs large kernels (their section 3.1). Here one sees why.

# %%
reach = inside.reach()
print("patches from the one that is asked about, frame by frame:", reach)
PAGE.show(pictures.save_pull(test.pixels[look_at, :SEEN], inside, PAGE.out / "cone.png"))

# %% [markdown]
# ## 9. In TensorBoard
#
# While `fit` runs, a `GradientInspector` writes each gate and state, and the gradient of the loss by it,
# at every frame. `tensorboard --logdir` shows them beside those of any other layer.

# %%
inspector = GradientInspector(PAGE.out / "logs", probe=(x_train[:8, :-1], x_train[:8, 1:]), every=2)
reader.fit(few[:, :-1], few[:, 1:], batch_size=BATCH, verbose=0, callbacks=[inspector])
tags = sorted({tag for tag in read_log(PAGE.out / "logs").scalars.tag if "memory/" in tag})
print(len(tags), "curves, among them", *tags[:4], sep="\n  ")

# %% [markdown]
# ## What has been claimed
#
# Every claim of this page, checked. In the fast mode the networks have learnt next to nothing; and which
# forecast is the better one is claimed of MNIST's digits alone, not of drawn ones.


# %%
def check():
    """Raise AssertionError for the first claim that does not hold."""
    np.testing.assert_array_equal(pixels(x_test), test.pixels)
    assert as_lstm < 1e-6
    assert in_the_middle < 1e-6, "states move with the film"
    assert at_border > 1e-3, "and walls can be known"
    assert twins <= 1e-5, "Keras's layers and ours learn alike"
    at = max(inside.place, key=lambda at: max(at, SIZE // PATCH - 1 - at))
    assert reach.tolist() == [min(SEEN - t, max(at, SIZE // PATCH - 1 - at)) for t in range(SEEN)]
    assert tags, "gates and states are in the log"
    if PAGE.fast or what != "MNIST":
        return
    one = {name: error[0] for name, error in errors.items()}
    assert one["ConvLSTM"] < 0.95 * one["LSTM"], "with far fewer weights"
    assert round(weights["LSTM"] / weights["ConvLSTM"]) == 37
    assert round(products["ConvLSTM"] / products["LSTM"]) == 7
    assert np.all(best < 0.3), "what rounding costs"
    assert own[-1] > 3 * best[-1], "most of the grey is the network's"
    assert one["LSTM"] < 0.9 * one["move on"] < 0.9 * one["stay"]
    last = {name: error[-1] for name, error in errors.items()}
    assert last["ConvLSTM, free run trained"] < 0.95 * last["ConvLSTM"]
    assert last["ConvLSTM, free run trained"] < 0.95 * ink, "better than an empty frame"
    assert of_ink["larger, three digits"] < 1.2 * of_ink["trained size"]


check()
print("all claims hold")

# %%
PAGE.report(
    "Learnt once for all places: better frames than an LSTM says that has 37 times the weights."
    if what == "MNIST" and not PAGE.fast
    else "An LSTM whose products are convolutions.",
    {
        "losses of keras.layers and custom_layers in fit differ by": twins,
        "error one frame ahead (ink of a frame: " + f"{ink:.0f})": ", ".join(
            f"{name} {error[0]:.1f}" for name, error in errors.items()
        ),
        "ten frames ahead": ", ".join(
            f"{name} {error[-1]:.1f}" for name, error in of_horizon.items()
        ),
        "weights": ", ".join(f"{name} {count:,}" for name, count in weights.items()),
        "multiplications for a frame": ", ".join(f"{name} {n:,}" for name, n in products.items()),
        "error one frame ahead, of the ink": ", ".join(
            f"{name} {value:.2f}" for name, value in of_ink.items()
        ),
        "error ten ahead, of the ink": f"{own[-1]:.2f}, the best possible {best[-1]:.2f}",
    },
    PAGE.out / "picture.png",
    data=f"films of {what}",
)
