"""Examples in docstrings run, and the promises that docstrings share are there."""

import doctest
import importlib
import inspect
import pathlib

import keras
import keras_hub
import pytest

import custom_layers

PACKAGE = pathlib.Path(custom_layers.__file__).parent
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    for path in PACKAGE.rglob("*.py")
    if ">>>" in path.read_text(encoding="utf-8")
)
TWINS = [
    value
    for value in vars(custom_layers).values()
    if isinstance(value, type) and value.__module__.startswith("custom_layers.")
]


# What we add to Keras's arguments, by keyword alone.
OURS = {"fused", "gradient", "truncate_every"}

# Containers and plumbing, which no paper describes.
NO_SOURCE = {"RNN", "TimeDistributed", "Masking", "Dense", "Embedding", "Dropout"}


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="run on TensorFlow")
@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    outcome = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert outcome.attempted > 0
    assert outcome.failed == 0


@pytest.mark.parametrize("twin", TWINS, ids=lambda twin: twin.__name__)
def test_a_twin_says_its_source_and_where_it_differs(twin):
    """In the class, or in the file of the cell and the layer together."""
    text = (twin.__doc__ or "") + (inspect.getmodule(twin).__doc__ or "")
    assert "Differs from keras" in text or "Differs from the" in text
    assert "Source:" in text or twin.__name__ in NO_SOURCE


@pytest.mark.parametrize("twin", TWINS, ids=lambda twin: twin.__name__)
def test_constructors_have_keras_s_arguments_in_keras_s_order(twin):
    name = next(name for name, value in vars(custom_layers).items() if value is twin)
    builtin = getattr(keras.layers, name, None) or getattr(keras_hub.layers, name, None)
    if builtin is None:
        pytest.skip("neither Keras nor KerasHub has such a layer")

    def arguments(layer):
        parameters = inspect.signature(layer.__init__).parameters.values()
        return [
            (p.name, p.default)
            for p in parameters
            if p.kind is not p.VAR_KEYWORD and not (p.kind is p.KEYWORD_ONLY and p.name in OURS)
        ]

    assert arguments(twin) == arguments(builtin)
