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
# # Masking
#
# Sentences have lengths of their own, and a batch is a rectangle. So short sentences are filled up
# with zeros: **padding**. A **mask** says which cells of the rectangle are real. This page proves
# that under a mask padding changes nothing, no output and no gradient (2, 3); shows what goes wrong
# without one (4, 5); and measures what padding costs, and how much of it one can be rid of (6).

# %%
import importlib.util
import os
import sys
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if importlib.util.find_spec("tutorials") is None:  # a notebook starts in its own folder
    sys.path.insert(0, str(next(p for p in Path.cwd().parents if (p / "tutorials").is_dir())))

import keras
import numpy as np
import tensorflow as tf

import custom_layers
from custom_layers.debugging import GradientInspector
from custom_layers.training import masked_accuracy, masked_loss
from tutorials import page
from tutorials.masking import cost, pictures, proof, sentences
from tutorials.masking.model import logits_with_padding, reader
from tutorials.sentence_corpus import corpus

tf.get_logger().setLevel("ERROR")  # batches differ in length, so that functions are traced anew
PAGE = page.begin("masking", "What padding changes with a mask and without one, and what it costs.")
rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. A rectangle of sentences
#
# Words become numbers, and 0 is no word. `to_tensor` pads each row to the longest.

# %%
pairs, data = corpus()
COUNT, WORDS = (1500, 800) if PAGE.fast else (6000, 2000)
held_out = COUNT // 5  # to be asked about; the words are counted over the others
questions = sentences.questions(pairs, COUNT, held_out, vocabulary=WORDS, seed=0)
rows = questions.rows[:4].to_tensor()
for text, row in zip(questions.texts, rows.numpy(), strict=False):
    print(text, row)

# %% [markdown]
# `Embedding(mask_zero=True)` makes the mask, and Keras hands it on from layer to layer. (`Masking`
# makes one of sequences that are no words.)
#
# $$m_{bt} = [\,x_{bt} \neq 0\,] \qquad (1)$$

# %%
embedding = custom_layers.Embedding(questions.words, 3, mask_zero=True)
mask: Any = embedding.compute_mask(rows)
print(mask.numpy().astype(int))

# %% [markdown]
# ## 2. What a recurrent layer does with it
#
# Where the mask is 0, no step is taken: the state stays as it is, and so the last state of a row is
# that of its last word, however much padding follows.
#
# $$h_{t} = m_t \tanh(x_t W + h_{t-1} U + b) + (1 - m_t)\, h_{t-1} \qquad (2)$$
#
# By hand, and by the layers, with random weights. Behind the end of a sequence stands noise here,
# not zeros: zeros might do no harm by chance.

# %%
x, kept = proof.sequences()
simple = custom_layers.SimpleRNN(proof.UNITS, dtype="float64")
simple.build(x.shape)
W, U, b = weights = [0.7 * rng.standard_normal(w.shape) for w in simple.get_weights()]
simple.set_weights(weights)
h = np.zeros((len(x), proof.UNITS))
for t in range(x.shape[1]):
    m = kept[:, t, None]
    h = m * np.tanh(x[:, t] @ W + h @ U + b) + (1 - m) * h  # (2)
by_hand_apart = np.abs(simple(x, mask=tf.constant(kept)) - h).max()
print(f"by hand and by the layer: {by_hand_apart:.1e}")

# %% [markdown]
# ## 3. The proof
#
# Each sequence goes through a layer **alone**, without padding and without a mask. Then all go
# through it **together**, padded with noise and masked. The loss weighs every real output with a
# random number,
#
# $$L = \sum_b \sum_{t \le n_b} d_{bt} \cdot y_{bt} \qquad (3)$$
#
# so that an error anywhere shows in it. We compare the outputs, $\partial L / \partial x$ and
# $\partial L / \partial w$, in float64, as shares of the largest entry. The last column is the
# largest gradient that arrives in the padding.

# %%
with_mask, without_mask = {}, {}
print(f"{'':34} outputs    dL/dx    dL/dw  in padding")
for name, case in {**proof.CASES, **proof.OURS_ALONE}.items():
    for layers in (keras.layers, custom_layers):
        if hasattr(layers, name.split()[0]):
            column = f"{name}, {'ours' if layers is custom_layers else 'Keras'}"
            with_mask[column] = proof.differences(case, layers)
            without_mask[column] = proof.differences(case, layers, masked=False)
            print(f"{column:34} " + " ".join(f"{value:8.1e}" for value in with_mask[column]))

