"""What a single unit of the state follows: found by correlation, and reported on a text of its own.

After Karpathy et al. 2015, arXiv:1506.02078, section 4.2, who found such cells by eye. Among hundreds of
units some will correlate with anything. So a unit is chosen on one text and its correlation told on
another, beside that of the best unit of a model that has learnt nothing.
"""

from typing import NamedTuple

import keras
import numpy as np

from custom_layers.data import TextStreams
from custom_layers.training import reset_states
from tutorials.language_model.model import recurrent_layers


class Part(NamedTuple):
    """A part of a corpus: its text, and the same as numbers, (characters,)."""

    text: str
    numbers: np.ndarray


class Unit(NamedTuple):
    """A unit of the lowest recurrent layer that goes with a feature.

    number: of the unit. chosen, told: its correlation on the text that it was chosen by, and on another.
    values: its state after each character of that other text, as far as the first row reads, (places,).
    """

    number: int
    chosen: float
    told: float
    values: np.ndarray


def search(model: keras.Model, choose: Part, tell: Part) -> dict[str, Unit]:
    """For each feature the unit that goes with it best on one text, and what it does on another.

    Args:
        model: stateful; its batch is the number of rows that read a text.
    """
    rows = model.inputs[0].shape[0]
    here, there = (states_of(model, part.numbers) for part in (choose, tell))
    features = [
        {
            name: values[places_of(len(part.text), rows)]
            for name, values in features_of(part.text).items()
        }
        for part in (choose, tell)
    ]
    found = {}
    for name in features[0]:
        chosen = correlations(here, features[0][name])
        number = int(np.abs(chosen).argmax())
        told = correlations(there[..., number : number + 1], features[1][name])[0]
        found[name] = Unit(number, float(chosen[number]), float(told), there[0, :, number])
    return found


def features_of(text: str) -> dict[str, np.ndarray]:
    """Numbers (characters,) by name: what a reader knows once each character is read."""
    in_line, in_word, name, lines = [], [], [], []
    column = letters = line = 0
    is_name = True  # a speech opens with its speaker, up to the colon
    for before, character in zip("\n" + text, text, strict=False):
        if character == "\n":
            line, is_name = (0, True) if before == "\n" else (line + 1, False)
            column = 0
        else:
            column += 1
        in_name = is_name and character != "\n"
        if character == ":":
            is_name = False
        letters = letters + 1 if character.isalpha() or character == "'" else 0
        in_line.append(column)
        in_word.append(letters)
        name.append(in_name)
        lines.append(line)
    return {
        "characters since the line began": np.array(in_line, np.float64),
        "letters since the word began": np.array(in_word, np.float64),
        "within the speaker's name": np.array(name, np.float64),
        "lines since the speaker's name": np.array(lines, np.float64),
    }


def states_of(model: keras.Model, numbers: np.ndarray, steps: int = 100) -> np.ndarray:
    """The states h of the lowest recurrent layer along the streams of a text, (rows, places, units).

    Args:
        model: stateful; its batch is the number of rows, which `places_of` cuts likewise.
    """
    streams = TextStreams(numbers, model.inputs[0].shape[0], steps)
    lowest = keras.Model(model.inputs, recurrent_layers(model)[0].output)
    reset_states(model)
    windows = [lowest.predict_on_batch(streams.window(n)[0]) for n in range(streams.windows)]
    reset_states(model)
    return np.concatenate(windows, axis=1)


def places_of(characters: int, rows: int, steps: int = 100) -> np.ndarray:
    """Where in the text these states stand: (rows, places), the number of the character read."""
    streams = TextStreams(np.arange(characters), rows, steps)
    return np.concatenate([streams.window(n)[0] for n in range(streams.windows)], axis=1)


def correlations(states: np.ndarray, feature: np.ndarray) -> np.ndarray:
    """Pearson's, of each unit with a feature: (..., units), (...) to (units,); 0 for a still unit."""
    h = states.reshape(-1, states.shape[-1])
    h = h - h.mean(axis=0)
    f = np.ravel(feature) - np.mean(feature)
    scale = np.sqrt((h**2).sum(axis=0) * (f**2).sum())
    return np.divide(f @ h, scale, out=np.zeros(h.shape[-1]), where=scale > 0)
