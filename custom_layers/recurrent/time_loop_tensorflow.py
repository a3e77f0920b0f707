"""The time loop on TensorFlow: `tf.while_loop` over TensorArrays in a graph, else plain Python."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from custom_layers.recurrent.time_loop import Backward, Forward, Step, Structure, unrolled_time_loop

FEW = 2  # sequences, such as inputs and mask, that a step reads for the next one


def time_loop(
    step: Step, init: Structure, sequences: Structure, *, reverse: bool = False
) -> tuple[Structure, Structure]:
    """See `custom_layers.recurrent.time_loop.time_loop`."""
    loop = unrolled_time_loop if tf.executing_eagerly() else graph_time_loop
    return loop(step, init, sequences, reverse=reverse)


def graph_time_loop(
    step: Step, init: Structure, sequences: Structure, *, reverse: bool = False
) -> tuple[Structure, Structure]:
    """One `tf.while_loop`, for any number of steps; XLA compiles it where the number is fixed.

    With few sequences a step gets its x_t from the step before, which has read it: in one piece with
    the reading, XLA computes the functions of a step one number at a time, and a forward pass takes up
    to twice as long. Many, as on the way back, cost more to hand on than that.
    """
    leaves = [tf.convert_to_tensor(leaf) for leaf in keras.tree.flatten(sequences)]
    known = leaves[0].shape[0]
    steps = tf.shape(leaves[0])[0] if known is None else known
    readers = [
        tf.TensorArray(leaf.dtype, size=steps, element_shape=leaf.shape[1:]).unstack(leaf)
        for leaf in leaves
    ]

    def time_of(count):
        return steps - 1 - count if reverse else count

    # What a step returns is known only after a step: this one's values are used by nobody. The graph
    # optimizer removes it, unless the cell changes a variable of its own (Keras's loop is like that).
    if known is None:
        first = [_first_of(leaf, reverse) for leaf in leaves]
    else:  # from the readers: the gradient of a slice is as large as the sequence
        first = [reader.read(time_of(0)) for reader in readers]
    _, y_template = step(init, keras.tree.pack_sequence_as(sequences, first))
    carry_template = init
    y_leaves = [y for y in keras.tree.flatten(y_template) if y is not None]
    writers = [tf.TensorArray(y.dtype, size=steps, element_shape=y.shape) for y in y_leaves]
    carry_leaves = [tf.convert_to_tensor(leaf) for leaf in keras.tree.flatten(init)]

    reads_ahead = len(leaves) <= FEW

    def body(count, ahead, carry, writers):
        t, upcoming = time_of(count), time_of(tf.minimum(count + 1, steps - 1))
        read = ahead if reads_ahead else [reader.read(t) for reader in readers]
        x_t = keras.tree.pack_sequence_as(sequences, read)
        carry, y_t = step(keras.tree.pack_sequence_as(carry_template, carry), x_t)
        y_leaves = [y for y in keras.tree.flatten(y_t) if y is not None]
        writers = [writer.write(t, y) for writer, y in zip(writers, y_leaves, strict=True)]
        ahead = [reader.read(upcoming) for reader in readers] if reads_ahead else []
        return count + 1, ahead, keras.tree.flatten(carry), writers

    _, _, carry_leaves, writers = tf.while_loop(
        lambda count, *_: count < steps,
        body,
        (tf.constant(0), first if reads_ahead else [], carry_leaves, writers),
        maximum_iterations=steps,  # XLA needs the bound to lay out the gradient's memory
    )
    carry = keras.tree.pack_sequence_as(carry_template, carry_leaves)
    if not writers:
        return carry, None
    return carry, keras.tree.pack_sequence_as(y_template, [writer.stack() for writer in writers])


def _first_of(leaf: Any, reverse: bool) -> Any:
    """The step that comes first in a sequence of unknown length; zeros where there is none."""
    found = leaf[-1:] if reverse else leaf[:1]
    zeros = tf.zeros(tf.concat([[1], tf.shape(leaf)[1:]], axis=0), leaf.dtype)
    return tf.ensure_shape(tf.concat([found, zeros], axis=0)[0], leaf.shape[1:])


def with_backward(forward: Forward, backward: Backward, arguments: Structure) -> Structure:
    """See `custom_layers.recurrent.time_loop.with_backward`.

    The tape records what `forward` computes as well, so that `kept` has a gradient of its own.
    """
    structures: dict[str, Structure] = {}

    @tf.custom_gradient
    def run(*given: Any) -> Any:
        results, kept = forward(_filled(arguments, given))
        structures["results"] = results

        def gradient(*d_results: Any) -> list[Any]:
            found = keras.tree.flatten(backward(kept, _filled(results, d_results)))
            return [d for d, leaf in zip(found, leaves, strict=True) if leaf is not None]

        return _tensors(results), gradient

    leaves = keras.tree.flatten(arguments)
    # A copy, since TensorFlow searches the graph for variables, and takes one that is read for one used.
    results = run(*(tf.identity(leaf) for leaf in _tensors(arguments)))
    return _filled(structures["results"], results)


def _tensors(structure: Structure) -> list[Any]:
    return [leaf for leaf in keras.tree.flatten(structure) if leaf is not None]


def _filled(structure: Structure, tensors: Sequence[Any]) -> Structure:
    """The structure with these tensors in the place of its own; None stays None."""
    rest = iter(tensors)
    leaves = keras.tree.flatten(structure)
    filled = [None if leaf is None else next(rest) for leaf in leaves]
    return keras.tree.pack_sequence_as(structure, filled)
