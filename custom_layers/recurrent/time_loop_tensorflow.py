"""The time loop on TensorFlow: `tf.while_loop` over TensorArrays in a graph, else plain Python."""

import keras
import tensorflow as tf

from custom_layers.recurrent.time_loop import Step, Structure, unrolled_time_loop


def time_loop(
    step: Step, init: Structure, sequences: Structure, *, reverse: bool = False
) -> tuple[Structure, Structure]:
    """See `custom_layers.recurrent.time_loop.time_loop`."""
    loop = unrolled_time_loop if tf.executing_eagerly() else graph_time_loop
    return loop(step, init, sequences, reverse=reverse)


def graph_time_loop(
    step: Step, init: Structure, sequences: Structure, *, reverse: bool = False
) -> tuple[Structure, Structure]:
    """One `tf.while_loop`, for any number of steps; XLA compiles it where the number is fixed."""
    leaves = [tf.convert_to_tensor(leaf) for leaf in keras.tree.flatten(sequences)]
    steps = leaves[0].shape[0]
    if steps is None:
        steps = tf.shape(leaves[0])[0]
    readers = [
        tf.TensorArray(leaf.dtype, size=steps, element_shape=leaf.shape[1:]).unstack(leaf)
        for leaf in leaves
    ]

    # What a step returns is known only after a step: this one's values are used by nobody. The graph
    # optimizer removes it, unless the cell changes a variable of its own (Keras's loop is like that).
    first = keras.tree.pack_sequence_as(sequences, [leaf[0] for leaf in leaves])
    _, y_template = step(init, first)
    carry_template = init
    y_leaves = [y for y in keras.tree.flatten(y_template) if y is not None]
    writers = [tf.TensorArray(y.dtype, size=steps, element_shape=y.shape) for y in y_leaves]
    carry_leaves = [tf.convert_to_tensor(leaf) for leaf in keras.tree.flatten(init)]

    def body(count, carry, writers):
        t = steps - 1 - count if reverse else count
        x_t = keras.tree.pack_sequence_as(sequences, [reader.read(t) for reader in readers])
        carry, y_t = step(keras.tree.pack_sequence_as(carry_template, carry), x_t)
        y_leaves = [y for y in keras.tree.flatten(y_t) if y is not None]
        writers = [writer.write(t, y) for writer, y in zip(writers, y_leaves, strict=True)]
        return count + 1, keras.tree.flatten(carry), writers

    _, carry_leaves, writers = tf.while_loop(
        lambda count, *_: count < steps,
        body,
        (tf.constant(0), carry_leaves, writers),
        maximum_iterations=steps,  # XLA needs the bound to lay out the gradient's memory
    )
    carry = keras.tree.pack_sequence_as(carry_template, carry_leaves)
    if not writers:
        return carry, None
    return carry, keras.tree.pack_sequence_as(y_template, [writer.stack() for writer in writers])
