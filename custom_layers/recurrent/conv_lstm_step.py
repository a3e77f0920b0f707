r"""Long short-term memory whose products are convolutions: a film goes in, one picture after another.

    a_t = x_t * W + b                                (1) input convolution, for all steps at once
    i_t = sigmoid(a_i + h_{t-1} * U_i)               (2) input gate
    f_t = sigmoid(a_f + h_{t-1} * U_f)               (3) forget gate
    g_t = tanh(a_c + h_{t-1} * U_c)                  (4) candidate
    o_t = sigmoid(a_o + h_{t-1} * U_o)               (5) output gate
    c_t = f_t . c_{t-1} + i_t . g_t                  (6) cell state
    h_t = o_t . tanh(c_t)                            (7) new state, and the output

Here * is the convolution of `convolution/convolution.py`, equation (1) there, over one, two or three
axes of space, and . the product entry by entry. The convolution of the inputs has the layer's strides,
dilation and padding; that of the state has stride 1, dilation 1 and padding "same", since h_t is as
large as h_{t-1}.

Shapes: x (batch, steps, *space, channels), W (*size, channels, 4 filters), U (*size, filters,
4 filters), b (4 filters,), each in slots i, f, c, o; h and c (batch, *windows, filters). With
data_format="channels_first" channels and filters come before space.
Source: Shi et al. 2015, arXiv:1506.04214, equation (3), without the peepholes W_{ci}, W_{cf} and W_{co},
as the built-in has it. The forget bias of 1 is of Jozefowicz et al. 2015, ICML.
"""

from typing import Any

from keras import ops

from custom_layers.convolution.convolution import convolution_step
from custom_layers.convolution.windows import Windows, channels_axis
from custom_layers.core.protocols import Tensor
from custom_layers.recurrent.lstm import LSTMStep


def convolve(x: Any, kernel: Tensor, windows: Windows, data_format: str) -> Tensor:
    """x * kernel. A list holds one `x` for each gate, dropped out by its own mask."""
    if isinstance(x, (list, tuple)):
        parts = zip(x, ops.split(kernel, len(x), axis=-1), strict=True)
        gates = [convolve(*part, windows, data_format) for part in parts]
        return ops.concatenate(gates, axis=channels_axis(data_format))
    return convolution_step(x, kernel, None, None, windows, data_format).z


def conv_lstm_step(
    projected: Tensor,
    h: Any,
    c: Tensor,
    recurrent_kernel: Tensor,
    data_format: str,
    activation: Any = ops.tanh,
    recurrent_activation: Any = ops.sigmoid,
    c_probe: Tensor | None = None,
) -> LSTMStep:
    """One step of equations (2) to (7); every field of the record is shaped like c.

    Args:
        projected: a_t of (1), shaped like c, with 4 filters for each of its filters.
        h: h_{t-1}, shaped like c; or a list with one such tensor for each gate.
        c: c_{t-1}.
        recurrent_kernel: U, (*size, filters, 4 filters).
        data_format: where the filters are.
        activation, recurrent_activation: what stands as tanh and as sigmoid in the equations.
        c_probe: zeros shaped like c that are added to c_t, to differentiate by it; or None.
    """
    size = tuple(recurrent_kernel.shape[:-2])
    one = (1,) * len(size)
    gates = projected + convolve(h, recurrent_kernel, Windows(size, one, one, "same"), data_format)
    a_i, a_f, a_c, a_o = ops.split(gates, 4, axis=channels_axis(data_format))
    i = recurrent_activation(a_i)  # (2)
    f = recurrent_activation(a_f)  # (3)
    g = activation(a_c)  # (4)
    o = recurrent_activation(a_o)  # (5)
    c = f * c + i * g  # (6)
    c = c if c_probe is None else c + c_probe
    return LSTMStep(i, f, g, o, c, h=o * activation(c))  # (7)
