r"""Scaling by numbers that the training part gave: into a network's unit, and back into the data's.

Over the rows of the training part, for each position along `axis`,

    mu     = mean(x)                                  (1)
    sigma  = sqrt(mean((x - mu)^2))                   (2)
    lo, hi = min(x), max(x)                           (3)

and for every x from then on

    y = (x - mu) / sigma                              (4)   StandardScaling
    y = a + (b - a) (x - lo) / (hi - lo)              (5)   MinMaxScaling, into [a, b]

Both have the form of (6), and (7) puts a prediction back into the unit of the series:

    y = (x - shift) / scale                           (6)
    x = shift + scale * y                             (7)

A constant feature has sigma = 0 and hi = lo. Its scale is 1: it becomes 0, or a, and comes back as it
was. The numbers are weights that no training moves: `.keras` files and weights files carry them, so that
what is loaded scales as what was trained. Until `adapt` they are NaN, and never a silent scaling by 1.

Source: equations (1) to (7) above are all there is; how (1) and (2) are gathered, `moments.py` says.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import keras
import numpy as np
from keras import ops

from custom_layers.core.protocols import Shape, Tensor
from custom_layers.core.shape_check import require
from custom_layers.normalization.axes import along, require_axes, sizes_along
from custom_layers.normalization.moments import Moments, batches_of, merged, moments_of, rows_of


class _Scaling(keras.layers.Layer):
    """What both layers share. `statistics` are the names of the weights; `owner` speaks in errors."""

    owner: str
    statistics: tuple[str, str]

    def __init__(
        self, axis: int | Sequence[int] | None = -1, invert: bool = False, **kwargs: Any
    ) -> None:
        axes: Any = [] if axis is None else [axis] if hasattr(axis, "__index__") else axis
        if not isinstance(axes, (list, tuple)) or not all(hasattr(a, "__index__") for a in axes):
            raise TypeError(
                f"{self.owner}: `axis` must be an integer, a list of them, or None. Received: "
                f"axis={axis!r}. Use -1 for numbers of each feature, None for those of all together."
            )
        super().__init__(**kwargs)
        self.axis = None if axis is None else [int(a) for a in axes]
        self.invert = bool(invert)
        self.supports_masking = True
        self.autocast = False  # half precision is widened before the subtraction
        self._adapted = False

    def build(self, input_shape: Shape) -> None:
        shape = sizes_along(self._kept(input_shape), input_shape, self.owner)
        self._built_for = tuple(input_shape)
        for name in self.statistics:
            weight = self.add_weight(
                name=name,
                shape=shape,
                initializer=keras.initializers.Constant(float("nan")),
                trainable=False,
                autocast=False,
                dtype="float64" if self.variable_dtype == "float64" else "float32",
            )
            setattr(self, name, weight)
        self.rows = self.add_weight(
            name="rows", shape=(), initializer="zeros", trainable=False, dtype="int32"
        )

    def adapt(self, data: Any, mask: Any = None) -> None:
        """Take the numbers of (1) to (3) from `data`, in place of those of before.

        Args:
            data: the training part, and nothing but: an array, a tensor, a list, or batches that can be
                iterated, such as a `tf.data.Dataset`, of whose tuples (x, y) the x counts.
            mask: bool, the first axes of an array, such as (batch, steps); False hides padding.

        Raises: ValueError for data without a row, without an axis besides those of `axis`, of other
            sizes than the layer was built for, or not finite, and for a mask that does not fit.
        """
        hidden = None if mask is None else np.asarray(ops.convert_to_numpy(mask))
        total: Moments | None = None
        for batch in batches_of(data):
            kept = self._kept(batch.shape)
            require(
                len(kept) < batch.ndim,
                self.owner,
                "`data` must have an axis besides those of `axis`, to count over",
                f"data.shape={batch.shape}, axis={self.axis}",
                "Use axis=None for a plain series.",
            )
            if not self.built:
                self.build(tuple(n if a in kept else None for a, n in enumerate(batch.shape)))
            self._require_sizes(batch.shape, "data")
            rows = rows_of(batch, kept, hidden, self.owner)
            total = merged(total, moments_of(rows)) if len(rows) else total
        if total is None:
            raise ValueError(
                f"{self.owner}: `data` must hold at least one row. Received: none, or none that the "
                "mask keeps. Hand over the training part."
            )
        for name in self.statistics:
            getattr(self, name).assign(getattr(total, name))
        self.rows.assign(total.rows)
        self._adapted = True

    def call(self, inputs: Tensor) -> Tensor:
        return self._moved(inputs, self.invert)

    def inverse(self, outputs: Tensor) -> Tensor:
        """Undo what the layer does: predictions in the unit of the data, by (7).

        Args:
            outputs: like what a call returns; any rank that has the axes.
        """
        return self._moved(ops.convert_to_tensor(outputs), not self.invert)

    def inverted(self, feature: int | None = None, **kwargs: Any) -> Self:
        """A layer of its own that undoes this one: the last of a model that returns the data's unit.

        Args:
            feature: the number of one feature, where `axis` is one axis: the new layer undoes the
                scaling of that one alone, for outputs of any shape.
            **kwargs: of the new layer, such as `name` and `dtype`.

        Returns: a layer with a copy of the numbers; a later `adapt` of one leaves the other as it is.
        Raises: ValueError before `adapt`, and for a feature that does not exist.
        """
        self._require_adapted()
        values = [ops.convert_to_numpy(getattr(self, name)) for name in self.statistics]
        config, shape = {**self._settings(), **kwargs}, self._built_for
        if feature is not None:
            count = len(values[0]) if values[0].ndim == 1 else 0
            require(
                -count <= feature < count,
                self.owner,
                f"`feature` must be one of the {count} along one `axis`",
                f"feature={feature}, axis={self.axis}",
                "Leave it out to undo all of them.",
            )
            values, shape = [value[feature] for value in values], (None,)
            config["axis"] = None
        layer = type(self)(**config)
        layer.invert = not self.invert
        layer.build(shape)
        for name, value in zip(self.statistics, values, strict=True):
            getattr(layer, name).assign(value)
        layer.rows.assign(ops.convert_to_numpy(self.rows))
        return layer

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self._require_sizes(input_shape, "inputs")
        return input_shape

    def compute_output_spec(self, inputs: Tensor, **kwargs: Any) -> keras.KerasTensor:
        """Without a call, so that a model can be built first and adapted, or loaded, later."""
        shape = self.compute_output_shape(inputs.shape)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self._settings()}

    def _settings(self) -> dict[str, Any]:
        axis = None if self.axis is None else list(self.axis)
        return {"axis": axis, "invert": self.invert}

    def _shift_and_scale(self) -> tuple[Tensor, Tensor]:
        """What (6) and (7) need, each with the kept axes."""
        raise NotImplementedError

    def _moved(self, x: Tensor, back: bool) -> Tensor:
        self._require_adapted()
        self._require_sizes(x.shape, "inputs")
        shift, scale = self._shift_and_scale()
        x = ops.cast(x, shift.dtype)
        kept = self._kept(x.shape)
        shift, scale = along(shift, x, kept), along(scale, x, kept)
        y = shift + scale * x if back else (x - shift) / scale  # (7), (6)
        return ops.cast(y, self.compute_dtype)

    def _kept(self, shape: Shape) -> list[int]:
        """The axes that have numbers of their own, increasing from 0."""
        axes = self.axis or []
        require_axes(axes, shape, self.owner)
        return sorted(axis % len(shape) for axis in axes)

    def _require_sizes(self, shape: Shape, name: str) -> None:
        """Of any rank: one may adapt to (rows, features) and call with (batch, steps, features)."""
        sizes = [shape[axis] for axis in self._kept(shape)]
        known = tuple(getattr(self, self.statistics[0]).shape)
        require(
            all(size in (None, own) for size, own in zip(sizes, known, strict=True)),
            self.owner,
            f"`{name}` must have the sizes {known} along `axis`, for which there are numbers",
            f"{name}.shape={tuple(shape)}, axis={self.axis}",
            "Hand over the same features, in the same order.",
        )

    def _require_adapted(self) -> None:
        if not self._adapted:
            seen = self._rows_seen() if self.built else 0
            require(
                seen != 0,
                self.owner,
                "`adapt` comes before the first call",
                "no numbers to scale by",
                "Call layer.adapt(train) with the training part, or load the weights.",
            )
            self._adapted = seen is not None

    def _rows_seen(self) -> int | None:
        """How many rows `adapt` has seen; None where that cannot be read, as in JAX's compiled `fit`.

        Read in a thread of its own: what traces a function, which may not look at a weight's value, is
        the thread that calls it.
        """
        with ThreadPoolExecutor(1) as other:
            try:
                return int(other.submit(ops.convert_to_numpy, self.rows).result())
            except Exception:  # of each backend its own; the outputs are NaN then
                return None


@keras.saving.register_keras_serializable(package="custom_layers")
class StandardScaling(_Scaling):
    """Bring each feature to mean 0 and standard deviation 1, as measured on the training part.

        scaling = StandardScaling(axis=None)
        scaling.adapt(train)                            # the training part alone: no look ahead
        model = Sequential([Input((30, 1)), scaling, GRU(32), Dense(1), scaling.inverted()])

    eats and returns degrees, dollars or passengers, and its file carries the numbers.

    Args:
        axis: the axis or axes that have numbers of their own, as those of the features; None for one
            mean and one deviation of all. Inputs of another rank than the data's are welcome as long
            as they have these axes, counted from the end if negative.
        invert: whether a call goes back, by (7), instead of by (4).
    Call arguments:
        inputs: numbers; a mask is handed on as it came. Masked steps are scaled like all others.
    Returns: like `inputs`, in the layer's compute dtype. Half precision is computed in float32.
    Weights, none of them trainable: `mean`, `deviation`, in float32 (float64 where the layer's weights
        are), each with the sizes along `axis`; `rows`, how many `adapt` has seen.
    Raises: ValueError before `adapt` (in a function that JAX has compiled: NaN in all outputs), or for
        an axis that does not exist or has another size; TypeError when `axis` is no integer.
    Source: equations (1), (2) and (4) of the module.
    Differs from keras.layers.Normalization, which it equals where that has been adapted and a feature
        is not constant. Keras takes max(sigma, 1e-7), so that a constant feature which then moves by 1
        becomes 1e7; here its scale is 1. A layer without numbers raises, where Keras hands the inputs
        on unscaled. A later `adapt` reaches functions that are compiled already. A plain series (rows,)
        needs `axis=None`, where Keras's default compares every row with itself alone; data that is not
        finite raises. The numbers are gathered in float64. There is no `mean=` and no `variance=`: what
        is known already is set as weights. On JAX and Torch it does not run inside of `tf.data`.
    """

    owner = "standard_scaling"
    statistics = ("mean", "deviation")

    def _shift_and_scale(self) -> tuple[Tensor, Tensor]:
        deviation = ops.convert_to_tensor(self.deviation)
        return ops.convert_to_tensor(self.mean), ops.where(deviation > 0, deviation, 1)  # (4)


@keras.saving.register_keras_serializable(package="custom_layers")
class MinMaxScaling(_Scaling):
    """Bring the least and the largest value of the training part to the ends of a range.

    What lies beyond them later lies beyond the range: nothing is cut off, so that it can come back.

    Args:
        feature_range: (a, b) with a < b.
        axis, invert: as of `StandardScaling`, as is all that is not said here.
    Weights, none of them trainable: `least`, `largest`, `rows`.
    Raises: ValueError, besides those of `StandardScaling`, unless a < b are finite.
    Source: equations (3) and (5) of the module.
    Differs from keras.layers.Normalization, which knows mean and deviation only, as `StandardScaling`
        does.
    """

    owner = "min_max_scaling"
    statistics = ("least", "largest")

    def __init__(
        self,
        feature_range: Sequence[float] = (0.0, 1.0),
        axis: int | Sequence[int] | None = -1,
        invert: bool = False,
        **kwargs: Any,
    ) -> None:
        ends = [float(end) for end in feature_range]
        require(
            len(ends) == 2 and -np.inf < ends[0] < ends[1] < np.inf,
            self.owner,
            "`feature_range` must be two finite numbers, the smaller one first",
            f"feature_range={feature_range!r}",
            "The default is (0, 1).",
        )
        super().__init__(axis=axis, invert=invert, **kwargs)
        self.feature_range = ends

    def _settings(self) -> dict[str, Any]:
        return {**super()._settings(), "feature_range": list(self.feature_range)}

    def _shift_and_scale(self) -> tuple[Tensor, Tensor]:
        a, b = self.feature_range
        least, largest = map(ops.convert_to_tensor, (self.least, self.largest))
        scale = ops.where(largest > least, (largest - least) / (b - a), 1)
        return least - a * scale, scale  # (5)
