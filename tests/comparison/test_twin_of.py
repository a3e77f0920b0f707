"""A model rebuilt from our layers: same outputs, same dropout, same graph, same settings."""

import keras
import numpy as np
import pytest
from keras import layers

import custom_layers
from custom_layers.comparison import builtin_of, explain_twin, twin_of


def normal(*shape, seed=3):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def randomized(model, seed=5):
    """The model with random weights everywhere: zeros and ones would hide exchanged weights."""
    random = np.random.default_rng(seed)
    model.set_weights([random.normal(scale=0.5, size=w.shape) for w in model.get_weights()])
    return model


def sequential():
    return keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),
            layers.Embedding(11, 6, mask_zero=True),
            layers.LSTM(5, return_sequences=True, dropout=0.3, recurrent_dropout=0.2),
            layers.Dropout(0.4),
            layers.LayerNormalization(),
            layers.Dense(3, activation="tanh"),
        ]
    )


def bidirectional():
    inner = layers.LSTM(4, return_sequences=True, dropout=0.2)
    return keras.Sequential([keras.Input((6, 3)), layers.Bidirectional(inner, merge_mode="sum")])


def stacked_cells():
    cells = [layers.GRUCell(4), layers.LSTMCell(5, dropout=0.3), layers.SimpleRNNCell(3)]
    return keras.Sequential([keras.Input((6, 3)), layers.RNN(cells, return_sequences=True)])


def time_distributed():
    inner = keras.Sequential([keras.Input((3,)), layers.Dense(4), layers.Dropout(0.5)])
    return keras.Sequential([keras.Input((6, 3)), layers.TimeDistributed(inner)])


def shared_layer():
    a, b = keras.Input((6, 3), name="a"), keras.Input((4, 3), name="b")
    encoder = layers.GRU(5, dropout=0.25, name="encoder")
    summed = encoder(a) + encoder(b)
    joined = layers.Concatenate()([summed, layers.Dropout(0.5)(encoder(a))])
    return keras.Model({"a": a, "b": b}, [layers.Dense(2)(joined), summed])


def nested():
    shared = layers.Dense(4, name="shared")
    inner_input = keras.Input((6, 3))
    inner = keras.Model(inner_input, layers.GRU(4)(shared(inner_input)), name="inner")
    outer_input = keras.Input((6, 3))
    once, again = inner(outer_input), inner(-outer_input)
    return keras.Model(outer_input, layers.Dense(2)(once * again) + shared(outer_input)[:, 0, :2])


def encoder_decoder():
    """States handed over, masks from an embedding, and attention called by keyword."""
    source = keras.Input((None,), dtype="int32", name="source")
    target = keras.Input((None,), dtype="int32", name="target")
    embed = layers.Embedding(11, 6, mask_zero=True)
    encoded, state = layers.GRU(6, return_sequences=True, return_state=True)(embed(source))
    decoded = layers.GRU(6, return_sequences=True)(embed(target), initial_state=state)
    attention = layers.MultiHeadAttention(2, 3, dropout=0.2)
    context = attention(query=decoded, value=encoded)
    joined = layers.LayerNormalization()(layers.Add()([decoded, context]))
    causal = layers.MultiHeadAttention(1, 4)(joined, joined, use_causal_mask=True)
    return keras.Model([source, target], layers.Dense(11)(causal))


def grouped_queries():
    """A layer whose class bears another name than the one it is offered by."""
    x = keras.Input((6, 4))
    attended = layers.GroupQueryAttention(3, 4, 2, dropout=0.2)(x, x, use_causal_mask=True)
    return keras.Model(x, layers.Dense(2)(layers.Add()([x, attended])))


def inputs_of(model):
    def one(tensor):
        shape = [3, *(6 if size is None else size for size in tensor.shape[1:])]
        if tensor.dtype == "int32":
            return np.random.default_rng(1).integers(0, 11, shape)
        return normal(*shape, seed=len(tensor.name) + shape[1])

    is_sequential = isinstance(model, keras.Sequential)
    return keras.tree.map_structure(one, model.inputs[0] if is_sequential else model.input)


BUILDERS = [
    sequential,
    bidirectional,
    stacked_cells,
    time_distributed,
    shared_layer,
    nested,
    encoder_decoder,
    grouped_queries,
]


def outputs(model, x, training=False):
    return [np.asarray(y) for y in keras.tree.flatten(model(x, training=training))]


