"""The recurrent layers whose products are convolutions, in the settings in which they could differ."""

from tests.parity.harness import Pair, normal, ragged_mask

BATCH, STEPS = 3, 5
rows = normal(BATCH, STEPS, 6, 3)
pictures = normal(BATCH, STEPS, 4, 5, 2)
rooms = normal(2, 5, 3, 4, 3, 2)


def masked(rng):
    return {"mask": ragged_mask(BATCH, STEPS)}


def states(rng):
    """Random initial states, and a mask by which some sequences begin with steps left out."""
    return {
        "initial_state": [rng.standard_normal((BATCH, 3, 4, 3)) for _ in range(2)],
        **masked(rng),
    }


def trained(rng):
    return {"training": True}


# Keras on JAX fails with a mask here: it does not fit the mask to more axes than (batch, units).
MASKS = ("tensorflow", "torch")
# Keras on Torch overwrites a state that its own gradient needs.
STATEFUL = ("tensorflow", "jax")

PAIRS = [
    Pair(
        "conv-lstm-1d",
        lambda layers: layers.ConvLSTM1D(
            *(3, 2), strides=2, go_backwards=True, return_sequences=True, return_state=True
        ),
        rows,
    ),
    Pair(
        "conv-lstm-2d",
        lambda layers: layers.ConvLSTM2D(3, (3, 2), padding="same", return_sequences=True),
        pictures,
        masked,
        backends=MASKS,
    ),
    Pair(
        "conv-lstm-2d-initial-state",
        lambda layers: layers.ConvLSTM2D(
            *(3, 2),
            activation="sigmoid",
            recurrent_activation="tanh",
            unit_forget_bias=False,
            bias_initializer="random_normal",
            return_state=True,
            kernel_regularizer="l2",
            recurrent_regularizer="l1",
            bias_regularizer="l2",
            activity_regularizer="l2",
            kernel_constraint="non_neg",
            recurrent_constraint="max_norm",
            bias_constraint="non_neg",
        ),
        pictures,
        states,
        backends=MASKS,
    ),
    Pair(
        "conv-lstm-2d-dropout",
        lambda layers: layers.ConvLSTM2D(3, 2, dropout=0.3, recurrent_dropout=0.4, seed=3),
        pictures,
        trained,
        smooth=False,
    ),
    Pair(
        "conv-lstm-2d-stateful",
        lambda layers: layers.ConvLSTM2D(
            3, 2, stateful=True, use_bias=False, return_sequences=True
        ),
        pictures,
        jit=False,
        backends=STATEFUL,
    ),
    Pair(
        "conv-lstm-3d-dilated",
        lambda layers: layers.ConvLSTM3D(2, 2, dilation_rate=(1, 3, 2), return_state=True),
        rooms,
    ),
]
