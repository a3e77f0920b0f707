r"""Multi-head attention: several attentions side by side, each on its own projection.

    q_h = query W_h^Q + b_h^Q,  k_h = key W_h^K + b_h^K,  v_h = value W_h^V + b_h^V   (1)
    c_h = attention(q_h, k_h, v_h)                                                    (2)
    c_h = c_h * sigmoid(query W_h^G + b_h^G)                        with `use_gate`   (3)
    y   = sum_h c_h W_h^O + b^O                                                       (4)

Equation (2) is written out in `scaled_dot_product.py`, (1) and (4) in `projection.py`.
Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.2.2, where the sum of (4) stands as the
product of the concatenated heads; the gate is Qiu et al. 2025, arXiv:2505.06708, section 2.2.
"""

from collections.abc import Sequence
from typing import Any

import keras

from custom_layers.attention.attention_in_heads import AttentionInHeads
from custom_layers.attention.masks import (
    both,
    mask_of_scores,
    require_mask_of_steps,
    take_off_implicit_mask,
)
from custom_layers.attention.multi_head_arguments import (
    OWNER,
    check_attention_mask,
    check_shapes,
    require_size,
    resolved_axes,
    sizes_of,
)
from custom_layers.attention.scaled_dot_product import shape_of_scores
from custom_layers.core.protocols import Shape, Tensor
from custom_layers.core.shape_check import require


