r"""What attention over several heads is made of, however many heads its keys have.

    c_h = attention(q_h, k_h, v_h), for each of the query's heads   (1)

Equation (1) is written out in `scaled_dot_product.py`, or left to a kernel of the backend with
`fused=True`; the projections around it are in `projection.py`.
Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.2.2.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import constraints, initializers, ops, regularizers

from custom_layers.attention.masks import both, causal_mask, sliding_window_mask
from custom_layers.attention.multi_head_arguments import require_size, the_one_axis
from custom_layers.attention.projection import HeadProjection
from custom_layers.attention.scaled_dot_product import fused_order, kernel_order, written_order
from custom_layers.attention.weight_dropout import WeightDropout
from custom_layers.core.initializer_copy import initializer_copy
from custom_layers.core.protocols import Shape, Tensor
from custom_layers.core.shape_check import require
from custom_layers.core.taps import taps_of


class AttentionInHeads(keras.layers.Layer):
    """The options, projections and equation (1) of an attention over heads.

    A subclass defines `owner`, `build`, `call`, the output's shape and how many heads there are. The
    arguments are told in the subclasses' docstrings.
    """

    owner = "attention_in_heads"

    def __init__(
        self,
        *,
        key_dim: int,
        dropout: float,
        use_bias: bool,
        sliding_window: int | None,
        flash_attention: bool | None,
        kernel_initializer: Any,
        bias_initializer: Any,
        kernel_regularizer: Any,
        bias_regularizer: Any,
        activity_regularizer: Any,
        kernel_constraint: Any,
        bias_constraint: Any,
        use_gate: bool,
        seed: int | None,
        fused: bool,
        **kwargs: Any,
    ) -> None:
        if sliding_window is not None:
            require_size("sliding_window", sliding_window, owner=self.owner)
        require(
            isinstance(dropout, (int, float)) and 0 <= dropout <= 1,
            self.owner,
            "`dropout` must be a probability",
            f"dropout={dropout!r}",
            "It is the share of attention weights that is dropped.",
        )
        super().__init__(**kwargs)
        self.supports_masking = True
        self._key_dim = key_dim
        self._dropout = dropout
        self._use_bias = use_bias
        self._use_gate = use_gate
        self._sliding_window = sliding_window
        self._flash_attention = flash_attention or keras.config.is_flash_attention_enabled()
        self._kernel_initializer = initializers.get(kernel_initializer)
        self._bias_initializer = initializers.get(bias_initializer)
        self._kernel_regularizer = regularizers.get(kernel_regularizer)
        self._bias_regularizer = regularizers.get(bias_regularizer)
        self._activity_regularizer = regularizers.get(activity_regularizer)
        self._kernel_constraint = constraints.get(kernel_constraint)
        self._bias_constraint = constraints.get(bias_constraint)
        self.seed = seed
        self._fused = fused
        require(
            not (self._flash_attention and dropout > 0),
            self.owner,
            "Dropout is not supported when flash attention is enabled",
            f"dropout={dropout}, flash_attention=True",
            "Set one of them to 0 or False.",
        )
        require(
            not (fused and dropout > 0),
            self.owner,
            "`fused=True` leaves the weights to a kernel, which drops none",
            f"dropout={dropout}, fused={fused}",
            "Set one of them to 0 or False.",
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "dropout": self._dropout,
            "use_bias": self._use_bias,
            "use_gate": self._use_gate,
            "sliding_window": self._sliding_window,
            "kernel_initializer": initializers.serialize(self._kernel_initializer),
            "bias_initializer": initializers.serialize(self._bias_initializer),
            "kernel_regularizer": regularizers.serialize(self._kernel_regularizer),
            "bias_regularizer": regularizers.serialize(self._bias_regularizer),
            "activity_regularizer": regularizers.serialize(self._activity_regularizer),
            "kernel_constraint": constraints.serialize(self._kernel_constraint),
            "bias_constraint": constraints.serialize(self._bias_constraint),
            "seed": self.seed,
            **({"fused": True} if self._fused else {}),
        }

    dropout = property(lambda self: self._dropout)
    use_bias = property(lambda self: self._use_bias)

    def build_projections(
        self, shapes: Sequence[Shape], heads: Sequence[int], sizes: Sequence[int], output: Any
    ) -> None:
        """Make and build what stands around equation (1).

        Args:
            shapes: of query, value and key, before projection.
            heads: how many the query has, and how many key and value have.
            sizes: of each head's query and key, and of its value.
            output: sizes of the output's last axes.
        """
        query_shape, value_shape, key_shape = shapes
        query_heads, key_heads = heads
        key_dim, value_dim = sizes
        self._query_dense = self._projection("query", 1, (query_heads, key_dim))
        self._query_dense.build(query_shape)
        self._key_dense = self._projection("key", 1, (key_heads, key_dim))
        self._key_dense.build(key_shape)
        if self._use_gate:
            gate_sizes = (query_heads, value_dim)
            self._gate_dense = self._projection("gate", 1, gate_sizes, activation="sigmoid")
            self._gate_dense.build(query_shape)
        self._value_dense = self._projection("value", 1, (key_heads, value_dim))
        self._value_dense.build(value_shape)
        self._dropout_layer = WeightDropout(self._dropout, self.seed, dtype=self.dtype_policy)
        self._output_dense = self._projection("attention_output", 2, output)
        self._output_dense.build((*query_shape[:-1], query_heads, value_dim))

    def attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None,
        axes: Sequence[int],
        training: bool | None = None,
        return_attention_scores: bool = False,
        causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Equation (1) on projected tensors of equally many heads: the context and the weights.

        `axes` are the attended ones. The weights are None where a kernel has them.
        """
        self.require_no_weights(return_attention_scores)
        if self._fused or (self._flash_attention and len(query.shape) == 4):
            flash = True if self._flash_attention else None
            return kernel_order(query, key, value, mask, self._scale, causal, flash), None
        if causal:
            mask = both(mask, self.positional_mask(query, value, causal, axes))
        arguments = (query, key, value, mask, self._scale, axes)
        if self._dropout == 0 and not return_attention_scores and len(query.shape) == 4:
            step = fused_order(*arguments, tap=taps_of(self))
        else:
            step = written_order(
                *arguments,
                lambda weights: self._dropout_layer(weights, training=training),
                tap=taps_of(self),
            )
        return step.context, step.attention_weights

    def positional_mask(
        self, query: Tensor, value: Tensor, causal: bool, axes: Sequence[int] | None
    ) -> Tensor | None:
        """The masks that depend on t and s alone: causal, sliding, both or None."""
        if not causal and self._sliding_window is None:
            return None
        axis = the_one_axis(axes)
        steps = ops.shape(query)[axis], ops.shape(value)[axis]
        window = self._sliding_window
        return both(
            causal_mask(*steps) if causal else None,
            None if window is None else sliding_window_mask(*steps, window),
        )

    def require_no_weights(self, return_attention_scores: bool) -> None:
        """Weights can be returned where they are written out, and not from a kernel."""
        require(
            not (return_attention_scores and self._flash_attention),
            self.owner,
            "Returning attention scores is not supported when flash attention is enabled. "
            "Please disable flash attention to access attention scores",
            "return_attention_scores=True, flash_attention=True",
            "The kernel never holds them.",
        )
        require(
            not (return_attention_scores and self._fused),
            self.owner,
            "`fused=True` leaves the weights to a kernel, which returns none",
            "return_attention_scores=True, fused=True",
            "Make the layer without `fused` to see them.",
        )

    @property
    def _scale(self) -> float:
        return 1.0 / math.sqrt(self._key_dim)

    def _projection(
        self, name: str, summed: int, sizes: Sequence[Any], **kwargs: Any
    ) -> HeadProjection:
        """Each projection has initializers of its own, so that no two begin alike."""
        return HeadProjection(
            summed,
            tuple(sizes),
            use_bias=self._use_bias,
            kernel_initializer=initializer_copy(self._kernel_initializer),
            bias_initializer=initializer_copy(self._bias_initializer),
            kernel_regularizer=self._kernel_regularizer,
            bias_regularizer=self._bias_regularizer,
            activity_regularizer=self._activity_regularizer,
            kernel_constraint=self._kernel_constraint,
            bias_constraint=self._bias_constraint,
            dtype=self.dtype_policy,
            name=name,
            **kwargs,
        )
