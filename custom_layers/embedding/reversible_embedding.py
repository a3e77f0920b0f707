r"""Reversible embedding: one table turns ids into vectors, and vectors into scores of all ids.

    y_t = E[i_t]               (1)  row i_t of the table
    z_t = E h_t                (2)  reversed: one logit for each row (tied)
    z_t = R^T h_t              (3)  reversed, with a matrix of its own (not tied)
    z'_t = c tanh(z_t / c)     (4)  the logits kept within (-c, c), where c is `logit_soft_cap`

E: (input_dim, output_dim), R: (output_dim, input_dim), i: (batch, ...), h: (batch, ..., output_dim),
z: (batch, ..., input_dim).
"""

from typing import Any, NoReturn

import keras
from keras import ops

from custom_layers.core.carry_mask import CarryMask
from custom_layers.core.protocols import Shape, Tensor
from custom_layers.core.shape_check import require, require_positive_integer, require_shape
from custom_layers.embedding.embedding import Embedding, padding_mask

OWNER = "reversible_embedding"


def logits_of_rows(h: Tensor, kernel: Tensor, soft_cap: float | None = None) -> Tensor:
    """Equation (2) or (3), then (4). `kernel` is E transposed or R."""
    logits = ops.matmul(h, kernel)
    return logits if soft_cap is None else soft_cap * ops.tanh(logits / soft_cap)


@keras.saving.register_keras_serializable(package="custom_layers")
class ReversibleEmbedding(Embedding):
    """Turn ids into vectors, or, called with `reverse=True`, vectors into logits of the ids.

    Args:
        input_dim: int >= 1, number of rows: the largest id plus one.
        output_dim: int >= 1, length of each vector.
        tie_weights: whether (2), which uses the table, or (3) makes the logits.
        embeddings_initializer: of the table, and of R.
        embeddings_regularizer, embeddings_constraint: of the table alone.
        mask_zero: whether id 0 is padding. Then the vectors carry the mask of the ids that are not 0.
        reverse_dtype: dtype in which the logits are computed, and which they have.
        logit_soft_cap: number > 0, c of (4), or None.
        weights: an (input_dim, output_dim) array to begin with, or a list that holds it.
    Call arguments:
        inputs: ids of any shape; with `reverse`, vectors (batch, ..., output_dim).
        reverse: whether to go from vectors to logits.
    Returns: (*inputs.shape, output_dim); with `reverse`, logits (batch, ..., input_dim).
    Weights: `embeddings` (input_dim, output_dim); `reverse_embeddings` (output_dim, input_dim) unless
        `tie_weights`.
    Raises: ValueError when a size is below 1, `logit_soft_cap` is not above 0, or `weights` or vectors
        have another shape; TypeError for ids that are no numbers; NotImplementedError for LoRA
        and quantization.
    Source: Press and Wolf 2017, arXiv:1608.05859, section 2; (4) is Riviere et al. 2024
        (Gemma 2), arXiv:2408.00118, section 2.
    Differs from keras.layers.ReversibleEmbedding: no LoRA and no quantization; NumPy integers count
        as sizes; `weights` works, where the built-in fails before it has them. As there, the table and
        R start from the same numbers in the same order, since one initializer makes both.
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        tie_weights: bool = True,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        reverse_dtype: Any = None,
        logit_soft_cap: float | None = None,
        **kwargs: Any,
    ) -> None:
        require_positive_integer(input_dim, owner=OWNER, name="input_dim")
        require_positive_integer(output_dim, owner=OWNER, name="output_dim")
        require(
            logit_soft_cap is None or logit_soft_cap > 0,
            OWNER,
            "`logit_soft_cap` must be above 0",
            f"logit_soft_cap={logit_soft_cap!r}",
            "Use None for no cap.",
        )
        for name in ("lora_rank", "lora_alpha", "quantization_config"):
            if kwargs.get(name) is not None:
                _out_of_scope(f"`{name}`")
        weights = kwargs.pop("weights", None)
        super().__init__(
            input_dim,
            output_dim,
            embeddings_initializer=embeddings_initializer,
            embeddings_regularizer=embeddings_regularizer,
            embeddings_constraint=embeddings_constraint,
            mask_zero=mask_zero,
            **kwargs,
        )
        self.tie_weights = tie_weights
        self.reverse_dtype = reverse_dtype
        self.logit_soft_cap = logit_soft_cap
        self._carry_mask = CarryMask(dtype=self.dtype_policy) if mask_zero else None
        if weights is not None:
            is_listed = isinstance(weights, list) and len(weights) == 1
            table = ops.convert_to_tensor(weights[0] if is_listed else weights)
            require_shape(
                table,
                (self.input_dim, self.output_dim),
                owner=OWNER,
                name="weights",
                layout="(input_dim, output_dim)",
                way_out="Give one row for each id.",
            )
            self.build()
            self.embeddings.assign(table)

    def build(self, input_shape: Shape | None = None) -> None:
        if self.built:
            return
        if self.quantization_mode is not None:
            _out_of_scope(f"the dtype policy {self.dtype_policy.name!r}")
        super().build(input_shape)
        if not self.tie_weights:
            self.reverse_embeddings = self.add_weight(
                name="reverse_embeddings",
                shape=(self.output_dim, self.input_dim),
                initializer=self.embeddings_initializer,
            )

    def call(self, inputs: Tensor, reverse: bool = False) -> Tensor:
        if not reverse:
            vectors = super().call(inputs)
            if self._carry_mask is None:
                return vectors
            return self._carry_mask(vectors, mask=padding_mask(inputs))
        require(
            inputs.shape[-1] in (None, self.output_dim),
            OWNER,
            f"`inputs` must be (batch, ..., output_dim={self.output_dim}) with reverse=True",
            f"inputs.shape={tuple(inputs.shape)}",
            "Project them to that length first.",
        )
        kernel = ops.transpose(self.embeddings) if self.tie_weights else self.reverse_embeddings
        if self.reverse_dtype is not None:
            inputs, kernel = (ops.cast(x, self.reverse_dtype) for x in (inputs, kernel))
        return logits_of_rows(inputs, kernel, self.logit_soft_cap)

    def compute_mask(self, inputs: Tensor, mask: Tensor | None = None) -> None:
        return None  # `call` knows whether it is reversed, and attaches the mask

    def compute_output_shape(
        self, input_shape: Shape, reverse: bool = False
    ) -> tuple[int | None, ...]:
        if reverse:
            return (*input_shape[:-1], self.input_dim)
        return super().compute_output_shape(input_shape)

    def compute_output_spec(self, inputs: Any, reverse: bool = False) -> keras.KerasTensor:
        if not reverse:
            return super().compute_output_spec(inputs)
        shape = self.compute_output_shape(inputs.shape, reverse=True)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def quantize(self, mode: Any = None, type_check: bool = True, config: Any = None) -> None:
        _out_of_scope("`quantize()`")

    def enable_lora(self, *args: Any, **kwargs: Any) -> None:
        _out_of_scope("`enable_lora()`")

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "tie_weights": self.tie_weights,
            "reverse_dtype": self.reverse_dtype,
            "logit_soft_cap": self.logit_soft_cap,
        }


def _out_of_scope(what: str) -> NoReturn:
    raise NotImplementedError(
        f"{OWNER}: {what} is out of scope here. Use keras.layers.ReversibleEmbedding, which has LoRA "
        "and quantization; its weights load into this layer and back."
    )
