r"""Embedding: a table of vectors, looked up by token id.

    y_t = E[i_t]          (1)  row i_t of the table
    m_t = (i_t != 0)      (2)  the mask, where id 0 means padding

i: (batch, ...) integers in [0, input_dim), E: (input_dim, output_dim), y: (batch, ..., output_dim).
"""

import warnings
from typing import Any, NoReturn

import keras
from keras import constraints, initializers, ops, regularizers

from custom_layers.core.protocols import Shape, Tensor
from custom_layers.core.shape_check import require_positive_integer


def look_up(ids: Tensor, embeddings: Tensor) -> Tensor:
    """Equation (1). The gradient reaches the rows that were looked up and no other."""
    return ops.take(embeddings, ids, axis=0)


def padding_mask(ids: Tensor) -> Tensor:
    """Equation (2), bool and of the ids' shape: True = keep."""
    return ops.not_equal(ids, 0)


@keras.saving.register_keras_serializable(package="custom_layers")
class Embedding(keras.layers.Layer):
    """Turn each integer id into its row of a trainable table.

    Args:
        input_dim: int >= 1, number of rows: the largest id plus one.
        output_dim: int >= 1, length of each vector.
        embeddings_initializer, embeddings_regularizer, embeddings_constraint: of the table.
        mask_zero: whether id 0 is padding. Then the output carries the mask of (2), and `input_dim`
            counts the padding id.
        weights: an (input_dim, output_dim) array to begin with, or a list that holds it.
        lora_rank, lora_alpha, quantization_config: None; anything else is refused.
    Call arguments:
        inputs: ids, any shape; dense, sparse or ragged. Floating ids are truncated.
    Returns: (*inputs.shape, output_dim).
    Weights: `embeddings` (input_dim, output_dim).
    Raises: ValueError when a size is below 1 or `weights` has another shape; TypeError for ids that
        are no numbers; NotImplementedError for LoRA and quantization.
    Source: Bengio et al. 2003, Journal of Machine Learning Research 3, section 2, where E is C.
    Differs from keras.layers.Embedding: no LoRA and no quantization; NumPy integers count as sizes,
        so that `input_dim=len(vocabulary)` of any origin works.
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        weights: Any = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        quantization_config: Any = None,
        **kwargs: Any,
    ) -> None:
        input_dim = require_positive_integer(input_dim, owner="embedding", name="input_dim")
        output_dim = require_positive_integer(output_dim, owner="embedding", name="output_dim")
        if lora_rank is not None or lora_alpha is not None or quantization_config is not None:
            _out_of_scope("an argument of LoRA or quantization")
        if kwargs.pop("input_length", None) is not None:
            warnings.warn(
                "embedding: `input_length` is deprecated and not used. Remove it.", stacklevel=2
            )
        super().__init__(**kwargs)
        self.input_dim = input_dim
        self.output_dim = output_dim
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer)
        self.embeddings_constraint = constraints.get(embeddings_constraint)
        self.mask_zero = mask_zero
        self.supports_masking = mask_zero
        self.autocast = False
        if weights is not None:
            self.build()
            is_listed = isinstance(weights, list) and len(weights) == 1
            self.set_weights(weights if is_listed else [weights])

    def build(self, input_shape: Shape | None = None) -> None:
        if self.built:
            return
        if self.quantization_mode is not None:
            _out_of_scope(f"the dtype policy {self.dtype_policy.name!r}")
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(self.input_dim, self.output_dim),
            initializer=self.embeddings_initializer,
            regularizer=self.embeddings_regularizer,
            constraint=self.embeddings_constraint,
        )

    def call(self, inputs: Tensor) -> Tensor:
        dtype = keras.backend.standardize_dtype(inputs.dtype)
        if dtype == "string":
            raise TypeError(
                "embedding: `inputs` must be integer ids. Received: inputs.dtype=string. "
                "Look words up first, for example with `keras.layers.StringLookup`."
            )
        ids = inputs if dtype in ("int32", "int64") else ops.cast(inputs, "int32")
        return ops.cast(look_up(ids, self.embeddings), self.compute_dtype)

    def compute_mask(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor | None:
        return padding_mask(inputs) if self.mask_zero else None

    def compute_output_shape(self, input_shape: Shape) -> tuple[int | None, ...]:
        return (*input_shape, self.output_dim)

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        return keras.KerasTensor(
            self.compute_output_shape(inputs.shape),
            dtype=self.compute_dtype,
            ragged=getattr(inputs, "ragged", False),
        )

    def quantize(self, mode: Any = None, type_check: bool = True, config: Any = None) -> None:
        _out_of_scope("`quantize()`")

    def enable_lora(self, *args: Any, **kwargs: Any) -> None:
        _out_of_scope("`enable_lora()`")

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "input_dim": self.input_dim,
            "output_dim": self.output_dim,
            "embeddings_initializer": initializers.serialize(self.embeddings_initializer),
            "embeddings_regularizer": regularizers.serialize(self.embeddings_regularizer),
            "activity_regularizer": regularizers.serialize(self.activity_regularizer),
            "embeddings_constraint": constraints.serialize(self.embeddings_constraint),
            "mask_zero": self.mask_zero,
            "quantization_config": None,
        }


def _out_of_scope(what: str) -> NoReturn:
    raise NotImplementedError(
        f"embedding: {what} is out of scope here. Use keras.layers.Embedding, which has LoRA and "
        "quantization; its weights load into this layer and back."
    )
