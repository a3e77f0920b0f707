"""Readable twins of Keras layers, to be compared with the originals and looked into.

`custom_layers.X` stands in for `keras.layers.X`, or `keras_hub.layers.X`: the same constructor, weights,
outputs, gradients, masks and files.
"""

from keras.layers import Add, Input, StringLookup, TextVectorization  # no twins: Keras's own

from custom_layers.attention.additive import AdditiveAttention
from custom_layers.attention.attention import Attention
from custom_layers.attention.attention_pooling import AttentionPooling
from custom_layers.attention.bahdanau import BahdanauAttention
from custom_layers.attention.cached_multi_head import CachedMultiHeadAttention
from custom_layers.attention.group_query_attention import (
    GroupedQueryAttention as GroupQueryAttention,
)
from custom_layers.attention.luong import LuongAttention
from custom_layers.attention.multi_head import MultiHeadAttention
from custom_layers.convolution.convolution import Conv1D, Conv2D, Conv3D
from custom_layers.convolution.global_pooling import (
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalAveragePooling3D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    GlobalMaxPooling3D,
)
from custom_layers.convolution.pooling import (
    AveragePooling1D,
    AveragePooling2D,
    AveragePooling3D,
    MaxPooling1D,
    MaxPooling2D,
    MaxPooling3D,
)
from custom_layers.embedding.alibi_bias import AlibiBias
from custom_layers.embedding.embedding import Embedding
from custom_layers.embedding.position_embedding import PositionEmbedding
from custom_layers.embedding.relative_position_bias import RelativePositionBias
from custom_layers.embedding.reversible_embedding import ReversibleEmbedding
from custom_layers.embedding.rotary_embedding import RotaryEmbedding
from custom_layers.embedding.sine_position_encoding import SinePositionEncoding
from custom_layers.embedding.token_and_position_embedding import TokenAndPositionEmbedding
from custom_layers.linear.dense import Dense
from custom_layers.linear.einsum_dense import EinsumDense
from custom_layers.normalization.batch_normalization import BatchNormalization
from custom_layers.normalization.group_normalization import GroupNormalization
from custom_layers.normalization.layer_normalization import LayerNormalization
from custom_layers.normalization.rms_normalization import RMSNormalization
from custom_layers.normalization.scaling import MinMaxScaling, StandardScaling
from custom_layers.recurrent.batch_norm_lstm import BatchNormLSTM, BatchNormLSTMCell
from custom_layers.recurrent.bidirectional import Bidirectional
from custom_layers.recurrent.conv_lstm import ConvLSTM1D, ConvLSTM2D, ConvLSTM3D
from custom_layers.recurrent.coupled_lstm import CoupledLSTM, CoupledLSTMCell
from custom_layers.recurrent.gru import GRU, GRUCell
from custom_layers.recurrent.highway_cell import HighwayCell
from custom_layers.recurrent.irnn import IRNN
from custom_layers.recurrent.layer_norm_lstm import LayerNormLSTM, LayerNormLSTMCell
from custom_layers.recurrent.lstm import LSTM, LSTMCell
from custom_layers.recurrent.masking import Masking
from custom_layers.recurrent.minimal_gated_unit import MinimalGatedUnit, MinimalGatedUnitCell
from custom_layers.recurrent.peephole_lstm import PeepholeLSTM, PeepholeLSTMCell
from custom_layers.recurrent.projection_lstm import ProjectionLSTM, ProjectionLSTMCell
from custom_layers.recurrent.residual_cell import ResidualCell
from custom_layers.recurrent.rnn import RNN
from custom_layers.recurrent.rnn_decoder import RNNDecoder
from custom_layers.recurrent.simple_rnn import SimpleRNN, SimpleRNNCell
from custom_layers.recurrent.stacked_rnn_cells import StackedRNNCells
from custom_layers.recurrent.time_distributed import TimeDistributed
from custom_layers.recurrent.zoneout_cell import ZoneoutCell
from custom_layers.regularization.dropout import Dropout
from custom_layers.transformer.decoder import TransformerDecoder
from custom_layers.transformer.encoder import TransformerEncoder
from custom_layers.transformer.feed_forward import FeedForward

# Keras's other names of the same layers
AvgPool1D = AveragePooling1D
AvgPool2D = AveragePooling2D
AvgPool3D = AveragePooling3D
Convolution1D = Conv1D
Convolution2D = Conv2D
Convolution3D = Conv3D
GlobalAvgPool1D = GlobalAveragePooling1D
GlobalAvgPool2D = GlobalAveragePooling2D
GlobalAvgPool3D = GlobalAveragePooling3D
GlobalMaxPool1D = GlobalMaxPooling1D
GlobalMaxPool2D = GlobalMaxPooling2D
GlobalMaxPool3D = GlobalMaxPooling3D
MaxPool1D = MaxPooling1D
MaxPool2D = MaxPooling2D
MaxPool3D = MaxPooling3D

__all__ = [
    "GRU",
    "IRNN",
    "LSTM",
    "RNN",
    "Add",
    "AdditiveAttention",
    "AlibiBias",
    "Attention",
    "AttentionPooling",
    "AveragePooling1D",
    "AveragePooling2D",
    "AveragePooling3D",
    "AvgPool1D",
    "AvgPool2D",
    "AvgPool3D",
    "BahdanauAttention",
    "BatchNormLSTM",
    "BatchNormLSTMCell",
    "BatchNormalization",
    "Bidirectional",
    "CachedMultiHeadAttention",
    "Conv1D",
    "Conv2D",
    "Conv3D",
    "ConvLSTM1D",
    "ConvLSTM2D",
    "ConvLSTM3D",
    "Convolution1D",
    "Convolution2D",
    "Convolution3D",
    "CoupledLSTM",
    "CoupledLSTMCell",
    "Dense",
    "Dropout",
    "EinsumDense",
    "Embedding",
    "FeedForward",
    "GRUCell",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalAveragePooling3D",
    "GlobalAvgPool1D",
    "GlobalAvgPool2D",
    "GlobalAvgPool3D",
    "GlobalMaxPool1D",
    "GlobalMaxPool2D",
    "GlobalMaxPool3D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "GlobalMaxPooling3D",
    "GroupNormalization",
    "GroupQueryAttention",
    "HighwayCell",
    "Input",
    "LSTMCell",
    "LayerNormLSTM",
    "LayerNormLSTMCell",
    "LayerNormalization",
    "LuongAttention",
    "Masking",
    "MaxPool1D",
    "MaxPool2D",
    "MaxPool3D",
    "MaxPooling1D",
    "MaxPooling2D",
    "MaxPooling3D",
    "MinMaxScaling",
    "MinimalGatedUnit",
    "MinimalGatedUnitCell",
    "MultiHeadAttention",
    "PeepholeLSTM",
    "PeepholeLSTMCell",
    "PositionEmbedding",
    "ProjectionLSTM",
    "ProjectionLSTMCell",
    "RMSNormalization",
    "RNNDecoder",
    "RelativePositionBias",
    "ResidualCell",
    "ReversibleEmbedding",
    "RotaryEmbedding",
    "SimpleRNN",
    "SimpleRNNCell",
    "SinePositionEncoding",
    "StackedRNNCells",
    "StandardScaling",
    "StringLookup",
    "TextVectorization",
    "TimeDistributed",
    "TokenAndPositionEmbedding",
    "TransformerDecoder",
    "TransformerEncoder",
    "ZoneoutCell",
]