@pytest.mark.parametrize("build", BUILDERS, ids=lambda build: build.__name__)
def test_outputs_equal_those_of_the_original_and_dropout_draws_the_same(build):
    model = randomized(build())
    twin = twin_of(model)
    x = inputs_of(model)
    for ours, theirs in zip(outputs(twin, x), outputs(model, x), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)  # measured: 2e-7
    for _ in range(2):  # the second call draws from advanced seed generators
        for ours, theirs in zip(outputs(twin, x, True), outputs(model, x, True), strict=True):
            np.testing.assert_array_equal(ours == 0, theirs == 0)
            np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert len(twin.weights) == len(model.weights)
    assert not {id(w) for w in twin.weights} & {id(w) for w in model.weights}


def test_dropout_is_equal_bit_for_bit():
    model = keras.Sequential([keras.Input((50,)), layers.Dropout(0.5), layers.Dropout(0.2)])
    model(normal(4, 50), training=True)  # the state to carry over is not that of a new layer
    twin, x = twin_of(model), normal(4, 50)
    np.testing.assert_array_equal(outputs(twin, x, True), outputs(model, x, True))


@pytest.mark.parametrize("build", BUILDERS, ids=lambda build: build.__name__)
def test_the_way_back_gives_builtin_layers_and_the_same_outputs(build):
    model = randomized(build())
    back = builtin_of(twin_of(model))
    x = inputs_of(model)
    for ours, theirs in zip(outputs(back, x), outputs(model, x), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert explain_twin(back).own == []
    assert [type(layer) for layer in back.layers] == [type(layer) for layer in model.layers]


def test_every_layer_with_a_twin_is_exchanged_also_inside_wrappers():
    model = keras.Sequential(
        [
            keras.Input((6, 3)),
            layers.Bidirectional(layers.RNN([layers.GRUCell(3), layers.LSTMCell(2)], True)),
            layers.TimeDistributed(layers.Dense(4)),
        ]
    )
    explanation = explain_twin(twin_of(model))
    assert [cls for _, cls in explanation.own][:2] == ["Bidirectional", "RNN"]
    own = {cls for _, cls in explanation.own}
    assert own - {"RNN", "Bidirectional", "TimeDistributed"} == {
        "StackedRNNCells",
        "GRUCell",
        "LSTMCell",
        "Dense",
    }
    assert explanation.kept == []
    assert explain_twin(model).own == []


def test_a_model_without_weights_yet_can_be_exchanged():
    twin = twin_of(keras.Sequential([layers.Dense(3), layers.Dropout(0.5)]))
    assert not twin.built
    assert [type(layer) for layer in twin.layers] == [custom_layers.Dense, custom_layers.Dropout]
    assert twin(normal(2, 4)).shape == (2, 3)


def test_the_original_is_left_as_it_was():
    model = nested()
    weights, layer_outputs = model.get_weights(), [layer.output for layer in model.layers[:2]]
    twin_of(model)
    assert all(map(np.array_equal, model.get_weights(), weights))
    assert [layer.output for layer in model.layers[:2]] == layer_outputs


def test_layers_without_a_twin_stay_and_are_named():
    model = keras.Sequential(
        [
            keras.Input((8, 3)),
            layers.SeparableConv1D(4, 3, name="filters"),
            layers.GRU(3, name="reader"),
            keras.Sequential(
                [keras.Input((3,)), layers.UnitNormalization(name="norm")], name="inner"
            ),
        ]
    )
    twin = twin_of(randomized(model))
    explanation = explain_twin(twin)
    assert explanation.kept == [("filters", "SeparableConv1D"), ("inner/norm", "UnitNormalization")]
    assert explanation.own == [("reader", "GRU")]
    assert type(twin.get_layer("filters")) is layers.SeparableConv1D
    assert "filters" in str(explanation)
    assert "2 have no twin in use" in str(explanation)
    np.testing.assert_allclose(twin(normal(2, 8, 3)), model(normal(2, 8, 3)), atol=1e-5)


def test_shared_layers_and_nested_models_stay_shared():
    twin = twin_of(nested())
    names = [layer.name for layer in twin.layers]
    assert names.count("inner") == names.count("shared") == 1
    assert twin.get_layer("inner").get_layer("shared") is twin.get_layer("shared")


def test_state_outside_the_weights_is_carried_over():
    words = layers.TextVectorization(output_sequence_length=4)
    words.adapt(["the cat sees the dog", "a dog"])
    text = keras.Sequential([keras.Input((), dtype="string"), words, layers.Embedding(9, 3)])
    sentences = np.array(["the dog sees", "a bird"], dtype=object)
    x = keras.ops.convert_to_tensor(sentences)
    np.testing.assert_array_equal(twin_of(text)(x), text(x))

    scale = layers.Normalization()
    scale.adapt(normal(50, 3) * 4 + 7)
    numbers = keras.Sequential([keras.Input((3,)), scale, layers.Dense(2)])
    np.testing.assert_allclose(twin_of(numbers)(normal(5, 3)), numbers(normal(5, 3)), atol=1e-6)


def test_compile_settings_and_optimizer_state_are_carried_over():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4), layers.Dropout(0.5)])
    model.compile(keras.optimizers.Adam(0.03), "mse", metrics=["mae"], run_eagerly=True)
    x, y = normal(5, 3), normal(5, 4, seed=6)
    model.train_on_batch(x, y)
    twin = twin_of(model)
    assert float(twin.optimizer.learning_rate) == pytest.approx(0.03)
    assert twin.run_eagerly
    for _ in range(3):
        ours = twin.train_on_batch(x, y, return_dict=True)
        theirs = model.train_on_batch(x, y, return_dict=True)
        assert ours.keys() == theirs.keys() == {"loss", "mae"}
        assert ours["loss"] == pytest.approx(theirs["loss"], abs=1e-6)


