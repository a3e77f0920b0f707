r"""A decoder that is fed with tokens: the target's, its own, or now the one and now the other.

    h_t = rnn(E[f_t], h_{t-1})                (1) f_t: the token that is fed in at step t; f_1 = start
    l_t = readout(h_t)                        (2) logits of the token that comes out
    o_t = argmax l_t                          (3) the decoder's own token, "greedy", or
    o_t = #{k: F_k <= v_t}                    (4) a draw, "categorical": F_k = sum_{j<=k} softmax(l_t)_j
    f_{t+1} = y_t                             (5) teacher forcing, y the target
    f_{t+1} = o_t                             (6) running free
    f_{t+1} = o_t where u_t < p, else y_t     (7) scheduled sampling with probability p

E is a table of vectors; u_t and v_t are uniform in [0, 1), drawn for each token. A token that has been
chosen has no gradient (so too in the paper). So there are two passes: the first one runs step by step,
without a gradient, and finds f; the second computes (1) and (2) for all steps at once, as a model does
that knows nothing but (5), and its gradient is the whole gradient. Where f is known there is no first
pass, and (5) costs what it costs without this layer.

Source: (5) Williams and Zipser 1989, Neural Computation 1(2), section 2.3; (7) Bengio et al. 2015,
arXiv:1506.03099, section 2.4, where epsilon is our 1 - p.
"""

from typing import Any

import keras
from keras import ops

from custom_layers.core.protocols import Shape, Tensor, accepts
from custom_layers.core.shape_check import require, require_shape
from custom_layers.core.taps import silence
from custom_layers.recurrent.time_loop import time_loop

SAMPLING = ("categorical", "greedy")


def draw_tokens(logits: Tensor, v: Tensor) -> Tensor:
    """Equation (4): int32 (batch,), from logits (batch, vocabulary) and uniform v (batch,)."""
    distribution = ops.cumsum(ops.softmax(ops.cast(logits, "float32"), axis=-1), axis=-1)
    below = ops.cast(distribution <= ops.expand_dims(v, axis=-1), "int32")
    return ops.minimum(
        ops.sum(below, axis=-1), logits.shape[-1] - 1
    )  # F may end below 1 by rounding


def most_probable_tokens(logits: Tensor) -> Tensor:
    """Equation (3): int32 (batch,), from logits (batch, vocabulary)."""
    return ops.cast(ops.argmax(logits, axis=-1), "int32")


def shifted(targets: Tensor, start_token: int) -> Tensor:
    """Equation (5) for all steps: y_1 ... y_T to start, y_1 ... y_{T-1}, (batch, steps)."""
    start = ops.full_like(targets[:, :1], start_token)
    return ops.concatenate([start, targets[:, :-1]], axis=1)


