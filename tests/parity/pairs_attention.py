"""The attention layers, in the settings in which they could differ.

Query and key have different numbers of steps wherever no built-in quirk forbids it, so that a
transposed matrix or a softmax over the wrong axis cannot hide.
"""

import numpy as np

from tests.parity.differentiate import BACKEND
from tests.parity.harness import RELATIVE, Pair, ragged_mask

BATCH, T, S, FEATURES, VALUES = 3, 6, 5, 4, 3
KEY_DIM = 4  # its root is exact: on TensorFlow the built-in rounds 1 / sqrt(key_dim) to float32


def listed(rng):
    """[query, value, key], the value of its own size."""
    query = rng.standard_normal((BATCH, T, FEATURES))
    value = rng.standard_normal((BATCH, S, VALUES))
    key = rng.standard_normal((BATCH, S, FEATURES))
    return ([query, value, key],)


def listed_pair(rng):
    """[query, value], whose value is the key, too."""
    return ([rng.standard_normal((BATCH, T, FEATURES)), rng.standard_normal((BATCH, S, FEATURES))],)


def list_masks(rng):
    return {"mask": [ragged_mask(BATCH, T), ragged_mask(BATCH, S)]}


def value_mask_and_scores(rng):
    return {"mask": [None, ragged_mask(BATCH, S)], "return_attention_scores": True}


def nothing_to_see(rng):
    """The first sequence has no key to attend to."""
    mask = ragged_mask(BATCH, S)
    mask[0] = False
    return {"mask": [None, mask]}


def causal(rng):
    return {"use_causal_mask": True, "return_attention_scores": True}


def causal_and_masks(rng):
    return {"use_causal_mask": True, **list_masks(rng)}


def trained(rng):
    return {"training": True, "return_attention_scores": True}


def one_list(name, keywords=None, inputs=listed, smooth=True, **config):
    """A layer that is called on [query, value] or [query, value, key]."""
    options = {} if keywords is None else {"keywords": keywords}
    kind = "AdditiveAttention" if name.startswith("additive") else "Attention"
    tanh = kind == "AdditiveAttention" or "score_mode" in config  # in float32 on JAX
    smooth = smooth and "dropout" not in config and not (tanh and BACKEND == "jax")

    def make(layers):
        return getattr(layers, kind)(**config)

    return Pair(name, make, inputs, smooth=smooth, **options)


ATTENTION = [
    one_list("attention-dot", inputs=listed_pair),
    one_list("attention-dot-masks", list_masks, use_scale=True),
    one_list("attention-dot-scores", value_mask_and_scores),
    # float64 resolves 1e-7 beside the 1e9 that is subtracted here: too coarse for differences
    one_list("attention-dot-no-key", nothing_to_see, smooth=False),
    one_list("attention-dot-causal", causal_and_masks, use_scale=True),
    one_list("attention-dot-dropout", trained, dropout=0.4, seed=3),
    one_list("attention-concat", causal, inputs=listed_pair, score_mode="concat"),
    one_list("attention-concat-masks", list_masks, use_scale=True, score_mode="concat"),
    one_list("attention-concat-dropout", trained, score_mode="concat", dropout=0.4, seed=3),
    one_list("additive", causal),
    one_list("additive-no-scale", list_masks, inputs=listed_pair, use_scale=False),
    one_list("additive-masks", causal_and_masks),
    one_list("additive-dropout", trained, dropout=0.4, seed=3),
]


def query_value(rng):
    return rng.standard_normal((BATCH, T, FEATURES)), rng.standard_normal((BATCH, S, FEATURES))


def query_value_key(rng):
    return *query_value(rng), rng.standard_normal((BATCH, S, VALUES))


def self_attention(rng):
    x = rng.standard_normal((BATCH, T, FEATURES))
    return x, x.copy()


# Off TensorFlow the built-in's fused kernels compute float64 in float32; Torch's has no second
# derivative and a gradient of its own in rows without any True, and JAX's wants value_dim to be
# key_dim.
WIDE = BACKEND == "tensorflow"
FLOAT32 = RELATIVE if WIDE else {**RELATIVE, "float64": 2e-6}