# %% [markdown]
# Nothing but rounding, and in the padding exactly 0. Of a softmax over masked scores this is not
# plain: the scores are not removed. `Attention` and `AdditiveAttention` lower them by $10^9$, or by
# 65,504 in float16. The others put a number in their place, $-10^9$ or less, or $-30{,}000$ in
# float16. The exponential of each is 0 in its format. The same without the mask, in the order of
# above:

# %%
lowest = {"float16": (-65504.0, -3e4), "float32": (-1e9,), "float64": (-1e9,)}
left_of = [float(np.exp(np.array(x, kind))) for kind, scores in lowest.items() for x in scores]
print("exponentials of what is lowered or replaced:", left_of)
for column, apart in without_mask.items():
    print(f"{column:34} " + " ".join(f"{value:8.1e}" for value in apart))

# %% [markdown]
# **Not every layer knows masks.** Max pooling takes the largest entry of all cells, padding
# included, in Keras and here. Convolutions over time read the padding too, and `Flatten` hands it
# on. Keras warns of a mask that ends at such a layer. It warns once, and computes on:

# %%
warned = {}
for layer in (
    custom_layers.GlobalMaxPooling1D(),
    custom_layers.Conv1D(2, kernel_size=2),
    keras.layers.GlobalMaxPooling1D(),
    keras.layers.Conv1D(2, kernel_size=2),
    keras.layers.Flatten(),
):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            layer(embedding(rows))
    warned[layer.name] = [str(one.message) for one in caught]
print(*warned["global_max_pooling1d"], sep="\n")
pooled = proof.differences(proof.NO_MASK["GlobalMaxPooling1D"], custom_layers)
print(f"GlobalMaxPooling1D: outputs differ by {pooled.outputs:.2f} of the largest")

# %% [markdown]
# ### The loss
#
# The loss must leave out the padding as well, and divide by what is left:
#
# $$L = \frac{\sum_{bt} m_{bt} \left(-\log p_{bt}[y_{bt}]\right)}{\sum_{bt} m_{bt}} \qquad (4)$$
#
# `custom_layers.training.masked_loss` is (4), with $m_{bt} = [\,y_{bt} \ne 0\,]$. In Keras the mask
# may be the `sample_weight` of a loss that divides by the sum of the weights. Both, against the
# real words one after the other:

# %%
labels = np.where(kept, rng.integers(1, 6, kept.shape), 0)
logits = tf.constant(rng.standard_normal((*kept.shape, 6)))
weighted = keras.losses.SparseCategoricalCrossentropy(
    from_logits=True, reduction="mean_with_sample_weight", dtype="float64"
)
losses, gradients = {}, {}
for name, loss_of in {
    "word by word": lambda z: tf.reduce_mean(
        [-tf.nn.log_softmax(z[b, t])[labels[b, t]] for b, t in np.argwhere(kept)]
    ),
    "masked_loss": lambda z: masked_loss(labels, z),
    "Keras": lambda z: weighted(labels, z, sample_weight=kept.astype(float)),
}.items():
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = loss_of(logits)
    losses[name], gradients[name] = loss.numpy(), tape.gradient(loss, logits).numpy()
    print(f"{name:14} {losses[name]:.15f}, gradient in the padding {gradients[name][~kept].any()}")

# %% [markdown]
# Without it, the cells that are easiest of all would count: a network that gets every word wrong,
# and says "padding" in the padding, looks good, the better the more padding there is.

# %%
lengths = rng.integers(1, 30, 64)
real = np.arange(lengths.max()) < lengths[:, None]
all_wrong = np.eye(3, dtype="float32")[np.where(real, 2, 0)]  # says 2 for every word, which is a 1
flattered = float(np.mean(all_wrong.argmax(axis=-1) == real))
honest = float(masked_accuracy(real.astype(int), all_wrong))
print(f"all words wrong: accuracy {flattered:.0%} over all cells, {honest:.0%} over the words")

# %% [markdown]
# ## 4. Training under a mask
#
# A small network reads English sentences without their marks, and says whether each was a question.
# It sums up a sentence in the last state of an LSTM, or simply in the mean of its words' vectors.
# Each from `keras.layers` and from `custom_layers`, from the same weights, with the same batches;
# and one whose embedding makes no mask, with the same batches too. (Two layers that round in another
# order differ by a rounding after the first epoch, and training lets it grow.)

