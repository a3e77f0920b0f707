"""The recurrent layers and cells, in the settings in which they could differ."""

import numpy as np

from tests.parity.harness import Pair, normal, ragged_mask

BATCH, STEPS, FEATURES, UNITS = 3, 6, 4, 5
x = normal(BATCH, STEPS, FEATURES)


def states(count):
    """`count` random initial states, and a ragged mask, whose first steps may be masked."""

    def draw(rng):
        return {
            "initial_state": [rng.standard_normal((BATCH, UNITS)) for _ in range(count)],
            "mask": ragged_mask(BATCH, STEPS),
        }

    return draw


def masked(rng):
    return {"mask": ragged_mask(BATCH, STEPS)}


def trained(rng):
    return {"training": True}


def masked_and_trained(rng):
    return {"mask": ragged_mask(BATCH, STEPS), "training": True}


def pair(name, make, inputs=x, keywords=lambda rng: {}, **options):
    return Pair(name, make, inputs, keywords, **options)


# Keras on JAX puts out the initial state, not zero, where the first steps are masked.
LEADING = ("tensorflow", "torch")
# Keras on Torch overwrites a state that its own gradient needs.
STATEFUL = ("tensorflow", "jax")

LAYERS = [
    ("SimpleRNN", 1, {}),
    ("LSTM", 2, {}),
    ("GRU", 1, {}),
    ("GRU", 1, {"reset_after": False}),
]


def variants(layer, count, setting):
    """Every setting of one of the three recurrent layers."""
    label = layer + ("_before" if setting else "")

    adds = frozenset({"seed"}) if layer == "SimpleRNN" else frozenset()

    def pair(name, make, inputs=x, keywords=lambda rng: {}, **options):
        return Pair(name, make, inputs, keywords, config_adds=adds, **options)

    def make(**options):
        return lambda layers: getattr(layers, layer)(UNITS, **setting, **options)

    sequences = {"return_sequences": True}
    everything = {"return_sequences": True, "return_state": True}
    dropout = {"dropout": 0.4, "seed": 3}
    both = {"dropout": 0.4, "recurrent_dropout": 0.3, "seed": 3}
    yield pair(f"{label}_last", make())
    yield pair(f"{label}_everything", make(**everything))
    yield pair(f"{label}_no_bias", make(use_bias=False, **sequences))
    yield pair(f"{label}_backwards", make(go_backwards=True, **everything), keywords=masked)
    yield pair(f"{label}_unrolled", make(unroll=True, **everything), keywords=masked)
    yield pair(f"{label}_unrolled_last", make(unroll=True, go_backwards=True))
    yield pair(f"{label}_masked_last", make(return_state=True), keywords=masked)
    yield pair(
        f"{label}_initial_state", make(**everything), keywords=states(count), backends=LEADING
    )
    yield pair(f"{label}_initial_last", make(), keywords=states(count), backends=LEADING)
    yield pair(
        f"{label}_zero_output",
        make(zero_output_for_mask=True, **everything),
        keywords=states(count),
    )
    yield pair(f"{label}_stateful", make(stateful=True, **everything), jit=False, backends=STATEFUL)
    yield pair(f"{label}_dropout", make(**dropout, **sequences), keywords=trained, smooth=False)
    yield pair(
        f"{label}_both_dropouts",
        make(**both, **sequences),
        keywords=masked_and_trained,
        smooth=False,
    )
    yield pair(f"{label}_dropout_inference", make(**both, **sequences))
    yield pair(f"{label}_activation", make(activation="softplus", **sequences))
    if layer != "SimpleRNN":
        yield pair(
            f"{label}_per_gate",
            make(implementation=1, recurrent_activation="hard_sigmoid", **sequences),
            smooth=False,
        )


def cell(name, **options):
    return lambda layers: getattr(layers, name)(UNITS, **options)


def cell_inputs(count):
    """(batch, features) and the states, as the cell takes them."""

    def draw(rng):
        states = [rng.standard_normal((BATCH, UNITS)) for _ in range(count)]
        return rng.standard_normal((BATCH, FEATURES)), states

    return draw


CELLS = [
    pair(
        f"{name}{suffix}",
        cell(name, **options),
        cell_inputs(count),
        trained,
        smooth=smooth,
        # Called by itself, Keras's cell keeps a mask of the first batch size it is traced with.
        backends=("tensorflow", "jax", "torch") if smooth else ("tensorflow",),
    )
    for name, count, settings in (
        ("SimpleRNNCell", 1, ({},)),
        ("LSTMCell", 2, ({}, {"unit_forget_bias": False})),
        ("GRUCell", 1, ({}, {"reset_after": False})),
    )
    for options, suffix, smooth in [
        *((setting, "_" + "_".join(setting) if setting else "", True) for setting in settings),
        ({"dropout": 0.4, "recurrent_dropout": 0.3, "seed": 3}, "_dropouts", False),
    ]
]

