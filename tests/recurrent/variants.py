"""The cells that Keras does not have, written out by hand, one equation after the other.

It shares no line with the package. With NumPy it gives numbers, with `keras.ops` something that a
framework can differentiate, by each intermediate of each step as well, since no loop hides them.
"""

from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

import custom_layers
from tests.gradients.settings import UNITS, WIDE, Setting

PROJECTION_UNITS = 3


class Kind(NamedTuple):
    """A layer's further arguments; names of its gates; its states, h first, and their widths."""

    arguments: dict[str, Any]
    gates: tuple[str, ...]
    states: dict[str, int]


H_AND_C = {"h": UNITS, "c": UNITS}
KINDS = {
    "PeepholeLSTM": Kind({}, ("i", "f", "g", "o"), H_AND_C),
    "CoupledLSTM": Kind({}, ("f", "g", "o"), H_AND_C),
    "LayerNormLSTM": Kind({"epsilon": 1e-4}, ("i", "f", "g", "o"), H_AND_C),
    "ProjectionLSTM": Kind(
        {"projection_units": PROJECTION_UNITS},
        ("i", "f", "g", "o"),
        {"h": PROJECTION_UNITS, "c": UNITS},
    ),
    "MinimalGatedUnit": Kind({}, ("f", "n"), {"h": UNITS}),
}
WITH_BPTT = ["PeepholeLSTM", "CoupledLSTM", "MinimalGatedUnit"]


def setting(kind: str, masked: bool = True, started: bool = True, **options: Any) -> Setting:
    """A layer of this kind that returns all that it can, and how it is called."""
    arguments = {"return_sequences": True, "return_state": True, **KINDS[kind].arguments, **options}

    def make(**choice: Any) -> keras.Layer:
        return getattr(custom_layers, kind)(UNITS, **arguments, **choice)

    states = tuple(KINDS[kind].states.values()) if started else ()
    return Setting(kind, make, states, masked)


