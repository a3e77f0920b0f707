"""Progress of a comparison on the screen: a bar on a terminal, a line now and then elsewhere."""

import sys
from collections.abc import Mapping

from tqdm import tqdm

LINES_WITHOUT_TERMINAL = 10


class Progress:
    """Show the losses of all models while they run.

    Args:
        steps: steps in all.
        done: steps done before (a resumed run).
        enabled: False shows nothing but what is handed to `say`.
    """

    def __init__(self, steps: int, done: int, enabled: bool) -> None:
        self._steps = steps
        self._lines = enabled and not sys.stderr.isatty()
        self._every = max(1, steps // LINES_WITHOUT_TERMINAL)
        self._bar = tqdm(
            total=steps,
            initial=done,
            desc="compare",
            unit="step",
            dynamic_ncols=True,
            disable=not (enabled and sys.stderr.isatty()),
        )

    def advance(self, step: int, losses: Mapping[str, float]) -> None:
        """Show that `step` steps are done, with the losses of the last one."""
        self._bar.update()
        values = {name: f"{loss:.4f}" for name, loss in losses.items()}
        self._bar.set_postfix(values, refresh=False)
        if self._lines and (step % self._every == 0 or step == self._steps):
            text = "  ".join(f"{name} {value}" for name, value in values.items())
            print(f"compare: step {step}/{self._steps}  loss  {text}", file=sys.stderr, flush=True)

    def say(self, line: str) -> None:
        """Print one line above the bar."""
        self._bar.write(line, file=sys.stderr)

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()