@keras.saving.register_keras_serializable(package="custom_layers")
class RNNDecoder(keras.layers.Layer):
    """Put out the logits of a sequence of tokens, each from those before it.

        decoder = RNNDecoder(Embedding(30, 8), GRU(32, return_sequences=True), Dense(30), start_token=1)
        decoder(targets, initial_state=[state])             teacher forcing
        decoder(initial_state=[state], steps=10)            free running

    Args:
        embedding: layer, tokens (..., steps) to vectors (..., steps, features). It does not mask.
        rnn: recurrent layer with a cell, Keras's or ours, with `return_sequences=True`.
        readout: layer, outputs of `rnn` (batch, steps, units) to logits (batch, steps, vocabulary).
            Where the decoder is called with an `encoder_sequence`, it is handed on to this layer as its
            second argument, and its mask, if there is one, as the third: so a readout can attend.
        start_token: the token that is fed in at the first step.
        sampling_probability: p of (7) at the beginning, in [0, 1]. None: teacher forcing alone. With a
            number, also 0, the layer has a variable `probability`, which can be assigned to in training
            (`custom_layers.training.ScheduledSampling` does), and each training step has both passes.
        sampling: what the own tokens are in training, "categorical" (4) or "greedy" (3).
        seed: of the draws.

    Call arguments:
        targets: tokens (batch, steps), or None to run free. They are the labels themselves: the layer
            puts the start token before them and leaves out the last.
        initial_state: list with the first states of `rnn`; default zeros.
        encoder_sequence: (batch, encoder_steps, features), for the readout.
        steps: how many tokens to put out where there are no targets.
        training: with targets, whether (7) or (5); without, whether the own tokens are chosen by
            `sampling` or greedily.
        encoder_sequence_mask: bool (batch, encoder_steps), True = keep; found on the tensor by Keras.

    Returns:
        Logits (batch, steps, vocabulary), with the mask of `targets` if these have one. The tokens of a
        free run are their largest entries. What follows an end token means nothing.

    Weights: those of the three layers; then `probability` (), if there is one, which is not trained.

    Raises:
        ValueError: `rnn` has no cell or does not return sequences, or returns states, goes backwards or
            is stateful; `embedding` masks; `sampling_probability` outside [0, 1]; another `sampling`;
            neither targets nor steps, or both; targets that are no (batch, steps); an initial state
            that does not fit; nothing to take the batch size from.

    In the first pass nothing is dropped: the tokens are those that the decoder would choose in use. A
    recorder does not hear it, and shows the second, gates and states of `rnn` as well. Decoding that
    ends with the last sentence, beams and temperatures are in `custom_layers.decoding`.

    Source: equations (1) to (7) of the module.
    Differs from keras.layers.RNN, which can be fed with what is known beforehand alone.
    """

    def __init__(
        self,
        embedding: Any,
        rnn: Any,
        readout: Any,
        start_token: int,
        sampling_probability: float | None = None,
        sampling: str = "categorical",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._check_layers(embedding, rnn)
        require(
            sampling_probability is None or 0 <= sampling_probability <= 1,
            self.name,
            "`sampling_probability` must be in [0, 1], or None",
            f"sampling_probability={sampling_probability!r}",
            "It is the share of tokens that the decoder takes from itself; None is teacher forcing.",
        )
        require(
            sampling in SAMPLING,
            self.name,
            f"`sampling` must be one of {SAMPLING}",
            f"sampling={sampling!r}",
            "The default is 'categorical'.",
        )
        self.embedding = embedding
        self.rnn = rnn
        self.readout = readout
        self.start_token = int(start_token)
        self.sampling_probability = sampling_probability
        self.sampling = sampling
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed=seed)
        self.supports_masking = True
        self.probability: Any = None

    def _check_layers(self, embedding: Any, rnn: Any) -> None:
        wanted = {
            "return_sequences": True,
            "return_state": False,
            "go_backwards": False,
            "stateful": False,
        }
        has_cell = hasattr(rnn, "cell")
        require(
            has_cell and all(getattr(rnn, name, value) is value for name, value in wanted.items()),
            self.name,
            "`rnn` must be a recurrent layer with a cell, return_sequences=True, and neither "
            "return_state, go_backwards nor stateful",
            f"rnn={rnn!r}" + "".join(f", {n}={getattr(rnn, n, None)}" for n in wanted if has_cell),
            "Pass a layer such as GRU(32, return_sequences=True).",
        )
        require(
            not getattr(embedding, "mask_zero", False),
            self.name,
            "`embedding` must not mask: padding comes last, and no step before reads it",
            "mask_zero=True",
            "Use mask_zero=False, and leave padding out of the loss.",
        )

    def build(
        self,
        targets_shape: Shape | None = None,
        initial_state_shape: Any = None,
        encoder_sequence_shape: Shape | None = None,
    ) -> None:
        # The three layers are built outside of the loop, whatever they need for it.
        tokens = keras.KerasTensor((None, 1), dtype="int32")
        memory: list[Any] = []
        if encoder_sequence_shape is not None:
            memory = [keras.KerasTensor((None, *encoder_sequence_shape[1:]), self.compute_dtype)]
        logits = self.readout(self.rnn(self.embedding(tokens)), *memory)
        self._vocabulary, self._logits_dtype = logits.shape[-1], logits.dtype
        if self.sampling_probability is not None:
            self.probability = self.add_weight(
                name="probability",
                shape=(),
                initializer=keras.initializers.Constant(self.sampling_probability),
                trainable=False,
            )
        self.built = True

    def compute_output_spec(
        self,
        targets: Any = None,
        initial_state: Any = None,
        encoder_sequence: Any = None,
        steps: int | None = None,
        training: bool = False,
        encoder_sequence_mask: Any = None,
    ) -> keras.KerasTensor:
        """Shape and type of the logits, without a run of the loop."""
        self._check_call(targets, steps)
        batch = self._batch_of(targets, initial_state, encoder_sequence)
        length = steps if targets is None else targets.shape[1]
        return keras.KerasTensor((batch, length, self._vocabulary), dtype=self._logits_dtype)

    # -- computation -----------------------------------------------------------------------------

    def call(
        self,
        targets: Tensor | None = None,
        initial_state: Any = None,
        encoder_sequence: Tensor | None = None,
        steps: int | None = None,
        training: bool = False,
        encoder_sequence_mask: Tensor | None = None,
    ) -> Tensor:
        targets = None if targets is None else ops.cast(targets, "int32")
        self._check_call(targets, steps)
        memory = [m for m in (encoder_sequence, encoder_sequence_mask) if m is not None]
        batch = self._batch_of(targets, initial_state, encoder_sequence)
        states = self._states_before(batch, initial_state)
        if targets is not None and (not training or self.probability is None):
            tokens = shifted(targets, self.start_token)
        else:
            with silence():
                tokens = self.tokens_fed(targets, states, memory, batch, steps, bool(training))
        outputs = self.rnn(self.embedding(tokens), initial_state=states, training=training)  # (1)
        return self.readout(outputs, *memory)  # (2)

    def tokens_fed(
        self,
        targets: Tensor | None,
        states: list[Any],
        memory: list[Tensor],
        batch: Any,
        steps: Any,
        training: bool,
    ) -> Tensor:
        """The first pass: f by (6), or with targets by (7); int32 (batch, steps)."""
        shape = (steps, batch) if targets is None else ops.shape(targets)[::-1]
        inputs: dict[str, Tensor] = {"step": ops.arange(shape[0])}
        draws = training and self.sampling == "categorical"
        if draws:
            inputs["v"] = keras.random.uniform(shape, dtype="float32", seed=self.seed_generator)
        if targets is not None:
            inputs["target"] = ops.transpose(targets, (1, 0))
            u = keras.random.uniform(shape, dtype="float32", seed=self.seed_generator)
            inputs["is_own"] = u < ops.cast(self.probability, "float32")
        cell = self.rnn.cell
        run = cell if callable(cell) else cell.call
        options = {"training": False} if accepts(cell.call, "training") else {}

        def step(carry: Any, x: dict[str, Tensor]) -> tuple[Any, Tensor]:
            token, before = carry
            h, after = run(self.embedding(token), before, **options)  # (1)
            logits = self.readout(ops.expand_dims(h, axis=1), *memory)[:, 0]  # (2)
            own = draw_tokens(logits, x["v"]) if draws else most_probable_tokens(logits)
            following = ops.where(x["is_own"], own, x["target"]) if "target" in x else own
            return (
                following,
                keras.tree.pack_sequence_as(before, keras.tree.flatten(after)),
            ), token

        start = ops.full((batch,), self.start_token, dtype="int32")
        _, tokens = time_loop(step, (start, states), inputs)
        return ops.transpose(tokens, (1, 0))

    def _batch_of(self, targets: Any, initial_state: Any, encoder_sequence: Any) -> Any:
        given = keras.tree.flatten([targets, initial_state, encoder_sequence])
        given = [tensor for tensor in given if tensor is not None]
        require(
            len(given) > 0,
            self.name,
            "the size of the batch must be known from targets, states or an encoder's sequence",
            "initial_state=None, encoder_sequence=None",
            "Pass initial_state=decoder.rnn.get_initial_state(batch_size).",
        )
        return ops.shape(given[0])[0]

    def _states_before(self, batch: Any, initial_state: Any) -> list[Any]:
        zeros = self.rnn.get_initial_state(batch)
        if initial_state is None:
            return zeros
        given, wanted = keras.tree.flatten(initial_state), keras.tree.flatten(zeros)
        require(
            len(given) == len(wanted),
            self.name,
            f"`initial_state` must hold {len(wanted)} tensor(s), one for each state of `rnn`",
            f"{len(given)} tensor(s)",
            "Pass what the encoder's return_state=True returned, as a list.",
        )
        for state, zero in zip(given, wanted, strict=True):
            require_shape(
                state,
                (None, zero.shape[-1]),
                owner=self.name,
                name="initial_state",
                layout="(batch, units)",
                way_out="Project the encoder's states with a Dense layer.",
            )
        cast = [ops.cast(s, zero.dtype) for s, zero in zip(given, wanted, strict=True)]
        return keras.tree.pack_sequence_as(zeros, cast)

    def _check_call(self, targets: Tensor | None, steps: Any) -> None:
        require(
            (targets is None) != (steps is None),
            self.name,
            "there must be either `targets` to learn or `steps` to run free",
            f"targets={'None' if targets is None else 'a tensor'}, steps={steps!r}",
            "Call decoder(targets) in training, decoder(initial_state=..., steps=10) in use.",
        )
        if targets is not None:
            require(
                len(targets.shape) == 2,
                self.name,
                "`targets` must be tokens (batch, steps)",
                f"targets.shape={tuple(targets.shape)}",
                "Pass the labels as they are, neither one-hot nor embedded.",
            )

    # -- files -----------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "embedding": keras.saving.serialize_keras_object(self.embedding),
            "rnn": keras.saving.serialize_keras_object(self.rnn),
            "readout": keras.saving.serialize_keras_object(self.readout),
            "start_token": self.start_token,
            "sampling_probability": self.sampling_probability,
            "sampling": self.sampling,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "RNNDecoder":
        layers = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects=custom_objects)
            for name in ("embedding", "rnn", "readout")
        }
        return cls(**{**config, **layers})
