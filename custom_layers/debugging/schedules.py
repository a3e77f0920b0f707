"""When to look."""

import numbers
from typing import Any


class Every:
    """Look at training step 0 and whenever a multiple of `steps` has been reached or passed.

    A callback hears only of the last of several steps that run in one execution: what counts is that a
    multiple lies between the last step heard of and this one.

    Args:
        steps: int >= 1.

    Raises:
        ValueError: anything else.
    """

    def __init__(self, steps: Any) -> None:
        is_integer = isinstance(steps, numbers.Integral) and not isinstance(steps, bool)
        if not is_integer or int(steps) < 1:
            raise ValueError(
                "GradientInspector: `every` must be an integer of 1 or more. Received: "
                f"every={steps!r}. "
                "It is a number of training steps: every=100 looks at steps 0, 100, 200, ..."
            )
        self.steps = int(steps)

    def is_due(self, step: int, before: int) -> bool:
        """Whether to look at `step`, the last step heard of being `before`."""
        return step // self.steps > before // self.steps
