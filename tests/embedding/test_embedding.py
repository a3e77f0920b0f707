"""What Embedding refuses and accepts."""

import keras
import numpy as np
import pytest
from keras import ops

from custom_layers.embedding.embedding import Embedding


@pytest.mark.parametrize("name", ["input_dim", "output_dim"])
@pytest.mark.parametrize("size", [0, -1, 2.0, None, True])
def test_sizes_must_be_positive_integers(name, size):
    sizes = {"input_dim": 4, "output_dim": 3, name: size}
    with pytest.raises(ValueError, match=rf"embedding: `{name}` must be a positive integer"):
        Embedding(**sizes)


def test_numpys_integers_count_and_are_saved_as_ints():
    config = Embedding(np.int64(5), np.int32(2)).get_config()
    assert (config["input_dim"], config["output_dim"]) == (5, 2)
    assert type(config["input_dim"]) is int


def test_the_mask_reaches_the_next_layer():
    class Seen(keras.layers.Layer):
        def call(self, inputs, mask=None):
            self.seen = mask
            return inputs

    seen = Seen()
    seen(Embedding(5, 2, mask_zero=True)(np.array([[1, 0, 2], [0, 3, 0]])))
    np.testing.assert_array_equal(
        ops.convert_to_numpy(seen.seen), [[True, False, True], [False, True, False]]
    )


def test_weights_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"\(5, 2\).*\(4, 2\)"):
        Embedding(5, 2, weights=np.zeros((4, 2)))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="no strings elsewhere")
def test_strings_are_sent_to_a_vocabulary():
    with pytest.raises(TypeError, match=r"embedding: `inputs` must be integer ids.*StringLookup"):
        Embedding(5, 2)(ops.convert_to_tensor(np.array([["hola"]])))


@pytest.mark.parametrize(
    "act",
    [
        lambda: Embedding(3, 2, lora_rank=1),
        lambda: built().enable_lora(1),
        lambda: built().quantize("int8"),
        lambda: built(dtype="int8_from_float32"),
    ],
)
def test_lora_and_quantization_point_to_keras(act):
    with pytest.raises(NotImplementedError, match=r"embedding: .*keras\.layers\.Embedding"):
        act()


def built(**config):
    layer = Embedding(3, 2, **config)
    layer.build()
    return layer
