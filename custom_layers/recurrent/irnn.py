r"""IRNN: a simple recurrent network of rectified linear units that starts by remembering everything.

    h_t = relu(x_t W + b + h_{t-1} U),   U = 1 at first     (1)

Source: Le et al. 2015, arXiv:1504.00941: U begins as the identity, b at zero, and W with a standard
deviation of 0.001.
Differs from keras.layers.SimpleRNN: these defaults.
"""

from typing import Any

import keras

from custom_layers.recurrent.simple_rnn import SimpleRNN


@keras.saving.register_keras_serializable(package="custom_layers")
class IRNN(SimpleRNN):
    """A simple recurrent network whose recurrent kernel starts as the identity.

    Args: as `SimpleRNN`, by keyword, with other defaults:
        activation: "relu".
        kernel_initializer: None is a normal distribution with a standard deviation of 0.001.
        recurrent_initializer: "identity"; the paper's scaled one is `keras.initializers.Identity(gain)`.

    Call arguments, returned value and errors: see `RNN`. The states are [h].

    >>> import keras, custom_layers
    >>> layer = custom_layers.IRNN(2, kernel_initializer="identity", return_sequences=True)
    >>> layer(keras.ops.ones((1, 3, 2))).numpy().tolist()
    [[[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]]
    """

    def __init__(
        self,
        units: int,
        *,
        activation: Any = "relu",
        kernel_initializer: Any = None,
        recurrent_initializer: Any = "identity",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            units,
            activation=activation,
            kernel_initializer=kernel_initializer or keras.initializers.RandomNormal(0.0, 0.001),
            recurrent_initializer=recurrent_initializer,
            **kwargs,
        )
