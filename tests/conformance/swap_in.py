"""A pytest plugin: for this run, Keras's layers are ours.

    python -m pytest -p tests.conformance.swap_in --pyargs keras.src.layers.rnn.lstm_test

It is loaded before any test module, so that `layers.LSTM` and `from ...lstm import LSTM` both find our
class. Outcomes are written as JSON to the file that the environment variable SWAP_IN_REPORT names.
"""

import importlib
import importlib.util
import json
import os
import pathlib

import keras

import custom_layers

MODULES = {  # Keras's test module -> the classes in it that have a twin
    "rnn.simple_rnn": ["SimpleRNN", "SimpleRNNCell"],
    "rnn.lstm": ["LSTM", "LSTMCell"],
    "rnn.gru": ["GRU", "GRUCell"],
    "rnn.rnn": ["RNN"],
    "rnn.stacked_rnn_cells": ["StackedRNNCells"],
    "rnn.bidirectional": ["Bidirectional"],
    "rnn.time_distributed": ["TimeDistributed"],
    "rnn.conv_lstm1d": ["ConvLSTM1D"],
    "rnn.conv_lstm2d": ["ConvLSTM2D"],
    "rnn.conv_lstm3d": ["ConvLSTM3D"],
    "core.dense": ["Dense"],
    "core.einsum_dense": ["EinsumDense"],
    "core.embedding": ["Embedding"],
    "core.masking": ["Masking"],
    "core.reversible_embedding": ["ReversibleEmbedding"],
    "regularization.dropout": ["Dropout"],
    "normalization.layer_normalization": ["LayerNormalization"],
    "normalization.rms_normalization": ["RMSNormalization"],
    "normalization.batch_normalization": ["BatchNormalization"],
    "normalization.group_normalization": ["GroupNormalization"],
    "convolutional.conv": ["Conv1D", "Conv2D", "Conv3D"],
    "pooling.average_pooling": ["AveragePooling1D", "AveragePooling2D", "AveragePooling3D"],
    "pooling.max_pooling": ["MaxPooling1D", "MaxPooling2D", "MaxPooling3D"],
    "pooling.global_average_pooling": [
        *("GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D"),
    ],
    "pooling.global_max_pooling": [
        *("GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D"),
    ],
    "attention.attention": ["Attention"],
    "attention.additive_attention": ["AdditiveAttention"],
    "attention.multi_head_attention": ["MultiHeadAttention"],
    "attention.grouped_query_attention": ["GroupedQueryAttention"],
}
EXPORTED_AS = {"GroupedQueryAttention": "GroupQueryAttention"}  # where the public name is another
OUT_OF_SCOPE = ("quantiz", "lora", "int4", "int8", "fp8", "float8", "gptq", "awq")

outcomes: dict[str, str] = {}


def pytest_configure(config):
    for module_name, classes in MODULES.items():
        places = [keras.layers, importlib.import_module("keras.src.layers")]
        path = f"keras.src.layers.{module_name}"
        if importlib.util.find_spec(path):  # else the test module is about several files
            places.append(importlib.import_module(path))
        for name in classes:
            for place in places:
                setattr(place, name, getattr(custom_layers, EXPORTED_AS.get(name, name)))


def pytest_collection_modifyitems(config, items):
    apart = [item for item in items if any(word in item.nodeid.lower() for word in OUT_OF_SCOPE)]
    items[:] = [item for item in items if item not in apart]
    outcomes.update({item.nodeid: "out of scope" for item in apart})


def pytest_runtest_logreport(report):
    if report.when == "call" or report.outcome != "passed":
        outcomes[report.nodeid] = report.outcome


def pytest_sessionfinish(session):
    if path := os.environ.get("SWAP_IN_REPORT"):
        pathlib.Path(path).write_text(json.dumps(outcomes, indent=1))
