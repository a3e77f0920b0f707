r"""Adam, each weight's update compiled into one pass over memory.

    m <- m + (1 - beta_1) (g - m)                                              (1)
    v <- v + (1 - beta_2) (g^2 - v)                                            (2)
    w <- w - rate sqrt(1 - beta_2^t) / (1 - beta_1^t) m / (sqrt(v) + epsilon)  (3)

Keras computes these as a dozen operations, each of which reads and writes arrays as large as the weight.
On two cores, where much of that lies beside other work, one pass saves 1 to 3 percent of a translator's
training step (`benchmarks/results.md`).
Source: Kingma and Ba 2015, arXiv:1412.6980, algorithm 1, in the order of the end of section 2.
"""

from typing import Any

import keras
import tensorflow as tf

from custom_layers.core.protocols import Tensor


@keras.saving.register_keras_serializable(package="custom_layers")
class CompiledAdam(keras.optimizers.Adam):
    """`keras.optimizers.Adam`, its arguments, state and files, with (1) to (3) compiled by XLA.

        model.compile(CompiledAdam(1e-3), loss, jit_compile=False)

    The rest of the model stays as it is, so that batches of any shape are welcome: what is compiled has
    the shape of a weight. With `jit_compile=True`, which compiles all, it brings nothing; on other
    backends, and under a `tf.distribute` strategy, it is Keras's.

    Differs from Keras in an embedding's gradient, of which TensorFlow hands over a slice for each token:
    the slices of one token are added before (2) squares them, as everywhere else in Adam. Keras on
    TensorFlow adds the squares of the slices.
    """

    def build(self, variables: Any) -> None:
        super().build(variables)
        self._compiled: dict[int, Any] = {}

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: Tensor) -> None:
        if keras.backend.backend() != "tensorflow" or tf.distribute.has_strategy():
            super().update_step(gradient, variable, learning_rate)
            return
        index = self._get_variable_index(variable)
        if index not in self._compiled:
            update = super().update_step
            self._compiled[index] = tf.function(
                lambda gradient, rate: update(gradient, variable, rate), jit_compile=True
            )
        self._compiled[index](*map(tf.convert_to_tensor, (gradient, learning_rate)))
