r"""Token and position embedding: what a token is, plus where it stands.

    y_t = E[i_t] + P[start + t]      (1)

i: (batch, steps) ids, E: (vocabulary_size, embedding_dim), P: (sequence_length, embedding_dim),
y: (batch, steps, embedding_dim).
"""

from typing import Any

import keras
from keras import initializers, ops

from custom_layers.core.initializer_copy import initializer_copy
from custom_layers.core.protocols import Shape, Tensor
from custom_layers.core.shape_check import require_positive_integer
from custom_layers.embedding.embedding import padding_mask
from custom_layers.embedding.position_embedding import PositionEmbedding
from custom_layers.embedding.reversible_embedding import ReversibleEmbedding

OWNER = "token_and_position_embedding"


@keras.saving.register_keras_serializable(package="custom_layers")
class TokenAndPositionEmbedding(keras.layers.Layer):
    """Sum the vectors of tokens and of their positions, both learned.

    The layer's `token_embedding` turns hidden vectors back into logits: call it with `reverse=True`.

    Args:
        vocabulary_size: int >= 1, number of ids, that of padding included.
        sequence_length: int >= 1, number of positions that there are vectors for.
        embedding_dim: int >= 1, length of each vector.
        tie_weights: whether `token_embedding` uses its table in reverse too.
        embeddings_initializer: of both tables.
        mask_zero: whether id 0 is padding. Then the output carries the mask of the ids that are not 0.
    Call arguments:
        inputs: ids, (batch, ..., steps).
        start_index: integer, position of the first step; in cached decoding that of the newest one.
        positions: integers, (steps,) or (batch, steps), used in place of the steps' numbers. Then
            `start_index` is not used.
    Returns: (*inputs.shape, embedding_dim).
    Weights: `token_embedding/embeddings` (vocabulary_size, embedding_dim);
        `token_embedding/reverse_embeddings` (embedding_dim, vocabulary_size) unless `tie_weights`;
        `position_embedding/embeddings` (sequence_length, embedding_dim).
    Raises: ValueError when a size is below 1 or the sequence is longer than `sequence_length`;
        NotImplementedError for quantization.
    Source: Devlin et al. 2019, arXiv:1810.04805, section 3 and figure 2, without the segments.
    Differs from keras_hub.layers.TokenAndPositionEmbedding: sizes are not rounded; no warning that
        the mask is lost, since it is not; see also `ReversibleEmbedding` and `PositionEmbedding`.
    """

    def __init__(
        self,
        vocabulary_size: int,
        sequence_length: int,
        embedding_dim: int,
        tie_weights: bool = True,
        embeddings_initializer: Any = "uniform",
        mask_zero: bool = False,
        **kwargs: Any,
    ) -> None:
        sizes = {
            "vocabulary_size": vocabulary_size,
            "sequence_length": sequence_length,
            "embedding_dim": embedding_dim,
        }
        for name, size in sizes.items():
            sizes[name] = require_positive_integer(size, owner=OWNER, name=name)
        super().__init__(**kwargs)
        self.vocabulary_size = sizes["vocabulary_size"]
        self.sequence_length = sizes["sequence_length"]
        self.embedding_dim = sizes["embedding_dim"]
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.token_embedding = ReversibleEmbedding(
            self.vocabulary_size,
            self.embedding_dim,
            tie_weights=tie_weights,
            embeddings_initializer=initializer_copy(self.embeddings_initializer),
            mask_zero=mask_zero,
            dtype=self.dtype_policy,
            name="token_embedding",
        )
        self.position_embedding = PositionEmbedding(
            self.sequence_length,
            initializer=initializer_copy(self.embeddings_initializer),
            dtype=self.dtype_policy,
            name="position_embedding",
        )
        self.supports_masking = self.token_embedding.supports_masking

    def build(self, input_shape: Shape) -> None:
        self.token_embedding.build(input_shape)
        self.position_embedding.build((*input_shape, self.embedding_dim))

    def call(self, inputs: Tensor, start_index: Any = 0, positions: Tensor | None = None) -> Tensor:
        tokens = self.token_embedding(inputs)
        without_mask = ops.copy(tokens)  # its shape alone counts
        places = self.position_embedding(without_mask, start_index=start_index, positions=positions)
        return tokens + places  # (1)

    def compute_mask(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor | None:
        return padding_mask(inputs) if self.token_embedding.mask_zero else None

    def compute_output_shape(self, input_shape: Shape) -> tuple[int | None, ...]:
        return (*input_shape, self.embedding_dim)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "sequence_length": self.sequence_length,
            "embedding_dim": self.embedding_dim,
            "embeddings_initializer": initializers.serialize(self.embeddings_initializer),
            "tie_weights": self.token_embedding.tie_weights,
            "mask_zero": self.token_embedding.mask_zero,
        }
