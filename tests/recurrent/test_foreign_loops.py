"""Our cells in Keras's layers, Keras's cells in ours: the four mixtures give the same numbers."""

import keras
import numpy as np
import pytest
from keras import ops

import custom_layers
from tests.parity.differentiate import MODES, outputs_and_gradients
from tests.parity.harness import assert_close, ragged_mask

BUILTIN = keras.layers
x = np.random.default_rng(0).standard_normal((3, 6, 4)).astype("float32")
CELLS = ["SimpleRNNCell", "LSTMCell", "GRUCell"]
HOMES = [(BUILTIN, BUILTIN), (custom_layers, BUILTIN), (BUILTIN, custom_layers)]


def build(make, seed=5):
    """The layer, built, with random weights that depend on the seed alone."""
    keras.utils.clear_session(free_memory=False)
    layer = make()
    layer(x)
    rng = np.random.default_rng(seed)
    for weight in layer.trainable_variables:
        weight.assign(0.5 * rng.standard_normal(weight.shape))
    return layer


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("cells", "layers"), HOMES[1:], ids=["our cell", "our layer"])
def test_a_cell_and_a_layer_of_different_houses(cell, mode, cells, layers):
    reference, mixed = (
        build(lambda c=c, la=la: la.RNN(getattr(c, cell)(5), return_sequences=True))
        for c, la in ((BUILTIN, BUILTIN), (cells, layers))
    )
    mask = {"mask": ragged_mask(3, 6)}
    results = [outputs_and_gradients(layer, [x], mask, mode=mode) for layer in (mixed, reference)]
    assert_close(*results, relative=1e-5)


@pytest.mark.parametrize(
    "make",
    [
        lambda cells, stack, run: run.RNN(
            stack.StackedRNNCells([cells.LSTMCell(5), cells.GRUCell(3)])
        ),
        lambda cells, stack, run: run.Bidirectional(run.RNN([cells.LSTMCell(5), cells.GRUCell(3)])),
        lambda cells, stack, run: stack.Bidirectional(cells.LSTM(5)),
    ],
    ids=["stack", "bidirectional of a stack", "bidirectional"],
)
def test_stacks_and_directions_of_different_houses(make):
    houses = (BUILTIN, custom_layers)
    reference = build(lambda: make(BUILTIN, BUILTIN, BUILTIN))
    wanted = outputs_and_gradients(reference, [x], {})
    for cells in houses:
        for stack in houses:
            for run in houses:
                mixed = build(lambda c=cells, s=stack, r=run: make(c, s, r))
                assert_close(outputs_and_gradients(mixed, [x], {}), wanted, relative=1e-5)


def in_mode(layer, mode):
    if mode == "eager":
        return lambda: layer(x, training=True)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(lambda: layer(x, training=True), jit_compile=mode == "jit")
    import jax

    def run(state):
        return layer.stateless_call(
            [v.value for v in layer.trainable_variables], state, x, training=True
        )

    compiled = jax.jit(run)

    def step():
        output, state = compiled([v.value for v in layer.non_trainable_variables])
        for variable, value in zip(layer.non_trainable_variables, state, strict=True):
            variable.assign(value)
        return output

    return step


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("cells", "layers"), HOMES, ids=["Keras", "our cell", "our layer"])
def test_dropout_draws_one_mask_a_batch_in_any_loop(cell, mode, cells, layers):
    """With a recurrent kernel of zeros and inputs that stand still, all steps must look alike."""
    layer = build(
        lambda: layers.RNN(getattr(cells, cell)(5, dropout=0.5, seed=3), return_sequences=True)
    )
    layer.cell.recurrent_kernel.assign(ops.zeros_like(layer.cell.recurrent_kernel.value))
    global x
    moving, x = x, np.repeat(x[:, :1], 6, axis=1)
    try:
        run = in_mode(layer, mode)
        batches = [ops.convert_to_numpy(run()) for _ in range(3)]
    finally:
        x = moving
    if cell != "LSTMCell" and cell != "GRUCell":  # gated cells remember: their steps differ
        for batch in batches:
            np.testing.assert_allclose(batch, np.repeat(batch[:, :1], 6, axis=1), rtol=1e-6)
    assert not np.allclose(batches[0], batches[1])
    assert not np.allclose(batches[1], batches[2])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("cell", CELLS)
def test_dropout_masks_are_keras_s_bit_for_bit_in_any_loop(cell, mode):
    """Each step's mask among them: a mask drawn anew at a step would change what follows it."""
    wanted = None
    for cells, layers in HOMES:
        layer = build(
            lambda c=cells, la=layers: la.RNN(
                getattr(c, cell)(5, dropout=0.4, recurrent_dropout=0.3, seed=3)
            )
        )
        run = in_mode(layer, mode)
        run()
        got = ops.convert_to_numpy(run())
        wanted = got if wanted is None else wanted
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


