"""Dropout of attention weights, whose seed generator is saved with the layer it is part of."""

from typing import Any

import keras

from custom_layers.core.protocols import Shape, Tensor


@keras.saving.register_keras_serializable(package="custom_layers")
class WeightDropout(keras.layers.Layer):
    """In training, zero each weight with probability `rate` and divide the others by 1 - rate.

    Args:
        rate: probability in [0, 1].
        seed: int, seed of the draws.
    Call arguments: inputs: weights, any shape; training: whether to drop.
    Returns: like `inputs`.
    Source: Vaswani et al. 2017 say nothing of it; their code, and Keras, drop weights.
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = rate
        self.seed = seed
        if rate > 0:
            self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    def call(self, inputs: Tensor, training: bool | None = False) -> Tensor:
        if not training or self.rate == 0:
            return inputs
        return keras.random.dropout(inputs, self.rate, seed=self.seed_generator)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
