r"""Attention pooling: a sequence becomes one vector, the mean of its steps weighed by their importance.

    u_t = tanh(h_t W + b)                            (5)  what step t is about
    a_t = softmax over t of u_t . u, where m_t is True; 0 elsewhere   (6)  how much it matters
    s   = sum_t a_t h_t                              (7)

h: the sequence, m: the mask, True = keep. u is a query that is learned, one for all sequences: it asks
"what is the informative word?". The numbers are the paper's, whose W_w, b_w and u_w are W, b and u; our
features come last. A sequence without any True has weights of 0 and the vector 0.
Source: Yang et al. 2016, "Hierarchical Attention Networks for Document Classification", NAACL-HLT,
section 2.2, equations (5) to (7). The mask is what padded batches need.
"""

from typing import Any, NamedTuple

import keras
from keras import constraints, initializers, ops, regularizers

from custom_layers.attention.cross_attention import attend_to_kept
from custom_layers.attention.masks import both, require_mask_dtype
from custom_layers.core.initializer_copy import initializer_copy
from custom_layers.core.protocols import Shape, Tensor
from custom_layers.core.rows import affine_rows
from custom_layers.core.shape_check import (
    known_features,
    require,
    require_positive_integer,
    require_shape,
)
from custom_layers.core.taps import Tap, taps_of, untapped

OWNER = "attention_pooling"


class AttentionPoolingStep(NamedTuple):
    """Every named quantity of equations (5) to (7)."""

    hidden: Tensor  # (batch, steps, units), u_t
    attention_scores: Tensor  # (batch, steps), before the softmax
    attention_weights: Tensor  # (batch, steps), a_t
    pooled: Tensor  # (batch, features), s


def attention_pooling(
    h: Tensor, W: Tensor, b: Tensor, u: Tensor, mask: Tensor | None = None, tap: Tap = untapped
) -> AttentionPoolingStep:
    """Equations (5) to (7): attention with one query for all. `mask` is bool (batch, steps)."""
    hidden = ops.tanh(affine_rows(h, W, b))  # (5)
    scores = ops.expand_dims(ops.sum(hidden * u, axis=-1), axis=-2)  # (batch, 1, steps)
    kept = None if mask is None else ops.expand_dims(mask, axis=-2)
    step = attend_to_kept(scores, h, kept, tap=tap)  # (6), (7)
    return AttentionPoolingStep(
        hidden,
        ops.squeeze(step.attention_scores, axis=-2),
        ops.squeeze(step.attention_weights, axis=-2),
        ops.squeeze(step.context, axis=-2),
    )


@keras.saving.register_keras_serializable(package="custom_layers")
class AttentionPooling(keras.layers.Layer):
    """Average the steps of a sequence, each weighed by how much it matters.

    Args:
        units: int >= 1, width of the hidden layer (5). Default: that of the inputs, as in the paper.
        kernel_initializer, kernel_regularizer, kernel_constraint: of W and of u.
        bias_initializer, bias_regularizer, bias_constraint: of b.
    Call arguments:
        inputs: (batch, steps, features), such as the states of a recurrent layer.
        mask: bool (batch, steps), True = keep; Keras finds it on the inputs. A sequence without any
            True yields zeros.
        return_attention_scores: whether to return the weights, too.
    Returns: (batch, features), in the unit of measure of the inputs; and, if asked for, the attention
        weights (batch, steps): dimensionless, after the softmax, those of a sequence sum to 1.
    Weights: `W` (features, units), `b` (units,), `u` (units,).
    Raises: ValueError when `units` < 1, the inputs are no (batch, steps, features), or the mask does
        not fit them.
    Source: Yang et al. 2016, "Hierarchical Attention Networks for Document Classification", equations
        (5) to (7).
    Differs from keras.layers.GlobalAveragePooling1D, which weighs all steps alike, and from
        keras.layers.AdditiveAttention, which has no W and b and is handed its queries. Keras has no
        layer that learns its query.
    """

    def __init__(
        self,
        units: int | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if units is not None:
            units = require_positive_integer(units, owner=OWNER, name="units")
        self.units = units
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        _require_steps(input_shape)
        features = known_features(input_shape, owner=OWNER)
        units = features if self.units is None else self.units
        self.W = self._add_kernel("W", (features, units))
        self.b = self.add_weight(
            name="b",
            shape=(units,),
            initializer=self.bias_initializer,
            regularizer=self.bias_regularizer,
            constraint=self.bias_constraint,
        )
        self.u = self._add_kernel("u", (units,))

    def _add_kernel(self, name: str, shape: tuple[int, ...]) -> Any:
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=initializer_copy(self.kernel_initializer),
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )

    def call(
        self, inputs: Tensor, mask: Tensor | None = None, return_attention_scores: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        _require_steps(inputs.shape)
        if mask is not None:
            require_shape(
                mask,
                tuple(inputs.shape)[:-1],
                owner=OWNER,
                name="mask",
                layout="(batch, steps)",
                way_out="Slice or pad it to `inputs`.",
            )
            require_mask_dtype(mask, owner=OWNER, name="mask")
        step = attention_pooling(inputs, self.W, self.b, self.u, both(mask, None), taps_of(self))
        return (step.pooled, step.attention_weights) if return_attention_scores else step.pooled

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """None: what comes out has no steps."""
        return None

    def compute_output_shape(self, input_shape: Shape) -> tuple[int | None, ...]:
        _require_steps(input_shape)
        return (input_shape[0], input_shape[-1])

    def compute_output_spec(
        self, inputs: Any, mask: Any = None, return_attention_scores: bool = False
    ) -> Any:
        pooled = keras.KerasTensor(
            self.compute_output_shape(inputs.shape), dtype=self.compute_dtype
        )
        if not return_attention_scores:
            return pooled
        return pooled, keras.KerasTensor(tuple(inputs.shape)[:-1], dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "kernel_regularizer": regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": regularizers.serialize(self.bias_regularizer),
            "kernel_constraint": constraints.serialize(self.kernel_constraint),
            "bias_constraint": constraints.serialize(self.bias_constraint),
        }


def _require_steps(shape: Shape) -> None:
    require(
        len(shape) == 3,
        OWNER,
        "`inputs` must be (batch, steps, features)",
        f"inputs.shape={tuple(shape)}",
        "A recurrent layer gives that with return_sequences=True.",
    )