def images(rng):
    """(batch, 3, 5, features) and (batch, 3, 2, features)."""
    return rng.standard_normal((2, 3, 5, FEATURES)), rng.standard_normal((2, 3, 2, FEATURES))


def attention_mask(rng):
    """Every query sees a key of its own, and others at random."""
    mask = rng.random((BATCH, T, S)) < 0.5
    mask[:, np.arange(T), np.arange(T) % S] = True
    return {"attention_mask": mask}


def mask_of_rows(rng):
    """Some queries see nothing."""
    mask = attention_mask(rng)["attention_mask"]
    mask[0, 2] = mask[1, 0] = False
    return {"attention_mask": mask}


def number_mask(rng):
    return {"attention_mask": attention_mask(rng)["attention_mask"][0].astype("int32")}


def mask_of_heads(rng):
    masks = [attention_mask(rng)["attention_mask"] for _ in range(2)]
    return {"attention_mask": np.stack(masks, axis=1)}


def step_masks(rng):
    """The key's is not the value's; together they leave each sequence a key."""
    key_mask = np.ones((BATCH, S), dtype=bool)
    key_mask[2, 0] = False
    return {"value_mask": ragged_mask(BATCH, S), "key_mask": key_mask}


def everything(rng):
    return {**attention_mask(rng), "value_mask": ragged_mask(BATCH, S), "use_causal_mask": True}


def causal_alone(rng):
    return {"use_causal_mask": True}


def rows_and_training(rng):
    return {**mask_of_rows(rng), "training": True}


def with_scores(keywords):
    """For queries as long as the keys: the built-in's symbolic weights know no other length."""
    return lambda rng: {**keywords(rng), "return_attention_scores": True}


def multi_head(name, keywords=None, inputs=query_value, **config):
    options = {} if keywords is None else {"keywords": keywords}
    config = {"num_heads": 2, "key_dim": KEY_DIM, **config}
    smooth = "dropout" not in config and (WIDE or "use_gate" not in config)
    everywhere = "value_dim" not in config and not name.endswith(("without-key", "all-masks"))
    elsewhere = ("tensorflow", "torch") if "value_dim" in config else ("tensorflow", "jax")
    return Pair(
        f"multi-head{name}",
        lambda layers: layers.MultiHeadAttention(**config),
        inputs,
        smooth=smooth,
        tolerance=FLOAT32,
        second_order=BACKEND != "torch",
        backends=("tensorflow", "jax", "torch") if everywhere else elsewhere,
        **options,
    )


MULTI_HEAD = [
    multi_head(""),
    multi_head("-self", inputs=self_attention, num_heads=1, use_bias=False),
    multi_head("-gate", use_gate=True, value_dim=2, output_shape=5),
    multi_head("-attention-mask", attention_mask, output_shape=(2, 3)),
    multi_head("-mask-without-batch", number_mask),
    multi_head("-mask-of-heads", mask_of_heads),
    multi_head("-rows-without-key", mask_of_rows),
    multi_head("-step-masks", step_masks, inputs=query_value_key, value_dim=2),
    multi_head("-all-masks", everything, sliding_window=3),
    multi_head("-causal", causal_alone),
    multi_head("-window", sliding_window=2),
    multi_head("-scores", with_scores(causal_alone), inputs=self_attention),
    multi_head("-dropout-idle", mask_of_rows, dropout=0.4, seed=3),
    multi_head("-dropout", rows_and_training, dropout=0.4, seed=3),
    multi_head("-axis", inputs=images, attention_axes=-2),
    multi_head("-axes", inputs=images, attention_axes=(1, 2)),
    multi_head(
        "-regularized",
        kernel_initializer="he_normal",
        bias_initializer="random_normal",
        kernel_regularizer="l2",
        bias_regularizer="l1",
        activity_regularizer="l2",
        kernel_constraint="non_neg",
        bias_constraint="max_norm",
    ),
]

PAIRS = ATTENTION + MULTI_HEAD
