r"""The last layer of a model that predicts tokens, and its loss: logits only where somebody reads them.

    loss = masked_loss(labels, logits),   logits = states @ kernel + bias     (1)

`chunked_loss` computes the loss without the array of logits that (1) speaks of.
"""

from typing import Any

import keras

from custom_layers.core.protocols import Shape, Tensor
from custom_layers.core.rows import affine_rows
from custom_layers.core.shape_check import known_features, require, require_positive_integer
from custom_layers.training.chunked_loss import CHUNK, chunked_loss_and_accuracy


@keras.saving.register_keras_serializable(package="custom_layers")
class VocabularyLoss(keras.layers.Layer):
    """`Dense(vocabulary_size)` that, given the labels, trains the model it is in.

    With labels it adds its loss to the model's, so that `compile` needs none, and `fit` reports its
    accuracy; without, it is the Dense layer whose weights it has, and whose weights load into it:

        states = ...                                              # (batch, steps, units)
        labels = keras.Input((None,), dtype="int32")
        head = VocabularyLoss(30_000)
        training = keras.Model([inputs, labels], head(states, labels))
        training.compile("adam")
        training.fit([x, y])
        model = keras.Model(inputs, head(states))                 # logits, the same weights

    Where a dataset holds pairs (x, y), let the model's `call` return the states, and write

        def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
            return self.head(y_pred, y)

    Args:
        vocabulary_size: int >= 1, number of tokens, padding among them.
        chunk: int >= 1, how many tokens have their logits in memory at a time. Default 256.
        kernel_initializer, bias_initializer: as those of Dense.
    Call arguments:
        states: (batch, steps, units) or (rows, units).
        labels: None, or integers of the shape of `states` without its last axis, 0 = padding.

    Returns:
        With labels, the loss as a scalar in nats per token, float32 in mixed precision too.
        Without, the logits (batch, steps, vocabulary_size) or (rows, vocabulary_size).
    Weights: `kernel` (units, vocabulary_size); `bias` (vocabulary_size,).
    Metrics: `masked_accuracy`, the mean over the batches of what `training.masked_accuracy` is.
    Raises: ValueError when `vocabulary_size` or `chunk` is below 1, for labels that are no integers
        or have another shape, and on another backend than TensorFlow.
    """

    def __init__(
        self,
        vocabulary_size: int,
        chunk: int = CHUNK,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        owner = "vocabulary_loss"
        require(
            keras.backend.backend() == "tensorflow",
            owner,
            "it runs on TensorFlow alone",
            f"backend={keras.backend.backend()!r}",
            "Use Dense and `masked_loss` on other backends.",
        )
        super().__init__(**kwargs)
        self.vocabulary_size = require_positive_integer(
            vocabulary_size, owner=owner, name="vocabulary_size"
        )
        self.chunk = require_positive_integer(chunk, owner=owner, name="chunk")
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.accuracy = keras.metrics.Mean(name="masked_accuracy")
        self.supports_masking = True

    def build(self, states_shape: Shape, labels_shape: Shape | None = None) -> None:
        units = known_features(states_shape, owner="vocabulary_loss", name="states")
        self.kernel = self.add_weight(
            name="kernel",
            shape=(units, self.vocabulary_size),
            initializer=self.kernel_initializer,
        )
        self.bias = self.add_weight(
            name="bias", shape=(self.vocabulary_size,), initializer=self.bias_initializer
        )

    def call(self, states: Tensor, labels: Tensor | None = None) -> Tensor:
        if labels is None:
            return affine_rows(states, self.kernel, self.bias)
        dtype = keras.backend.standardize_dtype(labels.dtype)
        require(
            "int" in dtype,  # a float may have been rounded to half precision on its way here
            "vocabulary_loss",
            "`labels` must be integers",
            f"labels.dtype={dtype}",
            'Cast them, or write `keras.Input(..., dtype="int32")`.',
        )
        loss, accuracy = chunked_loss_and_accuracy(
            states, self.kernel, self.bias, labels, self.chunk
        )
        self.add_loss(loss)
        self.accuracy.update_state(accuracy)
        return loss

    def compute_mask(self, states: Tensor, mask: Any = None) -> None:
        """None: the labels say what is padding, and Keras would mask a second time."""

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "chunk": self.chunk,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
        }
