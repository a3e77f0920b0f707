r"""The learning rate of the Transformer: a rise in a straight line, then a fall by the square root.

    rate(s) = d_model^-0.5 * min(s^-0.5, s * warmup_steps^-1.5)                            (1)
            = d_model^-0.5 * s * max(s, warmup_steps)^-1.5                                 (2)

(2) is (1) without a division by zero at s = 0, where both are 0. The peak is at s = warmup_steps:
(d_model * warmup_steps)^-0.5.
Source: Vaswani et al. 2017, arXiv:1706.03762, section 5.3, equation 3.
"""

from typing import Any

import keras
from keras import ops

from custom_layers.core.shape_check import require_positive_integer


@keras.saving.register_keras_serializable(package="custom_layers")
class WarmupSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """Learning rate that grows for `warmup_steps` steps and then decays as step^-0.5 (1).

    Keras numbers the updates from 0 and asks for the rate before each: the first update has rate 0
    and changes no weight (Adam's averages see its gradient all the same), and update number
    `warmup_steps` + 1 has the peak. The official TensorFlow tutorial's schedule does the same.

    Args:
        d_model: int >= 1, width of the model.
        warmup_steps: int >= 1, step of the peak. Default 4000.
    Call arguments:
        step: number of updates done, an integer or a scalar tensor >= 0.
    Returns: the rate, a float32 scalar.
    Raises: ValueError when `d_model` or `warmup_steps` is no positive integer.
    Source: Vaswani et al. 2017, arXiv:1706.03762, equation 3, which numbers the updates from 1.
    """

    def __init__(self, d_model: int, warmup_steps: int = 4000) -> None:
        super().__init__()
        owner = "warmup_schedule"
        self.d_model = require_positive_integer(d_model, owner=owner, name="d_model")
        self.warmup_steps = require_positive_integer(warmup_steps, owner=owner, name="warmup_steps")

    def __call__(self, step: Any) -> Any:
        s = ops.cast(step, "float32")
        return self.d_model**-0.5 * s * ops.maximum(s, float(self.warmup_steps)) ** -1.5  # (2)

    def get_config(self) -> dict[str, Any]:
        return {"d_model": self.d_model, "warmup_steps": self.warmup_steps}