@keras.saving.register_keras_serializable(package="custom_layers")
class MultiHeadAttention(AttentionInHeads):
    """Project query, key and value into heads, attend in each, project what they found back.

    Args:
        num_heads: int >= 1.
        key_dim: int >= 1, size of each head's query and key.
        value_dim: int >= 1, size of each head's value. None means `key_dim`.
        dropout: probability in [0, 1] of dropping one attention weight.
        use_bias: whether the biases of (1), (3) and (4) exist.
        output_shape: sizes of the output's last axes. None means the query's features.
        attention_axes: axis or axes that are attended, together. None means all between batch and
            features.
        sliding_window: int >= 1: query t sees the keys with |t - s| < sliding_window.
        flash_attention: True asks the backend for its kernel, where the built-in would, and fails
            where there is none (TensorFlow); None and False attend as written here.
        kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer,
            kernel_constraint, bias_constraint: of each projection.
        activity_regularizer: of each projection's output.
        use_gate: whether equation (3) applies.
        seed: int, seed of the dropout.
        fused: whether a kernel of the backend, `keras.ops.dot_product_attention`, computes (2): the same
            numbers, and nothing to watch: a recorder gets neither `attention_scores` nor
            `attention_weights`.
    Call arguments:
        query: (batch, query_steps, query_features); more axes may be attended, see above.
        value, key: (batch, key_steps, value_features), (batch, key_steps, key_features); key is
            value where it is not given.
        query_mask, value_mask, key_mask: bool (batch, steps), found on the tensors by Keras.
        attention_mask: bool (batch, query_steps, key_steps), or what broadcasts to it, with or
            without an axis for the heads.
        return_attention_scores: whether to return the weights, too.
        training: whether to drop.
        use_causal_mask: whether query t sees the keys s <= t alone.
    Returns: y (batch, query_steps, output_shape); and, if asked for, the attention weights
        (batch, heads, query_steps, key_steps), after the softmax and before dropout.
    Weights: `query`, `key`, (`gate`), `value`, `attention_output`, each a kernel and a bias: into
        heads (features, heads, size), out of them (heads, size, features).
    Raises: ValueError when an argument cannot be, or shapes and masks do not fit each other;
        when `fused=True` meets dropout, `return_attention_scores=True` or more than one axis between
        batch and features; NotImplementedError for LoRA and quantization.
    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.2.2.
    Differs from keras.layers.MultiHeadAttention: a `query_mask` handed over by keyword is used,
        where the built-in drops it for the one attached to `query`; symbolic weights have the key's
        number of steps, where the built-in repeats the query's; a causal or sliding mask over
        several attended axes is refused; no LoRA and no quantization. As there, masks attached to
        query, value and key are taken off in place, and a row without any True averages over all
        keys, or is zero with dropout, with `return_attention_scores` or with more attended axes.
    """

    owner = OWNER

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: int | Sequence[int] | None = None,
        attention_axes: int | Sequence[int] | None = None,
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
        require_size("num_heads", num_heads, owner=OWNER)
        require_size("key_dim", key_dim, owner=OWNER)
        if value_dim is not None:
            require_size("value_dim", value_dim, owner=OWNER)
        super().__init__(
            key_dim=key_dim,
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
        self._num_heads = num_heads
        self._value_dim = value_dim or key_dim
        self._output_shape = sizes_of(output_shape)
        if isinstance(attention_axes, int):
            attention_axes = (attention_axes,)
        require(
            attention_axes is None or isinstance(attention_axes, (list, tuple)),
            OWNER,
            "`attention_axes` must be an int, list, or tuple",
            f"attention_axes={attention_axes!r}",
            "Use None for all axes between batch and features.",
        )
        self._attention_axes = attention_axes

    def build(self, query_shape: Shape, value_shape: Shape, key_shape: Shape | None = None) -> None:
        key_shape = value_shape if key_shape is None else key_shape
        check_shapes(query_shape, value_shape, key_shape, owner=OWNER)
        require(
            not self._fused or len(query_shape) == 3,
            OWNER,
            "`fused=True` needs inputs (batch, steps, features), as kernels have one attended axis",
            f"query.shape={tuple(query_shape)}",
            "Make the layer without `fused`.",
        )
        self._attention_axes = resolved_axes(self._attention_axes, len(query_shape))
        self.build_projections(
            (query_shape, value_shape, key_shape),
            (self._num_heads, self._num_heads),
            (self._key_dim, self._value_dim),
            self._output_shape or query_shape[-1:],
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
        check_shapes(query.shape, value.shape, key.shape, owner=OWNER)
        require_mask_of_steps(query_mask, query, owner=OWNER, name="query_mask")
        require_mask_of_steps(value_mask, value, owner=OWNER, name="value_mask")
        require_mask_of_steps(key_mask, key, owner=OWNER, name="key_mask")
        axes = resolved_axes(self._attention_axes, len(query.shape))
        check_attention_mask(attention_mask, query, key, self._num_heads, axes, owner=OWNER)
        take_off_implicit_mask(query, value, key)
        mask = both(attention_mask, mask_of_scores(query_mask, value_mask, key_mask))
        kernel = {"use_causal_mask": True} if self._fused and use_causal_mask else {}
        causal = use_causal_mask and not kernel
        mask = both(mask, self.positional_mask(query, value, causal, self._attention_axes))
        context, weights = self._compute_attention(
            self._query_dense(query),  # (1)
            self._key_dense(key),
            self._value_dense(value),
            mask,
            training,
            return_attention_scores,
            **kernel,
        )
        if self._use_gate:
            context = context * self._gate_dense(query)  # (3)
        output = self._output_dense(context)  # (4)
        return (output, weights) if return_attention_scores else output

    def compute_output_shape(
        self, query_shape: Shape, value_shape: Shape, key_shape: Shape | None = None
    ) -> tuple[int | None, ...]:
        key_shape = value_shape if key_shape is None else key_shape
        check_shapes(query_shape, value_shape, key_shape, owner=OWNER)
        return (*query_shape[:-1], *(self._output_shape or query_shape[-1:]))

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
        axes = resolved_axes(self._attention_axes, len(query.shape))
        weights_shape = shape_of_scores(query.shape, key.shape, self._num_heads, axes)
        return output, keras.KerasTensor(weights_shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_heads": self._num_heads,
            "key_dim": self._key_dim,
            "value_dim": self._value_dim,
            "output_shape": self._output_shape,
            "attention_axes": self._attention_axes,
        }

    # The built-in's public names. A weights file takes its paths from the first four.
    query_dense = property(lambda self: self._query_dense)
    key_dense = property(lambda self: self._key_dense)
    value_dense = property(lambda self: self._value_dense)
    output_dense = property(lambda self: self._output_dense)
    num_heads = property(lambda self: self._num_heads)
    key_dim = property(lambda self: self._key_dim)
    value_dim = property(lambda self: self._value_dim)
    attention_axes = property(lambda self: self._attention_axes)

    def _compute_attention(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None = None,
        training: bool | None = None,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Equation (2) on projected tensors, for subclasses to override.

        Returns the context (batch, query_steps, heads, value_dim) and the weights before dropout.
        """
        return self.attend(
            query,
            key,
            value,
            attention_mask,
            resolved_axes(self._attention_axes, len(query.shape) - 1),
            training,
            return_attention_scores,
            use_causal_mask,
        )
