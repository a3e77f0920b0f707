"""What the replicas of `tf.distribute` recorded, each of its part of a batch, as of the whole batch.

Keras divides each replica's loss by the number of replicas, so that the whole batch's loss and gradients
are sums over them. The gradient by a quantity of one example is a part of the replica's that has the
example: put one after another, these are the whole batch's.
"""

import tensorflow as tf

from custom_layers.core.protocols import Tensor
from custom_layers.debugging.recorder import Quantity, Recording


def number_of_replicas() -> int:
    """In the strategy that this is called under; 1 without one."""
    return int(tf.distribute.get_strategy().num_replicas_in_sync)


def of_all_replicas(recording: Recording) -> Recording:
    """The recording of the whole batch, the same on each replica. Of one replica it is as it was."""
    if number_of_replicas() == 1:
        return recording
    reached = {
        path: tf.convert_to_tensor(g) for path, g in recording.weights.items() if g is not None
    }
    sums = _sum([recording.loss, *reached.values()])
    weights = recording.weights | dict(zip(reached, sums[1:], strict=True))
    quantities = {name: _whole(quantity) for name, quantity in recording.items()}
    missing = recording.not_reached, recording.not_watchable
    return Recording(sums[0], quantities, weights, *missing)


def one_per_replica(values: Tensor) -> Tensor:
    """(replicas, ...), each replica's values."""
    return values[None] if number_of_replicas() == 1 else _one_after_another(values[None])


def _whole(quantity: Quantity) -> Quantity:
    if not quantity.value.shape.rank:  # an output without examples, such as a loss of its own
        return quantity._replace(gradient=_sum([quantity.gradient])[0])
    mask = quantity.mask
    return quantity._replace(
        value=_one_after_another(quantity.value),
        gradient=_one_after_another(quantity.gradient),
        mask=None if mask is None else tf.cast(_one_after_another(tf.cast(mask, "int32")), "bool"),
    )


def _sum(values: list[Tensor]) -> list[Tensor]:
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, values)


def _one_after_another(value: Tensor) -> Tensor:
    return tf.distribute.get_replica_context().all_gather(value, axis=0)
