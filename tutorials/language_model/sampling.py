"""Writing with the model: one character a step, the states handed on, the whole loop one graph.

h_t, p_t = step(x_t, h_{t-1});   x_{t+1} ~ p_t tempered and cut: `custom_layers.decoding.sample`
"""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from custom_layers.data import CharacterVocabulary
from custom_layers.decoding import sample
from tutorials.language_model.model import recurrent_layers

NO_END = -1  # a stream of characters has none: no character has this number


def step_function(model: keras.Model) -> Any:
    """(characters (rows,), states) -> (logits (rows, vocabulary), states), for any number of rows.

    It runs the model's own cells, of Keras or of ours; what a stateful layer has kept is left alone.
    """
    embedding, logits = model.get_layer("embedding"), model.get_layer("logits")
    cells = [layer.cell for layer in recurrent_layers(model)]

    def step(characters: Any, states: Any) -> tuple[Any, Any]:
        x, after = embedding(characters), []
        for cell, state in zip(cells, states, strict=True):
            x, state = cell(x, state)
            after.append(list(state))
        return logits(x), after

    return step


def first_states(model: keras.Model, rows: int) -> list[list[Any]]:
    """Zeros for each state of each recurrent layer."""
    return [
        [tf.zeros((rows, size)) for size in keras.tree.flatten(layer.cell.state_size)]
        for layer in recurrent_layers(model)
    ]


def logits_by_steps(model: keras.Model, characters: np.ndarray) -> np.ndarray:
    """What the steps guess one by one from zero states: (rows, steps) to (rows, steps, vocabulary)."""
    step, states, guesses = step_function(model), first_states(model, len(characters)), []
    for x in characters.T:
        logits, states = step(x, states)
        guesses.append(keras.ops.convert_to_numpy(logits))
    return np.stack(guesses, axis=1)


class Writer:
    """Writes text with a model; temperature and seed may change without a new graph.

    Args:
        model: built; its weights are read when it writes.
        vocabulary: of the characters.
        top_p: nucleus: draw from the fewest most probable characters of this probability together.
    """

    def __init__(
        self, model: keras.Model, vocabulary: CharacterVocabulary, top_p: float | None = None
    ) -> None:
        self.model = model
        self.vocabulary = vocabulary
        self.top_p = top_p
        self.step = step_function(model)
        self._write = tf.function(self._written, autograph=False)

    def write(
        self, prompt: str, characters: int, temperature: float, seed: int = 0, rows: int = 1
    ) -> list[str]:
        """`rows` texts that go on from the prompt, without it.

        Args:
            prompt: at least one character.
            characters: int >= 1, the length of each text.
            temperature: greater than 0; 1 draws from the model's own distribution.
            seed: the same seed writes the same texts.
        """
        given = np.tile(self.vocabulary.encode(prompt), (rows, 1))
        numbers = self._write(
            tf.constant(given), tf.constant(characters), tf.constant(temperature), tf.constant(seed)
        )
        return [self.vocabulary.decode(row) for row in numbers.numpy()]

    def _written(self, prompt: Any, characters: Any, temperature: Any, seed: Any) -> Any:
        states = first_states(self.model, prompt.shape[0])
        for t in range(prompt.shape[1] - 1):  # short: written out
            _, states = self.step(prompt[:, t], states)
        # `sample` begins with one number for all rows: the prompt is the same in each.
        return sample(
            self.step,
            states,
            start=prompt[0, -1],
            end=NO_END,
            max_steps=characters,
            temperature=temperature,
            top_p=self.top_p,
            seed=seed,
        ).tokens


def share_of_known_words(texts: list[str], known: set[str]) -> float:
    """Of the words in the texts, the share that the training text has as well; 0 without words."""
    words = [word for text in texts for word in words_of(text)[:-1]]  # the last may be cut short
    return sum(word in known for word in words) / len(words) if words else 0.0


def words_of(text: str) -> list[str]:
    """Its runs of letters and apostrophes, in small letters."""
    letters = "".join(c if c.isalpha() or c == "'" else " " for c in text.lower())
    return letters.split()
