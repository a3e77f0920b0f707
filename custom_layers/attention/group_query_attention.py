r"""Grouped-query attention: multi-head attention in which several queries share one key and value.

    q_h = query W_h^Q + b_h^Q                                   for each of H heads    (1)
    k_g = key W_g^K + b_g^K,  v_g = value W_g^V + b_g^V         for each of G groups   (2)
    c_h = attention(q_h, k_g, v_g), with g = floor(h G / H)                            (3)
    c_h = c_h * sigmoid(query W_h^G + b_h^G)                    with `use_gate`        (4)
    y   = sum_h c_h W_h^O + b^O                                                        (5)

H is `num_query_heads` and G `num_key_value_heads`: G = H is multi-head attention, G = 1 multi-query
attention. Equation (3) is written out in `scaled_dot_product.py`, the others in `projection.py`.
Source: Ainslie et al. 2023, arXiv:2305.13245, section 2.2; G = 1 is Shazeer 2019, arXiv:1911.02150;
the gate is Qiu et al. 2025, arXiv:2505.06708, section 2.2.
"""

from typing import Any

import keras
from keras import ops

from custom_layers.attention.attention_in_heads import AttentionInHeads
from custom_layers.attention.masks import both, mask_of_scores, require_mask_of_steps
from custom_layers.attention.multi_head_arguments import (
    check_attention_mask,
    check_shapes,
    require_size,
)
from custom_layers.core.protocols import Shape, Tensor
from custom_layers.core.shape_check import require

OWNER = "group_query_attention"
STEPS = (1,)  # the attended axis


def repeat_for_queries(heads: Tensor, repeats: int) -> Tensor:
    """The g of (3): (batch, steps, G, size) to (batch, steps, H, size), each group for its queries."""
    return ops.repeat(heads, repeats, axis=2)


