"""How much memory one training step needs at its peak."""

import contextlib
import ctypes
import os
import threading
from pathlib import Path
from types import TracebackType

import tensorflow as tf

STATM = Path("/proc/self/statm")
SAMPLE_EVERY = 0.001  # seconds


class PeakMemory:
    """Measure the peak of memory inside a `with` block above what was in use when it began.

        with PeakMemory() as peak:
            model.train_on_batch(x, y)
        print(peak.bytes)

    On a GPU, TensorFlow's allocator counts exactly. On a CPU, a thread reads the resident set of
    the whole process about every millisecond, after free heap memory was handed back to the system
    (glibc only; otherwise memory that the allocator held in reserve is not seen). It therefore
    counts what a step adds for a moment (activations, gradients, scratch space), not weights and
    optimizer state, which are there before; a peak shorter than a millisecond can be missed, and
    whatever other threads of the process do at that time is counted in. Take it as the size of
    the need, not as a figure to the last megabyte.

    Attributes:
        bytes: int, or None where the system has neither a GPU nor /proc/self/statm.
    """

    def __init__(self) -> None:
        self.bytes: int | None = None
        self._gpu = "GPU:0" if tf.config.list_physical_devices("GPU") else None
        self._baseline = 0
        self._highest = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "PeakMemory":
        if self._gpu:
            tf.config.experimental.reset_memory_stats(self._gpu)
            self._baseline = tf.config.experimental.get_memory_info(self._gpu)["current"]
        elif STATM.exists():
            _return_free_memory()
            self._baseline = self._highest = _resident_bytes()
            self._thread = threading.Thread(target=self._sample, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._gpu:
            peak = tf.config.experimental.get_memory_info(self._gpu)["peak"]
            self.bytes = peak - self._baseline
        elif self._thread is not None:
            self._stop.set()
            self._thread.join()
            self.bytes = max(self._highest, _resident_bytes()) - self._baseline

    def _sample(self) -> None:
        while not self._stop.wait(SAMPLE_EVERY):
            self._highest = max(self._highest, _resident_bytes())


def _resident_bytes() -> int:
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _return_free_memory() -> None:
    with contextlib.suppress(OSError, AttributeError):  # other C libraries have no such function
        ctypes.CDLL(None).malloc_trim(0)