WRAPPED = [
    *(
        pair(
            f"Bidirectional_{merge_mode}_{layer}",
            lambda layers, merge_mode=merge_mode, layer=layer: layers.Bidirectional(
                getattr(layers, layer)(UNITS, return_sequences=True, return_state=True),
                merge_mode=merge_mode,
            ),
            keywords=masked,
        )
        for merge_mode in ("sum", "mul", "ave", "concat", None)
        for layer in ("GRU", "LSTM")
    ),
    pair(
        "Bidirectional_last_initial_state",
        lambda layers: layers.Bidirectional(layers.LSTM(UNITS)),
        keywords=states(4),
        backends=LEADING,
    ),
    pair(
        "Bidirectional_own_backward_layer",
        lambda layers: layers.Bidirectional(
            layers.GRU(UNITS, return_sequences=True),
            backward_layer=layers.GRU(
                UNITS, return_sequences=True, go_backwards=True, activation="sigmoid"
            ),
        ),
        keywords=masked,
    ),
    pair(
        "Bidirectional_dropout",
        lambda layers: layers.Bidirectional(layers.GRU(UNITS, dropout=0.3, seed=3)),
        keywords=masked_and_trained,
        smooth=False,
    ),
    pair(
        "Bidirectional_stateful",
        lambda layers: layers.Bidirectional(layers.GRU(UNITS, stateful=True)),
        jit=False,
        backends=STATEFUL,
    ),
    pair(
        "RNN_stack",
        lambda layers: layers.RNN(
            [layers.LSTMCell(UNITS), layers.GRUCell(3), layers.SimpleRNNCell(2)],
            return_sequences=True,
            return_state=True,
        ),
        keywords=masked,
        backends=LEADING,
    ),
    pair(
        "RNN_stack_dropout",
        lambda layers: layers.RNN(
            [
                layers.LSTMCell(UNITS, dropout=0.3, seed=3),
                layers.GRUCell(3, dropout=0.3, recurrent_dropout=0.3, seed=4),
            ],
        ),
        keywords=masked_and_trained,
        smooth=False,
        backends=LEADING,
    ),
    pair(
        "RNN_one_cell",
        lambda layers: layers.RNN(layers.GRUCell(UNITS), return_state=True, go_backwards=True),
        keywords=states(1),
        backends=LEADING,
    ),
    pair(
        "RNN_cell_of_another_dtype",
        lambda layers: layers.RNN(
            layers.GRUCell(UNITS, dtype="float32"), return_sequences=True, dtype="float64"
        ),
        jit=False,
        smooth=False,
        second_order=False,  # float32 inside
        tolerance={"float64": 1e-6, "float32": 1e-5},
        backends=("tensorflow",),
    ),
    pair(
        "RNN_regularized_cell",
        lambda layers: layers.RNN(
            layers.GRUCell(UNITS, activity_regularizer="l2"), return_sequences=True, unroll=True
        ),
    ),
    pair(
        "RNN_stack_in_a_stack",
        lambda layers: layers.RNN(
            layers.StackedRNNCells(
                [
                    layers.StackedRNNCells(
                        [
                            layers.GRUCell(3, dropout=0.3, seed=3),
                            layers.LSTMCell(UNITS, recurrent_dropout=0.3, seed=4),
                        ]
                    ),
                    layers.SimpleRNNCell(2),
                ]
            ),
            return_sequences=True,
        ),
        keywords=trained,
        smooth=False,
        backends=LEADING,
    ),
    pair(
        "StackedRNNCells",
        lambda layers: layers.StackedRNNCells([layers.LSTMCell(UNITS), layers.GRUCell(UNITS)]),
        lambda rng: (
            rng.standard_normal((BATCH, FEATURES)),
            [[rng.standard_normal((BATCH, UNITS)) for _ in range(n)] for n in (2, 1)],
        ),
    ),
]

REGULARIZED = [
    pair(
        "LSTM_regularized",
        lambda layers: layers.LSTM(
            UNITS,
            kernel_regularizer="l2",
            recurrent_regularizer="l1",
            bias_regularizer="l2",
            activity_regularizer="l2",
            kernel_constraint="max_norm",
            recurrent_constraint="non_neg",
            bias_constraint="unit_norm",
        ),
    ),
]

PAIRS = [
    *(p for layer, count, setting in LAYERS for p in variants(layer, count, setting)),
    *CELLS,
    *WRAPPED,
    *REGULARIZED,
]

assert np.all(ragged_mask(BATCH, STEPS).sum(axis=1) >= 3)