@keras.saving.register_keras_serializable(package="custom_layers")
class GroupedQueryAttention(AttentionInHeads):
    """Project into heads, attend in each with the key and value of its group, project back.

    `custom_layers.GroupQueryAttention`; the class has the name that Keras's class has, which stands in
    the weights files of models.

    Args:
        head_dim: int >= 1, size of each head's query, key and value.
        num_query_heads: int >= 1, H.
        num_key_value_heads: int >= 1, G, a divisor of H.
        dropout: probability in [0, 1] of dropping one attention weight.
        use_bias: whether the biases of (1), (2), (4) and (5) exist.
        sliding_window: int >= 1: query t sees the keys with |t - s| < sliding_window.
        flash_attention: True asks the backend for its kernel, where the built-in would, and fails
            where there is none (TensorFlow); None and False attend as written here.
        kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer,
            kernel_constraint, bias_constraint: of each projection.
        activity_regularizer: of each projection's output, the last one's twice.
        use_gate: whether equation (4) applies.
        seed: int, seed of the dropout.
        fused: whether a kernel of the backend, `keras.ops.dot_product_attention`, computes (3): the same
            numbers, and nothing to watch: a recorder gets neither `attention_scores` nor
            `attention_weights`.
    Call arguments:
        query: (batch, query_steps, features).
        value, key: (batch, key_steps, features), (batch, key_steps, key_features); key is value where
            it is not given.
        query_mask, value_mask, key_mask: bool (batch, steps), found on the tensors by Keras.
        attention_mask: bool (batch, query_steps, key_steps), or what broadcasts to it, with or
            without an axis for the heads.
        return_attention_scores: whether to return the weights, too.
        training: whether to drop.
        use_causal_mask: whether query t sees the keys s <= t alone.
    Returns: y (batch, query_steps, features); and, if asked for, the attention weights
        (batch, H, query_steps, key_steps), after the softmax and before dropout. The query's mask goes
        on with y.
    Weights: `query`, `key`, (`gate`), `value`, `attention_output`, each a kernel and a bias: into
        heads (features, heads, head_dim), out of them (H, head_dim, features). There are H heads of
        query and gate, and G of key and value.
    Raises: ValueError when an argument cannot be, or shapes and masks do not fit each other; when
        `fused=True` meets dropout or `return_attention_scores=True`; NotImplementedError for LoRA and
        quantization.
    Source: Ainslie et al. 2023, arXiv:2305.13245, section 2.2.
    Differs from keras.layers.GroupQueryAttention: numbers in an `attention_mask` count as True unless
        they are 0, where the built-in's path with weights asks for more than 0.5; a subclass's
        `_compute_attention` is told of `return_attention_scores` by keyword, where the built-in sets an
        attribute; no LoRA and no quantization. As there, a query and a value of different features are
        refused in symbolic calls only, and a row without any True averages over all keys, or is zero
        with dropout or with `return_attention_scores`.
    """

    owner = OWNER

    def __init__(
        self,
        head_dim: int,
        num_query_heads: int,
        num_key_value_heads: int,
        dropout: float = 0.0,
        use_bias: bool = True,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        use_gate: bool = False,
        seed: int | None = None,
        *,
        fused: bool = False,
        **kwargs: Any,
    ) -> None:
        require_size("head_dim", head_dim, owner=OWNER)
        require_size("num_query_heads", num_query_heads, owner=OWNER)
        require_size("num_key_value_heads", num_key_value_heads, owner=OWNER)
        require(
            num_query_heads % num_key_value_heads == 0,
            OWNER,
            "`num_query_heads` must be divisible by `num_key_value_heads`",
            f"num_query_heads={num_query_heads}, num_key_value_heads={num_key_value_heads}",
            "Each key serves equally many queries.",
        )
        super().__init__(
            key_dim=head_dim,
            dropout=dropout,
            use_bias=use_bias,
            sliding_window=sliding_window,
            flash_attention=flash_attention,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer,
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
            use_gate=use_gate,
            seed=seed,
            fused=fused,
            **kwargs,
        )
        self.activity_regularizer = self._activity_regularizer
        self.head_dim = head_dim
        self.num_query_heads = num_query_heads
        self.num_key_value_heads = num_key_value_heads
        self.num_repeats = num_query_heads // num_key_value_heads

    def build(self, query_shape: Shape, value_shape: Shape, key_shape: Shape | None = None) -> None:
        key_shape = value_shape if key_shape is None else key_shape
        _check_shapes(query_shape, value_shape, key_shape)
        self.feature_dim = query_shape[-1]
        self.build_projections(
            (query_shape, value_shape, key_shape),
            (self.num_query_heads, self.num_key_value_heads),
            (self.head_dim, self.head_dim),
            query_shape[-1:],
        )

    def call(
        self,
        query: Tensor,
        value: Tensor,
        key: Tensor | None = None,
        query_mask: Tensor | None = None,
        value_mask: Tensor | None = None,
        key_mask: Tensor | None = None,
        attention_mask: Tensor | None = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor]:
        key = value if key is None else key
        _check_shapes(query.shape, value.shape, key.shape)
        require_mask_of_steps(query_mask, query, owner=OWNER, name="query_mask")
        require_mask_of_steps(value_mask, value, owner=OWNER, name="value_mask")
        require_mask_of_steps(key_mask, key, owner=OWNER, name="key_mask")
        check_attention_mask(attention_mask, query, key, self.num_query_heads, STEPS, owner=OWNER)
        mask = both(attention_mask, mask_of_scores(query_mask, value_mask, key_mask))
        kernel = {"use_causal_mask": True} if self._fused and use_causal_mask else {}
        causal = use_causal_mask and not kernel
        asked = {"return_attention_scores": True} if return_attention_scores else {}
        context, weights = self._compute_attention(
            self._query_dense(query),  # (1)
            repeat_for_queries(self._key_dense(key), self.num_repeats),  # (2)
            repeat_for_queries(self._value_dense(value), self.num_repeats),
            attention_mask=both(mask, self.positional_mask(query, value, causal, STEPS)),
            training=training,
            **kernel,
            **asked,
        )
        if self._use_gate:
            context = context * self._gate_dense(query)  # (4)
        output = self._output_dense(context)  # (5)
        return (output, weights) if return_attention_scores else output

    def compute_output_shape(
        self, query_shape: Shape, value_shape: Shape, key_shape: Shape | None = None
    ) -> Shape:
        require(
            query_shape[-1] == value_shape[-1],
            OWNER,
            "the last dimensions of query and value must be equal",
            f"query.shape={tuple(query_shape)}, value.shape={tuple(value_shape)}",
            "Project the value to the query's features, or use MultiHeadAttention.",
        )
        _check_shapes(query_shape, value_shape, value_shape if key_shape is None else key_shape)
        return query_shape

    def compute_output_spec(
        self,
        query: Any,
        value: Any,
        key: Any = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
    ) -> Any:
        self.require_no_weights(return_attention_scores)
        key = value if key is None else key
        shape = self.compute_output_shape(query.shape, value.shape, key.shape)
        output = keras.KerasTensor(shape, dtype=self.compute_dtype)
        if not return_attention_scores:
            return output
        weights_shape = (query.shape[0], self.num_query_heads, query.shape[1], key.shape[1])
        return output, keras.KerasTensor(weights_shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "head_dim": self.head_dim,
            "num_query_heads": self.num_query_heads,
            "num_key_value_heads": self.num_key_value_heads,
        }

    # The built-in's public names.
    use_gate = property(lambda self: self._use_gate)
    sliding_window = property(lambda self: self._sliding_window)
    kernel_initializer = property(lambda self: self._kernel_initializer)
    bias_initializer = property(lambda self: self._bias_initializer)
    kernel_regularizer = property(lambda self: self._kernel_regularizer)
    bias_regularizer = property(lambda self: self._bias_regularizer)
    kernel_constraint = property(lambda self: self._kernel_constraint)
    bias_constraint = property(lambda self: self._bias_constraint)

    def _compute_attention(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None = None,
        training: bool | None = None,
        use_causal_mask: bool = False,
        return_attention_scores: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Equation (3) on projected tensors of H heads, for subclasses to override.

        Returns the context (batch, query_steps, H, head_dim) and the weights before dropout.
        """
        return self.attend(
            query,
            key,
            value,
            attention_mask,
            STEPS,
            training,
            return_attention_scores,
            use_causal_mask,
        )


def _check_shapes(query: Shape, value: Shape, key: Shape) -> None:
    check_shapes(query, value, key, owner=OWNER)
    require(
        len(query) == len(key) == 3,
        OWNER,
        "query, value and key must be (batch, steps, features)",
        f"query.shape={tuple(query)}, value.shape={tuple(value)}, key.shape={tuple(key)}",
        "For more axes use MultiHeadAttention.",
    )
