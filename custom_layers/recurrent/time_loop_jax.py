"""The time loop on JAX: `lax.scan`, which compiles the step once for all steps."""

from keras import ops

from custom_layers.recurrent.time_loop import Step, Structure


def time_loop(
    step: Step, init: Structure, sequences: Structure, *, reverse: bool = False
) -> tuple[Structure, Structure]:
    """See `custom_layers.recurrent.time_loop.time_loop`."""
    return ops.scan(step, init, sequences, reverse=reverse)