class ByHand:
    """Runs a kind of cell over x (batch, steps, features), and keeps what each step computes.

    Args:
        kind: a key of KINDS.
        weights: by their names.
        xp: numpy, or keras.ops.
        bump: `(name, array)`, array (batch, steps, units) added to a gate before its activation, or to
            a state; for central differences.
        masks: of the inputs and of the state, a list with one for each slot of the kernels, or None.
        zoneout: the rate of each state, and uniform noise (steps, batch, units of all states) or None.
    """

    def __init__(self, kind, weights, xp=np, bump=None, masks=(None, None), zoneout=None):
        self.kind, self.xp, self.bump, self.masks = kind, xp, bump, masks
        self.zoneout = zoneout
        self.weights = dict(weights)
        self.slots = len(KINDS[kind].gates)
        self.kept: dict[str, dict[int, Any]] = {}

    def keep(self, name, t, value):
        if self.bump is not None and self.bump[0] == name:
            value = value + self.bump[1][:, t]
        self.kept.setdefault(name, {})[t] = value
        return value

    def sigmoid(self, a):
        return 1 / (1 + self.xp.exp(-a))

    def parts(self, name, count=None):
        """A weight, cut along its last axis into one part for each slot."""
        weight, count = self.weights[name], count or self.slots
        width = weight.shape[-1] // count
        return [weight[..., k * width : (k + 1) * width] for k in range(count)]

    def products(self, x, name, mask):
        dropped = [x if mask is None else x * mask[k] for k in range(self.slots)]
        return [d @ part for d, part in zip(dropped, self.parts(name), strict=True)]

    def normalized(self, parts, name):
        """All parts have one mean and one variance. Sums over the last axis are products with ones."""
        width = parts[0].shape[-1]
        ones = self.xp.ones((width, 1), dtype=WIDE) / (len(parts) * width)
        mean = sum(part @ ones for part in parts)
        variance = sum((part - mean) ** 2 @ ones for part in parts)
        alpha, beta = (self.parts(f"{name}_{which}", len(parts)) for which in ("alpha", "beta"))
        deviation = (variance + 1e-4) ** 0.5
        return [a * (p - mean) / deviation + b for p, a, b in zip(parts, alpha, beta, strict=True)]

    def step(self, t, x, h, c=None):
        """The new states, the output first."""
        return getattr(self, self.kind)(t, x, h, c)

    def sums(self, x, h):
        """x W + h U + b in each slot."""
        x_W = self.products(x, "kernel", self.masks[0])
        h_U = self.products(h, "recurrent_kernel", self.masks[1])
        return [a + u + b for a, u, b in zip(x_W, h_U, self.parts("bias"), strict=True)]

    def PeepholeLSTM(self, t, x, h, c):
        a_i, a_f, a_c, a_o = self.sums(x, h)
        p_i, p_f, p_o = self.parts("peepholes", 3)
        i = self.sigmoid(self.keep("i", t, a_i + p_i * c))
        f = self.sigmoid(self.keep("f", t, a_f + p_f * c))
        g = self.xp.tanh(self.keep("g", t, a_c))
        c = self.keep("c", t, f * c + i * g)
        o = self.sigmoid(self.keep("o", t, a_o + p_o * c))
        return [self.keep("h", t, o * self.xp.tanh(c)), c]

    def CoupledLSTM(self, t, x, h, c):
        a_f, a_c, a_o = self.sums(x, h)
        f = self.sigmoid(self.keep("f", t, a_f))
        g = self.xp.tanh(self.keep("g", t, a_c))
        o = self.sigmoid(self.keep("o", t, a_o))
        c = self.keep("c", t, f * c + (1 - f) * g)
        return [self.keep("h", t, o * self.xp.tanh(c)), c]

    def LayerNormLSTM(self, t, x, h, c):
        x_W = self.normalized(self.products(x, "kernel", self.masks[0]), "input")
        h_U = self.normalized(self.products(h, "recurrent_kernel", self.masks[1]), "recurrent")
        sums = [a + u + b for a, u, b in zip(x_W, h_U, self.parts("bias"), strict=True)]
        i, f, g, o = (self.keep(name, t, a) for name, a in zip("ifgo", sums, strict=True))
        c = self.keep("c", t, self.sigmoid(f) * c + self.sigmoid(i) * self.xp.tanh(g))
        (shown,) = self.normalized([c], "state")
        return [self.keep("h", t, self.sigmoid(o) * self.xp.tanh(shown)), c]

    def ProjectionLSTM(self, t, x, h, c):
        i, f, g, o = (self.keep(n, t, a) for n, a in zip("ifgo", self.sums(x, h), strict=True))
        c = self.keep("c", t, self.sigmoid(f) * c + self.sigmoid(i) * self.xp.tanh(g))
        wide = self.sigmoid(o) * self.xp.tanh(c)
        return [self.keep("h", t, wide @ self.weights["projection_kernel"]), c]

    def MinimalGatedUnit(self, t, x, h, _):
        x_W, U, b = (
            self.products(x, "kernel", self.masks[0]),
            self.parts("recurrent_kernel"),
            self.parts("bias"),
        )
        h_f, h_n = (h if self.masks[1] is None else h * m for m in self.masks[1] or (1, 1))
        f = self.sigmoid(self.keep("f", t, x_W[0] + h_f @ U[0] + b[0]))
        n = self.xp.tanh(self.keep("n", t, x_W[1] + (f * h_n) @ U[1] + b[1]))
        return [self.keep("h", t, (1 - f) * h + f * n)]

    def zoned_out(self, t, new, old):
        rates, noise = self.zoneout
        found, begin = [], 0
        for name, rate, n, o in zip(KINDS[self.kind].states, rates, new, old, strict=True):
            keeps = rate
            if noise is not None:
                keeps = (noise[t][:, begin : begin + n.shape[-1]] < rate).astype(WIDE)
                keeps = keeps if self.xp is np else ops.convert_to_tensor(keeps)
            begin += n.shape[-1]
            found.append(self.keep(name, t, keeps * o + (1 - keeps) * n))
        return found

    def __call__(self, x, states=None, mask=None, reverse=False):
        """Outputs in the order of processing, the last of them, and the last states."""
        batch, steps, _ = x.shape
        if states is None:
            widths = KINDS[self.kind].states.values()
            states = [self.xp.zeros((batch, width), dtype=WIDE) for width in widths]
        last, outputs = self.xp.zeros_like(states[0]), []
        for t in reversed(range(steps)) if reverse else range(steps):
            new = self.step(t, x[:, t], *states)
            if self.zoneout is not None:
                new = self.zoned_out(t, new, states)
            output = new[0]
            if mask is not None:
                keep = mask[:, t, None]
                output = self.xp.where(keep, output, last)
                new = [self.xp.where(keep, n, s) for n, s in zip(new, states, strict=True)]
            states, last = new, output
            outputs.append(output)
        return self.xp.stack(outputs, axis=1), last, states

    def stacked(self, name, values=None):
        """(batch, steps, units) of what was kept under a name."""
        by_step = self.kept[name] if values is None else values
        return np.stack([np.asarray(by_step[t]) for t in sorted(by_step)], axis=1)


def weights_of(layer):
    """Arrays by name."""
    return {w.name: ops.convert_to_numpy(w.value) for w in layer.trainable_variables}


class WrittenOut(keras.layers.Layer):
    """`ByHand` with the weights of a layer, called as the layer is."""

    def __init__(self, kind, layer, masks=(None, None), zoneout=None):
        super().__init__()
        self.arguments = {"zoneout": zoneout}
        self.kind, self.layer = kind, layer
        self.masks = [None if m is None else [ops.convert_to_tensor(g) for g in m] for m in masks]
        self.built = self.supports_masking = True

    def call(self, x, initial_state=None, mask=None, training=False):
        weights = {w.name: ops.convert_to_tensor(w.value) for w in self.layer.trainable_variables}
        run = ByHand(self.kind, weights, ops, masks=self.masks, **self.arguments)
        outputs, last, states = run(x, initial_state, mask, self.layer.go_backwards)
        return (outputs if self.layer.return_sequences else last), *states
