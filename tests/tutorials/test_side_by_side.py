"""Two columns of layers, trained alike: what the pages' comparisons rest on."""

import numpy as np
import pytest

import custom_layers
from tutorials import side_by_side
from tutorials.seq2seq import model, tasks


def test_both_namespaces_are_trained_alike():
    x, y = tasks.running_maxima(96, steps=4, seed=0)
    pair = side_by_side.train_both(model.tagger, x, y, batch_size=32, epochs=2)
    assert pair.losses.shape == (2, 6)
    assert pair.apart(6) < 1e-5
    assert pair.custom.get_layer("gru").__module__.startswith("custom_layers.")
    other = side_by_side.Pair(None, np.array([[1.0, 4.0, 1.0], [1.0, 4.4, 9.0]]))
    assert other.apart(2) == pytest.approx(0.1)


def test_the_loss_of_a_batch_is_that_of_the_batch_alone():
    x, y = tasks.running_maxima(64, steps=4, seed=0)
    seen = side_by_side.BatchLosses()
    net = model.tagger(custom_layers)
    net.optimizer.learning_rate = 0.0
    net.fit(x, y, batch_size=32, shuffle=False, verbose=0, callbacks=[seen])
    alone = [net.evaluate(x[rows], y[rows], verbose=0) for rows in (slice(32), slice(32, 64))]
    np.testing.assert_allclose(seen.losses, alone, rtol=1e-6)
