"""The time loop on JAX: `lax.scan`, which compiles the step once for all steps."""

import jax
from keras import ops

from custom_layers.recurrent.time_loop import Backward, Forward, Step, Structure


def time_loop(
    step: Step, init: Structure, sequences: Structure, *, reverse: bool = False
) -> tuple[Structure, Structure]:
    """See `custom_layers.recurrent.time_loop.time_loop`."""
    return ops.scan(step, init, sequences, reverse=reverse)


def with_backward(forward: Forward, backward: Backward, arguments: Structure) -> Structure:
    """See `custom_layers.recurrent.time_loop.with_backward`."""
    run = jax.custom_vjp(lambda given: forward(given)[0])
    run.defvjp(forward, lambda kept, d_results: (backward(kept, d_results),))
    return run(arguments)
