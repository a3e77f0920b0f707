r"""What Bahdanau's and Luong's attention share: softmax over the kept keys, average, masks.

    a_ts = softmax over s of e_ts, where m_ts is True; 0 elsewhere   (1)
    c_t  = sum_s a_ts v_s                                            (2)

e: scores (batch, query_steps, key_steps), m: the mask, True = keep. A row without any True has
weights of 0 and a context of 0.
Source: Bahdanau et al. 2015, arXiv:1409.0473, equations (5) and (6); Luong et al. 2015,
arXiv:1508.04025, equation (7). The mask is what padded batches need.
"""

from typing import Any

import keras
from keras import constraints, initializers, ops, regularizers

from custom_layers.attention.attention import AttentionStep
from custom_layers.attention.masks import (
    both,
    mask_of_scores,
    require_mask_dtype,
    require_mask_of_scores,
    require_mask_of_steps,
)
from custom_layers.core.carry_mask import CarryMask
from custom_layers.core.protocols import Shape, Tensor
from custom_layers.core.shape_check import require, require_rate, require_shape
from custom_layers.core.taps import Tap, taps_of, untapped


def attend_to_kept(
    attention_scores: Tensor,
    value: Tensor,
    mask: Tensor | None = None,
    dropout: float = 0.0,
    seed: Any = None,
    tap: Tap = untapped,
) -> AttentionStep:
    """Equations (1) and (2). `mask` broadcasts over the scores; dropout acts on the weights."""
    attention_scores = tap("attention_scores", attention_scores)
    if mask is None:
        weights = ops.softmax(attention_scores, axis=-1)
    else:
        half = keras.backend.standardize_dtype(attention_scores.dtype) == "float16"
        weights = ops.softmax(ops.where(mask, attention_scores, -3e4 if half else -1e9), axis=-1)
        weights = ops.where(mask, weights, 0.0)  # (1)
    weights = tap("attention_weights", weights)
    kept = keras.random.dropout(weights, dropout, seed=seed) if dropout > 0 else weights
    return AttentionStep(attention_scores, weights, kept, ops.matmul(kept, value))  # (2)


