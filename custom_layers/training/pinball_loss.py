r"""The loss whose best forecast is a quantile.

    e   = y - f_q                       (1) the miss of a forecast f_q of the quantile q
    L_q = max(q e, (q - 1) e)           (2) too low by e costs q e, too high by e costs (1 - q) e

The derivative of the mean of (2) is P(y < f) - q: it is 0 where a share q of all y lies below f. Two of
these forecasts, of 0.1 and of 0.9, are the ends of an interval that holds 80 % of what comes.

Source: Koenker and Bassett 1978, Econometrica 46(1), equation (1.1).
"""

import itertools
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from custom_layers.core.protocols import Tensor
from custom_layers.core.shape_check import require


@keras.saving.register_keras_serializable(package="custom_layers")
class PinballLoss(keras.losses.Loss):
    """The mean of (2) over quantiles; 0.5 alone is half the absolute error.

    Args:
        quantiles: increasing numbers in (0, 1).
        name, reduction, dtype: as of every loss of Keras.
    Call arguments:
        y_true: (batch, ...), such as (batch, horizon).
        y_pred: (batch, ..., quantiles), a forecast of each quantile, in their order.
    Returns: a number in the unit of y; without a reduction shaped like y_true.
    Raises: ValueError for quantiles that are not so, or a y_pred of another shape.
    """

    def __init__(
        self,
        quantiles: Sequence[float],
        name: str = "pinball_loss",
        reduction: Any = "sum_over_batch_size",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.quantiles = tuple(float(q) for q in quantiles)
        ends = (0.0, *self.quantiles, 1.0)
        require(
            len(ends) > 2 and all(low < high for low, high in itertools.pairwise(ends)),
            "pinball_loss",
            "`quantiles` must be numbers in (0, 1), each larger than the one before",
            f"quantiles={quantiles!r}",
            "Use (0.1, 0.5, 0.9) for a median and an interval of 80 %.",
        )

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        require(
            len(y_pred.shape) == len(y_true.shape) + 1
            and y_pred.shape[-1] in (None, len(self.quantiles)),
            "pinball_loss",
            f"`y_pred` must be y_true's shape and {len(self.quantiles)} quantiles",
            f"y_true.shape={tuple(y_true.shape)}, y_pred.shape={tuple(y_pred.shape)}",
            "Let the last layer put out a number for each quantile.",
        )
        q = ops.convert_to_tensor(self.quantiles, dtype=y_pred.dtype)
        e = ops.expand_dims(y_true, axis=-1) - y_pred  # (1)
        return ops.mean(ops.maximum(q * e, (q - 1) * e), axis=-1)  # (2)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "quantiles": list(self.quantiles)}
