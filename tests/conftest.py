"""Settings that every test needs before Keras is imported."""

import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# A test compiles once what it runs once: on JAX, optimizing took a third of the time and more.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
# What several tests run is compiled by one of them, in whichever worker, and the next day by none.
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", str(pathlib.Path(__file__).parents[1] / ".pytest_cache" / "jax")
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
os.environ.setdefault("MPLBACKEND", "Agg")

import gc

import keras
import pytest

# A graph in the making is a million small objects: collecting at the usual thresholds, most of a full
# collection finds nothing and costs seconds. Tests of what is let go collect by themselves.
gc.set_threshold(20_000, 20, 10)

if keras.backend.backend() == "tensorflow":
    from tensorflow.python import pywrap_tfe

    from tutorials.untuned_data import tune_no_iterators

    tune_no_iterators()
    # clear_session and set_random_seed also forget the kernels of every operation, so that stateful
    # random operations begin anew. Keras's are stateless, and making all the others once more, test by
    # test, was a third of the time.
    pywrap_tfe.TFE_ContextClearCaches = lambda context: None


@pytest.fixture(autouse=True)
def fresh_keras_state():
    """No test sees another's layer names, dtype policy or seeds."""
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(1)
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