def test_a_loss_function_that_is_not_registered_is_carried_over():
    def home_made(y, prediction):
        return keras.ops.mean((y - prediction) ** 4)

    model = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    model.compile("sgd", loss=home_made)
    assert twin_of(model).loss is home_made


def test_a_metric_that_cannot_be_found_is_named_with_the_way_out():
    def home_made(y, prediction):
        return keras.ops.mean(y - prediction)

    model = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    model.compile("sgd", "mse", metrics=[home_made])
    with pytest.raises(ValueError, match=r"twin_of: a compile setting .*custom_objects") as error:
        twin_of(model)
    assert "\n" not in str(error.value)
    twin = twin_of(model, custom_objects={"home_made": home_made})
    assert "home_made" in twin.evaluate(normal(4, 3), normal(4, 2), verbose=0, return_dict=True)


def test_trainable_flags_and_dtype_policies_are_carried_over():
    frozen = layers.Dense(4, trainable=False)
    model = keras.Sequential([keras.Input((3,)), frozen, layers.Dense(2, dtype="mixed_bfloat16")])
    twin = twin_of(model)
    assert len(twin.trainable_weights) == 2
    assert twin.layers[1].dtype_policy.name == "mixed_bfloat16"


def test_a_cell_of_the_users_own_is_kept_inside_our_rnn():
    class Leaky(layers.Layer):
        def __init__(self, units=2, **kwargs):
            super().__init__(**kwargs)
            self.units = self.state_size = self.output_size = units

        def build(self, shape):
            self.kernel = self.add_weight(shape=(shape[-1], self.units), name="kernel")

        def call(self, x, states, training=False):
            h = 0.9 * states[0] + x @ self.kernel
            return h, [h]

        def get_config(self):
            return {**super().get_config(), "units": self.units}

    model = keras.Sequential([keras.Input((5, 3)), layers.RNN(Leaky())])
    twin = twin_of(model)
    assert type(twin.layers[0]) is custom_layers.RNN
    assert [cls for _, cls in explain_twin(twin).kept] == ["Leaky"]
    np.testing.assert_allclose(twin(normal(2, 5, 3)), model(normal(2, 5, 3)), atol=1e-6)


def test_a_subclassed_model_is_refused_in_one_line_that_says_what_to_do():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(2)

        def call(self, x):
            return self.dense(x)

    class OwnGraph(keras.Model):
        def __init__(self):
            inputs = keras.Input((3,))
            super().__init__(inputs, layers.Dense(2)(inputs))

    for model in (Own(), OwnGraph()):
        with pytest.raises(TypeError, match="layers=custom_layers") as error:
            twin_of(model)
        assert "\n" not in str(error.value)
    with pytest.raises(TypeError, match=r"takes a keras.Model\. Received: Dense"):
        twin_of(layers.Dense(2))


def test_a_functional_subclass_keeps_its_training_step():
    class Doubled(keras.Model):
        def train_step(self, data):
            return {"loss": 42.0}

    inputs = keras.Input((3,))
    model = Doubled(inputs, layers.Dense(2)(inputs))
    assert type(twin_of(model)) is Doubled


def test_a_twin_with_other_weights_is_refused_by_name(monkeypatch):
    class Dense(layers.Layer):
        def __init__(self, units, **kwargs):
            super().__init__(name=kwargs["name"])
            self.units = units

        def build(self, shape):
            self.bias = self.add_weight(shape=(self.units,), name="bias")
            self.kernel = self.add_weight(shape=(shape[-1], self.units), name="kernel")

        def call(self, x):
            return x @ self.kernel + self.bias

    Dense.__module__ = "custom_layers.planted"
    monkeypatch.setattr(custom_layers, "Dense", Dense)
    model = keras.Sequential([keras.Input((3,)), layers.Dense(3)])
    with pytest.raises(ValueError, match=r"weight 0 is `.*kernel` .*but `.*bias`"):
        twin_of(model)
