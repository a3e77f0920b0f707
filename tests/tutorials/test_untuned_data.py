"""Iterators that are not tuned read what the others read."""

import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("tf.data", allow_module_level=True)

import tensorflow as tf

from tutorials.untuned_data import tune_no_iterators


def of_iterator(iterator):
    return iterator._dataset.options()


@pytest.fixture
def tuned(monkeypatch):
    """As TensorFlow has it: the tests' own settings tune nothing."""
    own = tf.data.Dataset.__iter__
    monkeypatch.setattr(tf.data.Dataset, "__iter__", own.__closure__[0].cell_contents)


@pytest.mark.usefixtures("tuned")
def test_iterators_are_not_tuned_and_keep_their_other_options():
    options = tf.data.Options()
    options.threading.private_threadpool_size = 3
    data = tf.data.Dataset.range(7).batch(2).with_options(options)
    before = [batch.tolist() for batch in data.as_numpy_iterator()]
    assert of_iterator(iter(data)).autotune.enabled is not False
    tune_no_iterators()
    once = tf.data.Dataset.__iter__
    tune_no_iterators()
    assert tf.data.Dataset.__iter__ is once
    iterator = iter(data)
    assert of_iterator(iterator).autotune.enabled is False
    assert of_iterator(iterator).threading.private_threadpool_size == 3
    assert [batch.numpy().tolist() for batch in iterator] == before == [[0, 1], [2, 3], [4, 5], [6]]


def test_fit_reads_the_untuned(monkeypatch):
    seen = []
    own = tf.data.Dataset.__iter__

    def noted(dataset):
        seen.append(own(dataset))
        return seen[-1]

    monkeypatch.setattr(tf.data.Dataset, "__iter__", noted)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=False)
    model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)
    assert seen
    assert all(of_iterator(iterator).autotune.enabled is False for iterator in seen)
