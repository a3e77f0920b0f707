"""What SimpleRNN, LSTM, GRU and their variants share: an RNN that makes its one cell itself."""

from typing import Any

import keras

from custom_layers.core.protocols import Tensor
from custom_layers.core.shape_check import require
from custom_layers.recurrent.recurrent_cell import ARGUMENTS_OF_VARIANTS
from custom_layers.recurrent.rnn import RNN

CELL_OPTIONS = ("dtype", "trainable")
OF_THE_CELL_ALONE = ("implementation", "recurrent_activation", *ARGUMENTS_OF_VARIANTS)


def cell_options(name: str, kwargs: dict[str, Any]) -> dict[str, Any]:
    """The keyword arguments that a layer hands on to its cell, some of which are the cell's alone."""
    options = {key: kwargs[key] for key in CELL_OPTIONS if key in kwargs}
    options |= {key: kwargs.pop(key) for key in OF_THE_CELL_ALONE if key in kwargs}
    return {"name": name, **options}


class SingleCellRNN(RNN):
    """An RNN whose configuration is its cell's, and whose cell's settings can be read on it.

    Args:
        cell: the cell.
        use_cudnn: "auto" or False; there is no cuDNN kernel here, so that True raises at the call.
            None for a layer that has no such argument.
        **kwargs: what `RNN` takes.
    """

    def __init__(self, cell: Any, use_cudnn: Any = None, **kwargs: Any) -> None:
        super().__init__(cell, **kwargs)
        self.input_spec = keras.layers.InputSpec(ndim=3)
        if use_cudnn is None:
            return
        require(
            use_cudnn in ("auto", True, False),
            self.name,
            '`use_cudnn` must be "auto", True or False',
            f"use_cudnn={use_cudnn!r}",
            'The default is "auto".',
        )
        self.use_cudnn = use_cudnn

    def inner_loop(
        self, sequences: Tensor, initial_state: Any, mask: Tensor | None, training: bool = False
    ) -> tuple[Tensor, Any]:
        require(
            getattr(self, "use_cudnn", False) is not True,
            self.name,
            "a layer that can be read has no cuDNN kernel",
            "use_cudnn=True",
            "Use 'auto' or False, or the layer of the same name in keras.layers.",
        )
        return super().inner_loop(sequences, initial_state, mask, training)

    def __getattr__(self, name: str) -> Any:
        # `layer.units`, `layer.activation`, ...: the settings live in the cell, once.
        if name in SETTINGS:
            return getattr(self.cell, name)
        inherited = getattr(super(), "__getattr__", None)  # Torch's modules have one
        if inherited is not None:
            return inherited(name)
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in SETTINGS:
            raise AttributeError(
                f"{type(self).__name__}: `{name}` is a setting of the cell and is fixed when the "
                f"layer is made. Received: {name}={value!r}. Make a new layer."
            )
        super().__setattr__(name, value)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["cell"]
        settings = {k: v for k, v in self.cell.get_config().items() if k in SETTINGS}
        regularizer = keras.regularizers.serialize(self.activity_regularizer)
        return {**config, **settings, "activity_regularizer": regularizer}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "SingleCellRNN":
        return cls(**config)


SETTINGS = frozenset(
    [
        *("units", "activation", "recurrent_activation", "use_bias", "unit_forget_bias"),
        *("kernel_initializer", "recurrent_initializer", "bias_initializer"),
        *("kernel_regularizer", "recurrent_regularizer", "bias_regularizer"),
        *("kernel_constraint", "recurrent_constraint", "bias_constraint"),
        *("dropout", "recurrent_dropout", "reset_after", "seed"),
        *ARGUMENTS_OF_VARIANTS,
        *("filters", "kernel_size", "strides", "padding", "data_format", "dilation_rate"),
    ]
)