# %%
EPOCHS, BATCH = (2, 50) if PAGE.fast else (4, 100)
train_rows, train_labels = questions.rows[held_out:], questions.labels[held_out:]
batches = cost.two_ways(train_rows, train_labels, BATCH, seed=0)
probe = next(iter(batches.by_length))
readers, losses_of = {}, {}
starts: dict[str, list[np.ndarray]] = {}
for summary in ("LSTM", "mean"):
    for name, layers, masked in (
        ("masked, Keras", keras.layers, True),
        ("masked", custom_layers, True),
        ("never a mask", custom_layers, False),
    ):
        keras.utils.set_random_seed(0)
        model = readers[f"{summary}, {name}"] = reader(layers, questions.words, masked, summary)
        model.set_weights(starts.setdefault(summary, model.get_weights()))
        looks = []
        if (summary, name) == ("LSTM", "masked"):
            looks = [GradientInspector(PAGE.out / "logs", probe, every=50)]
        history = model.fit(
            batches.by_length, epochs=EPOCHS, shuffle=False, verbose=0, callbacks=looks
        ).history
        losses_of[f"{summary}, {name}"] = np.array(history["loss"])
        print(
            f"{summary + ', ' + name:20} loss by epoch {losses_of[f'{summary}, {name}'].round(4)}"
        )
columns_apart = np.max(
    [
        np.abs(losses_of[f"{summary}, masked"] - losses_of[f"{summary}, masked, Keras"])
        for summary in ("LSTM", "mean")
    ],
    axis=0,
)
print("the losses of the two columns differ, epoch by epoch, by at most", columns_apart)

# %% [markdown]
# ## 5. The same sentence in other company
#
# How much padding a sentence gets depends on its neighbours in the batch. Its answer must not. We
# ask about sentences that no network has seen, each with 0, 2, 5, ... zeros behind it. "Mask lost"
# has the weights of the masked network and no mask any more, as happens when a layer in between
# drops it, or when a model is written anew for serving. Under its mask it never took a padded step,
# and so the vector of the zero is still the one that it began with:

# %%
test_rows, test_labels = questions.rows[:held_out], questions.labels[:held_out, 0]
untrained = {}
for summary in ("LSTM", "mean"):
    lost = readers[f"{summary}, mask lost"] = reader(custom_layers, questions.words, False, summary)
    lost.set_weights(readers[f"{summary}, masked"].get_weights())
    change = np.abs(lost.get_weights()[0] - starts[summary][0]).max(axis=1)
    untrained[summary] = float(change[sentences.PADDING])
    print(
        f"{summary}: the vector of 0 has moved by {untrained[summary]}, others to {change.max():.2f}"
    )
padding = [0, 2, 5, 10, 20, 40, 80]
moved, accuracy = {}, {}
for name, model in readers.items():
    if name.endswith("Keras"):
        continue
    logits = [logits_with_padding(model, test_rows, k) for k in padding]
    probabilities = [1 / (1 + np.exp(-z)) for z in logits]
    moved[name] = [float(np.abs(p - probabilities[0]).mean()) for p in probabilities]
    accuracy[name] = [float(np.mean((z > 0) == test_labels)) for z in logits]
    print(f"{name:18} right {np.round(accuracy[name], 3)}, moved {np.round(moved[name], 3)}")
effect = pictures.save_effect(padding, moved, accuracy, PAGE.out / "effect.png")
PAGE.show(effect)

# %% [markdown]
# Both LSTMs without a mask keep nearly all their verdicts, though their probabilities move. One was
# trained with padding and could learn to carry a verdict across it. The other, "mask lost", has learnt
# nothing of the kind: that its verdicts hold is luck of the task, and no promise. A mean has no such
# way out: the more zeros it counts, the nearer it comes to what it says of zeros alone.

# %% [markdown]
# ## 6. What padding costs
#
# The mask makes padding harmless, not free: the time loop runs to the longest sentence of a batch,
# and every masked step is computed and thrown away. Sentences of like lengths in a batch need
# fewer. `custom_layers.data.length_buckets` sorts so, and shuffles within.

# %%
sizes = {"random": cost.size_of(batches.random), "by length": cost.size_of(batches.by_length)}
for name, size in sizes.items():
    print(
        f"{name:10} {size.padding:.1%} padding, {size.steps / batches.per_epoch:.1f} steps a batch"
    )