def test_a_cell_that_overrides_call_is_called():
    class Doubled(custom_layers.GRUCell):
        def call(self, inputs, states, training=False):
            output, states = super().call(inputs, states, training)
            return 2 * output, states

    plain = build(lambda: custom_layers.RNN(custom_layers.GRUCell(5)))
    doubled = build(lambda: custom_layers.RNN(Doubled(5)))
    results = [ops.convert_to_numpy(y) for y in (2 * plain(x), doubled(x))]
    np.testing.assert_allclose(*results, rtol=1e-5, atol=1e-6)  # seen: 5e-7, one product or six


def test_a_cell_with_a_state_given_redraws_its_masks_in_our_layer():
    layer = build(lambda: custom_layers.RNN(custom_layers.GRUCell(5, dropout=0.5, seed=3)))
    state = [np.zeros((3, 5), "float32")]
    first, second = (layer(x, initial_state=state, training=True) for _ in range(2))
    assert not np.allclose(ops.convert_to_numpy(first), ops.convert_to_numpy(second))


def test_a_mask_left_over_from_another_batch_is_drawn_anew():
    layer = build(lambda: BUILTIN.RNN(custom_layers.GRUCell(5, dropout=0.5, seed=3)))
    layer(x, training=True)
    state = [np.zeros((1, 5), "float32")]
    assert tuple(layer(x[:1], initial_state=state, training=True).shape) == (1, 5)


@pytest.mark.parametrize("stack", [False, True], ids=["a cell", "a stack"])
@pytest.mark.parametrize("cell", CELLS)
def test_a_compiled_foreign_loop_that_cannot_draw_masks_is_refused_in_one_line(cell, stack):
    """Keras's RNN asks for no initial state where one is given, and draws for its own cells only."""
    if keras.backend.backend() == "torch":
        pytest.skip("the Torch backend compiles no loop")

    def fit(layers):
        one, other = getattr(custom_layers, cell)(5, dropout=0.5, seed=3), BUILTIN.GRUCell(5)
        inner, cells = (
            ([one, other], BUILTIN.StackedRNNCells([one, other])) if stack else ([one], one)
        )
        states = [[keras.Input((5,)) for _ in keras.tree.flatten(c.state_size)] for c in inner]
        initial = [s if len(s) > 1 else s[0] for s in states] if stack else states[0]
        sequences, flat = keras.Input((6, 4)), keras.tree.flatten(states)
        model = keras.Model([sequences, *flat], layers.RNN(cells)(sequences, initial_state=initial))
        model.compile("sgd", "mse")
        given = [x, *(np.zeros((3, 5), "float32") for _ in flat)]
        model.predict(given, verbose=0)
        return [
            model.fit(given, np.zeros((3, 5), "float32"), verbose=0).history["loss"][0]
            for _ in range(3)
        ]

    with pytest.raises(ValueError, match=r"dropout.*initial_state.*Use custom_layers\.RNN"):
        fit(BUILTIN)
    assert len(set(fit(custom_layers))) == 3


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="compiled with tf.function")
def test_a_compiled_loop_of_the_user_s_own_begins_with_get_initial_state():
    import tensorflow as tf

    class Loop(keras.Model):
        def __init__(self, begins):
            super().__init__()
            self.cell, self.begins = custom_layers.GRUCell(5, dropout=0.5, seed=3), begins

        def build(self, shape):
            self.cell.build((shape[0], shape[2]))

        def call(self, sequences, training=False):
            states = (
                self.cell.get_initial_state(3) if self.begins else [np.zeros((3, 5), "float32")]
            )
            for t in range(6):
                output, states = self.cell(sequences[:, t], states, training=training)
            return output

    model = build(lambda: Loop(begins=True))
    run = tf.function(lambda: model(x, training=True))
    assert not np.allclose(run(), run())
    model = build(lambda: Loop(begins=False))
    with pytest.raises(ValueError, match="ask the cell for its states"):
        tf.function(lambda: model(x, training=True))()


@pytest.mark.parametrize("return_sequences", [False, True])
def test_a_cell_whose_output_is_wider_than_its_state(return_sequences):
    class Wide:
        state_size = 4
        cells = ("not", "a stack")

        def call(self, inputs, states):
            return ops.concatenate([inputs, inputs[:, :1]], axis=-1), [inputs + states[0]]

    layer = custom_layers.RNN(Wide(), return_sequences=return_sequences)
    run = layer
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        run = tf.function(layer)
    got = ops.convert_to_numpy(run(x))
    wanted = np.concatenate([x, x[..., :1]], axis=-1)
    np.testing.assert_array_equal(got, wanted if return_sequences else wanted[:, -1])


def test_a_bare_cell_without_optional_members_runs():
    class Minimal:
        state_size = 4

        def call(self, inputs, states):
            return inputs + states[0], [inputs + states[0]]

    got = custom_layers.RNN(Minimal(), return_sequences=True)(x)
    np.testing.assert_allclose(
        ops.convert_to_numpy(got), np.cumsum(x, axis=1), rtol=1e-5, atol=1e-5
    )
