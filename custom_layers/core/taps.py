"""Taps: where a layer offers what it computes on the way to whoever listens.

A tap names an intermediate quantity q and is the identity, q' = q, unless a listener is installed.
Then q' = q + p, where the probe p is zero everywhere: the values stay as they are, and

    dL/dp = dL/dq', the total derivative of the loss by the quantity,

which no other place shows once q is used more than once, as the state of a recurrent layer is. Inside
of a loop p has the shape of q at all steps, and dL/dp is asked for; elsewhere p is one number, which
brings q' onto the tape, and dL/dq' is asked for itself. A layer holds no tape, writer or tensor of a
call: it hands the quantity over and forgets it.
"""

import threading
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol

from custom_layers.core.protocols import Shape, Tensor


class Listener(Protocol):
    """What is told of the quantities. See `custom_layers.debugging.recorder`."""

    def hears(self, layer: Any, value: Tensor) -> bool:
        """Whether this call of this layer is listened to; `value` is any tensor of the call."""

    def probe(self, shape: Shape, dtype: str) -> Tensor:
        """Zeros of this shape, by which the loss can be differentiated."""

    def keep(
        self,
        layer: Any,
        name: str,
        value: Tensor,
        probe: Tensor,
        mask: Tensor | None = None,
        steps_first: bool = False,
        backwards: bool = False,
        steps_axis: int | None = 1,
    ) -> None:
        """A quantity, its name within the layer, and its probe.

        `value` is (batch, ...), and (batch, steps, units) in a recurrent layer. `probe` is what to
        differentiate by, of its shape, or (steps, batch, units) with `steps_first`. `mask` is bool
        (batch, steps), False where the layer took no step; `backwards` if it took the last step first.
        `steps_axis` is the axis of `value` that is time, None if none is.
        """


class _Installed(threading.local):
    listener: Listener | None = None


_installed = _Installed()


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Install a listener in this thread for the time of a `with` block, which may end in an error."""
    if _installed.listener is not None:
        raise RuntimeError(
            "record: a recorder is listening already, and one inside another would take its taps. "
            "End the outer block first, or read both from one recorder."
        )
    _installed.listener = listener
    try:
        yield
    finally:
        _installed.listener = None


@contextmanager
def silence() -> Iterator[None]:
    """Nobody listens in this thread for the time of a `with` block.

    For what a layer computes in order to decide something, and then computes again where it counts.
    """
    listener, _installed.listener = _installed.listener, None
    try:
        yield
    finally:
        _installed.listener = listener


def listener_of(layer: Any, value: Tensor) -> Listener | None:
    """Who listens to this call of this layer, if anyone; `value` is any tensor of the call."""
    listener = _installed.listener
    return listener if listener is not None and listener.hears(layer, value) else None


def unused_name(name: str, used: Container[str], after: str = "") -> str:
    """The name, or `name:2`, `name:3`, ... where it is in use, with what comes after it, already."""
    count, candidate = 1, name
    while candidate + after in used:
        count += 1
        candidate = f"{name}:{count}"
    return candidate


Tap = Callable[[str, Tensor], Tensor]


def untapped(name: str, value: Tensor) -> Tensor:
    """What stands for a tap where a function is called by itself: the quantity as it is."""
    return value


def taps_of(layer: Any) -> Tap:
    """The taps of a layer, for a function that computes on its behalf: `(name, value) -> value`."""
    return partial(tap, layer)


def tap(layer: Any, name: str, value: Tensor) -> Tensor:
    """Offer a quantity (..., query_steps, n), as attention has them.

    Returns it as it is, or with a probe added where somebody listens.
    """
    listener = listener_of(layer, value)
    if listener is None:
        return value
    tapped = value + listener.probe((), value.dtype)
    listener.keep(layer, name, value, tapped, steps_axis=-2)
    return tapped