firsts = {
    name: (next(iter(way))[0].numpy(), sizes[name].padding)
    for name, way in {"random": batches.random, "by length": batches.by_length}.items()
}
PAGE.show(pictures.save_batches(firsts, PAGE.out / "batches.png"))

# %% [markdown]
# An epoch of `fit` the one way and the other, in turns in this process, in the
# processor's time for each word that is no padding:

# %%
ratio = cost.time_ratio(readers["LSTM, masked"], batches, turns=1 if PAGE.fast else 5)
steps_ratio = sizes["random"].steps / sizes["by length"].steps
print(
    f"random batches take {ratio:.2f} times the time for a word, and {steps_ratio:.2f} times the steps"
)

# %% [markdown]
# The price of sorting: the sentences of a batch are alike, so that its gradient stands a little less
# well for the whole corpus. Shuffling the batches keeps this small.
#
# ## What has been claimed
#
# Every claim of this page, checked. On generated sentences, which are all short, there is less
# padding to be saved; and after the few steps of the fast mode the networks have not learned enough
# to lose much.


# %%
def check():
    """Raise AssertionError for the first claim that does not hold."""
    assert by_hand_apart <= 1e-12
    for column, apart in with_mask.items():
        assert max(apart.outputs, apart.inputs, apart.weights) <= 1e-12, column
        assert apart.padding == 0, column
        assert without_mask[column].outputs > 1e-3, f"{column}: the noise matters without a mask"
    assert not any(left_of), "nothing is left of a masked score"
    assert pooled.outputs > 1e-3, "max pooling takes no mask"
    for name, messages in warned.items():
        assert ["does not support masking" in message for message in messages] == [True], name
    assert not any(untrained.values()), "no gradient reaches the vector of the zero"
    for name, loss in losses.items():
        assert abs(loss - losses["word by word"]) <= 1e-12, name
        assert np.abs(gradients[name] - gradients["word by word"]).max() <= 1e-12, name
        assert not gradients[name][~kept].any(), name
    assert honest == 0
    assert flattered > 0.3
    assert columns_apart[0] <= 1e-5, "built-in and custom columns learn alike,"
    assert columns_apart.max() <= 1e-3, "but for a rounding that grows"
    real = data == "spa-eng"  # an LSTM gets all generated sentences right, and is sure of it
    for name, changes in moved.items():
        if name.endswith(", masked"):
            assert max(changes) <= 1e-6, "under the mask an answer stays as it is"
        elif real or name.startswith("mean"):
            assert changes[-1] > 1e-3, "without it, it moves"
    assert sizes["by length"].padding < 0.5 * sizes["random"].padding
    assert sizes["by length"].steps < sizes["random"].steps
    if not PAGE.fast:
        for summary in ("LSTM", "mean"):
            assert accuracy[f"{summary}, masked"][0] > 0.85, "it has learned"
        for mask in ("never a mask", "mask lost"):
            assert moved[f"mean, {mask}"][-1] > 0.1, "a mean is diluted"
            less = 0.5 * moved[f"mean, {mask}"][-1]
            assert 0.01 * real <= moved[f"LSTM, {mask}"][-1] < less, "an LSTM's move less"
            change = np.array(accuracy[f"LSTM, {mask}"]) - accuracy[f"LSTM, {mask}"][0]
            assert np.abs(change).max() < 0.01, "its verdicts hardly"
        assert accuracy["mean, mask lost"][-1] < accuracy["mean, masked"][-1] - 0.02
        assert ratio > 1


check()
of_ours = sum(column.endswith("ours") for column in with_mask)
largest = max(max(apart.outputs, apart.inputs, apart.weights) for apart in with_mask.values())
PAGE.report(
    "Under a mask padding changes no output and no gradient; without one, answers depend on the batch.",
    {
        f"largest difference of {of_ours} layers, {len(with_mask) - of_ours} of them from both "
        "libraries, padded and alone, float64": f"{largest:.0e}",
        "gradient that arrives in the padding": 0,
        **{
            f"{name}, {padding[-1]} padded steps": (
                f"right {shares[0]:.1%} to {shares[-1]:.1%}, probabilities move by {moved[name][-1]:.2f}"
            )
            for name, shares in accuracy.items()
        },
        "padding of random batches, and by length": "{:.0%}, {:.0%}".format(
            *(size.padding for size in sizes.values())
        ),
        "processor time for a word, random to by length": round(ratio, 2),
    },
    effect,
    data,
)
print("all claims hold")
