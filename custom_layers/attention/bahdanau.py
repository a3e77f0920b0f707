r"""Bahdanau's attention: a network with one hidden layer scores each key against each query.

    e_ts = v . tanh(W_query^T q_t + W_key^T k_s)   (1)

Softmax and average follow as in `cross_attention.py`. The paper's e_ij = v_a^T tanh(W_a s_{i-1} +
U_a h_j) has W_a = W_query^T and U_a = W_key^T: our features come last. It has no bias.
Source: Bahdanau et al. 2015, arXiv:1409.0473, appendix A.1.2.
"""

from typing import Any, NamedTuple

import keras
from keras import ops

from custom_layers.attention.cross_attention import CrossAttention
from custom_layers.core.protocols import Shape, Tensor
from custom_layers.core.shape_check import require_positive_integer


class BahdanauScores(NamedTuple):
    """Every named quantity of equation (1)."""

    hidden: Tensor  # (batch, query_steps, key_steps, units), after the hyperbolic tangent
    attention_scores: Tensor  # (batch, query_steps, key_steps)


def bahdanau_scores(
    query: Tensor, key: Tensor, W_query: Tensor, W_key: Tensor, v: Tensor
) -> BahdanauScores:
    """Equation (1). W_key k_s is computed once for all queries, as the paper advises."""
    q = ops.expand_dims(ops.matmul(query, W_query), axis=-2)  # (batch, query_steps, 1, units)
    k = ops.expand_dims(ops.matmul(key, W_key), axis=-3)  # (batch, 1, key_steps, units)
    hidden = ops.tanh(q + k)
    return BahdanauScores(hidden, ops.sum(hidden * v, axis=-1))  # (1)


@keras.saving.register_keras_serializable(package="custom_layers")
class BahdanauAttention(CrossAttention):
    """Score keys against a query with a one-hidden-layer network, then average the values.

    Args:
        units: int >= 1, width of the hidden layer.
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
    Weights: `W_query` (query_features, units), `W_key` (key_features, units), `v` (units,).
    Raises: ValueError when `units` < 1, ranks differ from 3, or key, value and masks disagree.
    Source: Bahdanau et al. 2015, arXiv:1409.0473, appendix A.1.2.
    Differs from keras.layers.AdditiveAttention, which has no W_query and W_key matrices, and from
        the paper in its initial weights: there W_a and U_a are normal with deviation 0.001 and v_a
        is zero (appendix B.1), here `kernel_initializer` draws all three.
    """

    owner = "bahdanau"

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = require_positive_integer(units, owner=self.owner, name="units")

    def build(self, query_shape: Shape, value_shape: Shape, key_shape: Shape | None = None) -> None:
        key_shape = value_shape if key_shape is None else key_shape
        self._check_shapes(query_shape, value_shape, key_shape)
        query_features, key_features = self.known_features(query_shape, key_shape)
        self.W_query = self.add_kernel("W_query", (query_features, self.units))
        self.W_key = self.add_kernel("W_key", (key_features, self.units))
        self.v = self.add_kernel("v", (self.units,))

    def attention_scores(self, query: Tensor, key: Tensor) -> Tensor:
        return bahdanau_scores(query, key, self.W_query, self.W_key, self.v).attention_scores

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}
