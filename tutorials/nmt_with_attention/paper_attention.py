r"""Bahdanau's and Luong's attention in plain `keras.ops`: the built-in side of a comparison.

    e_ts = v . tanh(W_query^T q_t + W_key^T k_s)       (1) Bahdanau et al. 2015, arXiv:1409.0473
    e_ts = q_t^T W k_s                                 (2) Luong et al. 2015, arXiv:1508.04025
    a_ts = exp(e_ts) / sum_{s kept} exp(e_ts)          (3) over the words that are no padding
    c_t  = sum_s a_ts k_s                              (4)

Keras has neither (its AdditiveAttention has no matrices, its Attention no W). These few lines are
what one would write by hand, with the weights of `custom_layers.BahdanauAttention` and
`custom_layers.LuongAttention` in the same order.
"""

from typing import Any

import keras
from keras import ops


class PaperAttention(keras.layers.Layer):
    """Equations (3) and (4) over the `scores` of a subclass.

    Call arguments:
        query: (batch, query_steps, features).
        value: (batch, key_steps, features), keys and values in one.
        mask: bool (batch, key_steps), True = attend.
        return_attention_scores: whether to return the weights, too. Default False.
        query_mask: bool (batch, query_steps), found on `query` by Keras; zero context where False.
    Returns: context (batch, query_steps, features); with `return_attention_scores` also the weights
        (batch, query_steps, key_steps).
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def scores(self, query: Any, key: Any) -> Any:
        """(batch, query_steps, key_steps)."""
        raise NotImplementedError("A subclass of PaperAttention must define `scores`.")

    def call(
        self,
        query: Any,
        value: Any,
        mask: Any,
        return_attention_scores: bool = False,
        query_mask: Any = None,
    ) -> Any:
        kept = mask[:, None, :]
        weights = ops.softmax(ops.where(kept, self.scores(query, value), -1e9), axis=-1)  # (3)
        weights = ops.where(kept, weights, 0.0)
        context = ops.matmul(weights, value)  # (4)
        if query_mask is not None:
            context = ops.where(query_mask[..., None], context, 0.0)
        return (context, weights) if return_attention_scores else context

    def compute_mask(self, *args: Any, **kwargs: Any) -> None:
        return None


@keras.saving.register_keras_serializable(package="nmt_with_attention")
class BahdanauAttention(PaperAttention):
    """Additive attention (1). Args: units, the width of the hidden layer."""

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units

    def build(self, query_shape: Any, value_shape: Any) -> None:
        self.W_query = self.add_weight(name="W_query", shape=(query_shape[-1], self.units))
        self.W_key = self.add_weight(name="W_key", shape=(value_shape[-1], self.units))
        self.v = self.add_weight(name="v", shape=(self.units,))

    def scores(self, query: Any, key: Any) -> Any:
        projected_query = ops.matmul(query, self.W_query)[:, :, None, :]
        projected_key = ops.matmul(key, self.W_key)[:, None, :, :]
        return ops.sum(self.v * ops.tanh(projected_query + projected_key), axis=-1)  # (1)


@keras.saving.register_keras_serializable(package="nmt_with_attention")
class LuongAttention(PaperAttention):
    """Multiplicative attention with the score "general" (2)."""

    def __init__(self, score: str = "general", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if score != "general":
            raise ValueError(
                f"LuongAttention: `score` must be 'general' here. Received: score={score!r}. "
                "custom_layers.LuongAttention has 'dot' and 'concat', too."
            )

    def build(self, query_shape: Any, value_shape: Any) -> None:
        self.W = self.add_weight(name="W", shape=(query_shape[-1], value_shape[-1]))

    def scores(self, query: Any, key: Any) -> Any:
        return ops.matmul(ops.matmul(query, self.W), ops.swapaxes(key, 1, 2))  # (2)
