r"""Luong's attention: three ways of scoring a key against a query.

    e_ts = q_t . k_s                      (1)  "dot"
    e_ts = q_t^T W k_s                    (2)  "general"
    e_ts = v . tanh(W^T [q_t ; k_s])      (3)  "concat"

Softmax and average follow as in `cross_attention.py`. The paper's h_t is our q_t, its h_s our k_s.
Its attentional vector tanh(W_c [c_t ; h_t]), equation (5), is a layer after this one.
Source: Luong et al. 2015, arXiv:1508.04025, section 3.1, equation (8).
"""

from typing import Any

import keras
from keras import ops

from custom_layers.attention.cross_attention import CrossAttention
from custom_layers.core.protocols import Shape, Tensor
from custom_layers.core.shape_check import require, require_positive_integer

SCORES = ("dot", "general", "concat")


def luong_dot_scores(query: Tensor, key: Tensor) -> Tensor:
    """Equation (1), (batch, query_steps, key_steps)."""
    return ops.matmul(query, ops.swapaxes(key, -2, -1))


def luong_general_scores(query: Tensor, key: Tensor, W: Tensor) -> Tensor:
    """Equation (2); W: (query_features, key_features)."""
    return luong_dot_scores(ops.matmul(query, W), key)


def luong_concat_scores(query: Tensor, key: Tensor, W: Tensor, v: Tensor) -> Tensor:
    """Equation (3); W: (query_features + key_features, units), v: (units,).

    W^T [q ; k] is computed as W_q^T q + W_k^T k, so that no pair is ever concatenated.
    """
    W_q, W_k = ops.split(W, [query.shape[-1]], axis=0)
    q = ops.expand_dims(ops.matmul(query, W_q), axis=-2)  # (batch, query_steps, 1, units)
    k = ops.expand_dims(ops.matmul(key, W_k), axis=-3)  # (batch, 1, key_steps, units)
    return ops.sum(ops.tanh(q + k) * v, axis=-1)


@keras.saving.register_keras_serializable(package="custom_layers")
class LuongAttention(CrossAttention):
    """Score keys against a query by a product or a small network, then average the values.

    Args:
        score: "dot", "general" or "concat", equations (1) to (3).
        units: int >= 1, width of the hidden layer of "concat"; None for the others.
        dropout: probability in [0, 1) of dropping one attention weight. Default 0.
        seed: int, seed of the dropout.
        kernel_initializer, kernel_regularizer, kernel_constraint: of each weight.
    Call arguments:
        query: (batch, query_steps, query_features).
        value, key: (batch, key_steps, value_features), (batch, key_steps, key_features); key is
            value where it is not given.
        mask: bool (batch, key_steps) or (batch, query_steps, key_steps), True = attend. A row
            without any True yields a zero context.
        return_attention_scores: whether to return the weights, too.
        training: whether to drop.
        query_mask, value_mask, key_mask: bool (batch, steps), found on the tensors by Keras. Where
            the query's is False, the context is zero; it is carried on with the context.
    Returns: context (batch, query_steps, value_features), in the unit of measure of `value`; and,
        if asked for, the attention weights (batch, query_steps, key_steps): dimensionless, after
        the softmax and before dropout, attended rows sum to 1.
    Weights: none for "dot"; `W` (query_features, key_features) for "general"; `W` (query_features +
        key_features, units) and `v` (units,) for "concat".
    Raises: ValueError for another `score`, `units` with or without need, ranks other than 3,
        unequal features with "dot", or key, value and masks that disagree.
    Source: Luong et al. 2015, arXiv:1508.04025, section 3.1.
    Differs from keras.layers.Attention, which has "dot" but neither W nor, in its "concat", v.
    """

    owner = "luong"

    def __init__(self, score: str = "general", units: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        require(
            score in SCORES,
            self.owner,
            f"`score` must be one of {', '.join(map(repr, SCORES))}",
            f"score={score!r}",
            "See section 3.1 of arXiv:1508.04025.",
        )
        require(
            (units is not None) == (score == "concat"),
            self.owner,
            "`units` is the width of the hidden layer of score='concat' and of no other",
            f"score={score!r}, units={units!r}",
            "Give it with 'concat' and leave it out otherwise.",
        )
        self.score = score
        self.units = units
        if units is not None:
            self.units = require_positive_integer(units, owner=self.owner, name="units")

    def build(self, query_shape: Shape, value_shape: Shape, key_shape: Shape | None = None) -> None:
        key_shape = value_shape if key_shape is None else key_shape
        self._check_shapes(query_shape, value_shape, key_shape)
        if self.score == "dot":
            return
        q, k = self.known_features(query_shape, key_shape)
        if self.units is None:  # "general"
            self.W = self.add_kernel("W", (q, k))
        else:  # "concat"
            self.W = self.add_kernel("W", (q + k, self.units))
            self.v = self.add_kernel("v", (self.units,))

    def attention_scores(self, query: Tensor, key: Tensor) -> Tensor:
        if self.score == "general":
            return luong_general_scores(query, key, self.W)
        if self.score == "concat":
            return luong_concat_scores(query, key, self.W, self.v)
        return luong_dot_scores(query, key)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "score": self.score, "units": self.units}

    def _check_shapes(self, query: Shape, value: Shape, key: Shape) -> None:
        super()._check_shapes(query, value, key)
        require(
            self.score != "dot" or query[-1] == key[-1],
            self.owner,
            "score='dot' needs equally many features in query and key",
            f"query.shape={tuple(query)}, key.shape={tuple(key)}",
            "Use score='general', whose W takes one to the other.",
        )
