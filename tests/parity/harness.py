"""A pair of layers, Keras's and ours, that must not be told apart."""

import contextlib
import dataclasses
import importlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np

import custom_layers
from tests.parity.differentiate import BACKEND

Arrays = tuple[np.ndarray, ...]
RELATIVE = {"float64": 1e-12, "float32": 1e-5}
POSITIVE = {"moving_variance", "moving_stddev", "renorm_stddev"}  # weights that have a square root
MOVED_BY_A_CALL = {*POSITIVE, "moving_mean", "renorm_mean"}  # in training


def nothing(rng: np.random.Generator) -> dict[str, Any]:
    return {}


@dataclasses.dataclass(frozen=True)
class Pair:
    """One layer in one setting.

    Attributes:
        name: what the test is called.
        make: builds the layer from a namespace, that of its peers or `custom_layers`. Dropout needs a
            `seed`, since the two layers are made one after the other.
        inputs: draws the positional arguments of `call`. Floating arrays are cast to the dtype under
            test and differentiated, integers and booleans are passed as they are. At least three
            sequences of at least five steps, so that states and masks matter.
        keywords: draws the keyword arguments of `call` (`mask`, `initial_state`, `training`, ...).
        tolerance: largest difference, relative to the largest entry over all gradients (and outputs).
        smooth: False where central differences do not apply (dropout, a kink such as ReLU's).
        jit: False where Keras's own layer cannot be compiled with XLA.
        second_order: False where the built-in has no second derivative to compare with.
        symbolic: False where the built-in's symbolic call fails, or forgets an output.
        backends: where the setting exists.
        config_adds: entries of our configuration that Keras's lacks.
        peers: module of the built-in layer: Keras's, or KerasHub's.
    """

    name: str
    make: Callable[[Any], keras.Layer]
    inputs: Callable[[np.random.Generator], Arrays]
    keywords: Callable[[np.random.Generator], Mapping[str, Any]] = nothing
    tolerance: Mapping[str, float] = dataclasses.field(default_factory=lambda: RELATIVE)
    smooth: bool = True
    jit: bool = True
    second_order: bool = True
    symbolic: bool = True
    backends: tuple[str, ...] = ("tensorflow", "jax", "torch")
    config_adds: frozenset[str] = frozenset()
    peers: str = "keras.layers"

    @property
    def builtins(self) -> Any:
        """What `make` builds the peer from; loaded when asked for, since KerasHub takes seconds."""
        return importlib.import_module(self.peers)


@contextlib.contextmanager
def precision(policy: str) -> Iterator[None]:
    """Layers made inside have this dtype policy; a plain dtype is Keras's float type too."""
    floatx, before = keras.config.floatx(), keras.config.dtype_policy()
    if policy in ("float16", "float32", "float64"):
        keras.config.set_floatx(policy)
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(before)


def draw_call(pair: Pair, dtype: str, seed: int) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of one call: the same for the same seed."""
    rng = np.random.default_rng(seed)

    def cast(leaf: Any) -> Any:
        is_float = isinstance(leaf, np.ndarray) and np.issubdtype(leaf.dtype, np.floating)
        return leaf.astype(dtype) if is_float else leaf

    return keras.tree.map_structure(cast, (list(pair.inputs(rng)), dict(pair.keywords(rng))))


def build(pair: Pair, layers: Any, dtype: str, seed: int) -> keras.Layer:
    """One layer of the pair, built, with random weights (not the initializer's)."""
    keras.utils.clear_session(free_memory=False)  # the same automatic names for both
    keras.utils.set_random_seed(seed)
    layer = pair.make(layers)
    args, kwargs = draw_call(pair, dtype, seed)
    layer(*args, **{**kwargs, "training": False} if "training" in kwargs else kwargs)
    rng = np.random.default_rng(seed + 1)
    for weight in layer.weights:
        if keras.backend.is_float_dtype(weight.dtype):
            value = 0.5 * rng.standard_normal(weight.shape)
            weight.assign(0.5 + np.abs(value) if weight.name in POSITIVE else value)
    if getattr(layer, "stateful", False):
        layer.reset_state()
    return layer


def build_with_same_random_weights(
    pair: Pair, dtype: str, seed: int = 7
) -> tuple[keras.Layer, keras.Layer]:
    """Ours and Keras's, from the same seed, called equally often."""
    return build(pair, custom_layers, dtype, seed), build(pair, pair.builtins, dtype, seed)


def assert_close(own: Mapping[str, np.ndarray], builtin: Mapping[str, np.ndarray], relative: float):
    """Compare by name; the scale is the largest entry of each kind (output, gradient, second)."""
    assert own.keys() == builtin.keys()
    for kind in {name.split("/")[0] for name in own}:
        names = [name for name in own if name.startswith(kind)]
        for name in names:
            assert own[name].shape == builtin[name].shape, name
            assert own[name].dtype == builtin[name].dtype, name
        scale = max(np.max(np.abs(_wide(builtin[name])), initial=0.0) for name in names)
        for name in names:
            difference = np.max(np.abs(_wide(own[name]) - _wide(builtin[name])), initial=0.0)
            assert difference <= relative * scale, (
                f"{name} differs by {difference:.3g}, allowed {relative:.0e} of {scale:.3g}"
            )


def _wide(array: np.ndarray) -> np.ndarray:
    wide = np.asarray(array, dtype="float64")
    assert np.all(np.isfinite(wide)), "NaN or infinity: nothing can be compared with it"
    return wide


def runs_here(pair: Pair) -> bool:
    return BACKEND in pair.backends


# Data that can fail: several steps, ragged masks with padding left, right and between.


def normal(*shape: int) -> Callable[[np.random.Generator], Arrays]:
    return lambda rng: (rng.standard_normal(shape),)


def ragged_mask(batch: int, steps: int) -> np.ndarray:
    """Bool (batch, steps): right padding, then left padding, then a hole, then nothing masked."""
    mask = np.ones((batch, steps), dtype=bool)
    mask[0, -2:] = False
    if batch > 1:
        mask[1, :2] = False
    if batch > 2:
        mask[2, 1:3] = False
    return mask
