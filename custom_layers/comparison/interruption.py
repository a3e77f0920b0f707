"""Ctrl-C that waits for the end of the running step."""

import signal
import threading
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any


class ComparisonInterrupted(KeyboardInterrupt):
    """A comparison was stopped by Ctrl-C.

    Attributes:
        step: number of steps done.
        checkpoint: folder of the checkpoint from which `resume=True` goes on; None without one.
    """

    def __init__(self, message: str, step: int, checkpoint: Path | None) -> None:
        super().__init__(message)
        self.step = step
        self.checkpoint = checkpoint


class DeferredInterrupt:
    """Remember Ctrl-C inside a `with` block instead of raising at once.

    `requested` tells whether it was pressed. Pressed a second time it raises immediately. Outside
    the main thread, where Python delivers no signals, the block changes nothing.
    """

    def __init__(self) -> None:
        self.requested = False
        self._previous: Any = None
        self._installed = False

    def __enter__(self) -> "DeferredInterrupt":
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGINT, self._remember)
            self._installed = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._installed:
            signal.signal(signal.SIGINT, self._previous)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