class CrossAttention(keras.layers.Layer):
    """The contract of an attention with a score function of its own, which a subclass gives.

    A subclass defines `owner`, `build`, `attention_scores(query, key)` and `get_config`. The call
    arguments and what is returned are told in the subclasses' docstrings.
    """

    owner = "cross_attention"

    def __init__(
        self,
        dropout: float = 0.0,
        seed: int | None = None,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        kernel_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dropout = require_rate(dropout, owner=self.owner, name="dropout")
        self.seed = seed
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        if dropout > 0:
            self.seed_generator = keras.random.SeedGenerator(seed)
        self._carry_mask = CarryMask(dtype=self.dtype_policy)

    def attention_scores(self, query: Tensor, key: Tensor) -> Tensor:
        """(batch, query_steps, query_features), (batch, key_steps, key_features) to scores."""
        raise NotImplementedError(f"{type(self).__name__} must define `attention_scores`.")

    def call(
        self,
        query: Tensor,
        value: Tensor,
        key: Tensor | None = None,
        mask: Tensor | None = None,
        return_attention_scores: bool = False,
        training: bool | None = False,
        query_mask: Tensor | None = None,
        value_mask: Tensor | None = None,
        key_mask: Tensor | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        key = value if key is None else key
        self._check_shapes(query.shape, value.shape, key.shape)
        kept = both(
            self._checked_mask(mask, query, key),
            self._checked_implicit_mask(query_mask, value_mask, key_mask, query, value, key),
        )
        drops = training and self.dropout > 0
        step = attend_to_kept(
            self.attention_scores(query, key),
            value,
            kept,
            dropout=self.dropout if drops else 0.0,
            seed=self.seed_generator if drops else None,
            tap=taps_of(self),
        )
        context = step.context
        if query_mask is not None:
            context = ops.where(ops.expand_dims(query_mask, axis=-1), context, 0)
            context = self._carry_mask(context, mask=query_mask)
        return (context, step.attention_weights) if return_attention_scores else context

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """None: `call` has attached the query's mask. The `mask` that comes here is the keys'."""
        return None

    def compute_output_shape(
        self, query_shape: Shape, value_shape: Shape, key_shape: Shape | None = None
    ) -> tuple[int | None, ...]:
        self._check_shapes(query_shape, value_shape, key_shape or value_shape)
        return (*query_shape[:-1], value_shape[-1])

    def compute_output_spec(
        self,
        query: Any,
        value: Any,
        key: Any = None,
        mask: Any = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
    ) -> Any:
        shape = self.compute_output_shape(
            query.shape, value.shape, None if key is None else key.shape
        )
        context = keras.KerasTensor(shape, dtype=self.compute_dtype)
        if not return_attention_scores:
            return context
        weights_shape = (*query.shape[:-1], value.shape[-2])
        return context, keras.KerasTensor(weights_shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "dropout": self.dropout,
            "seed": self.seed,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": regularizers.serialize(self.kernel_regularizer),
            "kernel_constraint": constraints.serialize(self.kernel_constraint),
        }

    def add_kernel(self, name: str, shape: tuple[int, ...]) -> Any:
        """One weight, with an initializer of its own, so that no two begin alike."""
        initializer = self.kernel_initializer
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=type(initializer).from_config(initializer.get_config()),
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )

    def known_features(self, query: Shape, key: Shape) -> tuple[int, int]:
        """The sizes that the weights need."""
        q, k = query[-1], key[-1]
        if q is None or k is None:
            raise ValueError(
                f"{self.owner}: query and key must have a known number of features. Received: "
                f"query.shape={tuple(query)}, key.shape={tuple(key)}. Give it to `keras.Input`."
            )
        return q, k

    def _check_shapes(self, query: Shape, value: Shape, key: Shape) -> None:
        shapes = f"query.shape={tuple(query)}, value.shape={tuple(value)}, key.shape={tuple(key)}"
        require(
            len(query) == len(value) == len(key) == 3,
            self.owner,
            "query, value and key must be (batch, steps, features)",
            shapes,
            "A query of one step is (batch, 1, features).",
        )
        batches = {shape[0] for shape in (query, value, key)} - {None}
        require(
            len(batches) <= 1 and (None in (value[1], key[1]) or value[1] == key[1]),
            self.owner,
            "query, value and key must have one batch, value and key one number of key_steps",
            shapes,
            "Each key needs its value.",
        )

    def _checked_mask(self, mask: Tensor | None, query: Tensor, key: Tensor) -> Tensor | None:
        """The explicit mask, as it broadcasts over the scores."""
        if mask is None:
            return None
        if len(mask.shape) == 3:
            require_mask_of_scores(mask, query, key, owner=self.owner, name="mask")
            return mask
        require_shape(
            mask,
            tuple(key.shape)[:-1],
            owner=self.owner,
            name="mask",
            layout="(batch, key_steps)",
            way_out="Slice or pad it to `key`.",
        )
        require_mask_dtype(mask, owner=self.owner, name="mask")
        return ops.expand_dims(mask, axis=-2)

    def _checked_implicit_mask(
        self,
        query_mask: Tensor | None,
        value_mask: Tensor | None,
        key_mask: Tensor | None,
        query: Tensor,
        value: Tensor,
        key: Tensor,
    ) -> Tensor | None:
        """The masks that Keras found on the tensors, as they broadcast over the scores.

        The query's is not among them: it zeroes the context, and leaves the weights alone.
        """
        require_mask_of_steps(query_mask, query, owner=self.owner, name="query_mask")
        require_mask_of_steps(value_mask, value, owner=self.owner, name="value_mask")
        require_mask_of_steps(key_mask, key, owner=self.owner, name="key_mask")
        return mask_of_scores(None, value_mask, key_mask)
