"""Recurrent layers unrolled by hand in plain TensorFlow, each intermediate a tensor of its own.

It shares no line with the package: the equations are written out again, and a tape differentiates by the
intermediates themselves, which it can, since no loop hides them.
"""

import numpy as np
import tensorflow as tf


class Unrolled:
    """Runs a cell over x (batch, steps, features), and keeps what each step computes.

    Args:
        kind: "SimpleRNN", "LSTM", "GRU" or "GRU before" (reset before the product).
        weights: kernel, recurrent kernel, bias, as Keras orders them.
        bump: `(name, array)`, array (batch, steps, units) added to a gate before its activation, or to a
            state; for central differences.
    """

    def __init__(self, kind, weights, bump=None):
        self.kind = kind
        self.W, self.U, self.b = (tf.constant(w) for w in weights)
        self.units = self.U.shape[0]
        self.bump = bump
        self.kept = {}

    def keep(self, name, t, value):
        if self.bump is not None and self.bump[0] == name:
            value = value + self.bump[1][:, t]
        self.kept.setdefault(name, {})[t] = value
        return value

    def step(self, t, x, h, c):
        W, U, n = self.W, self.U, self.units
        x_W = [x @ W[:, k * n : (k + 1) * n] for k in range(W.shape[1] // n)]
        h_U = [h @ U[:, k * n : (k + 1) * n] for k in range(U.shape[1] // n)]
        if self.kind == "SimpleRNN":
            return self.keep("h", t, tf.tanh(x_W[0] + h_U[0] + self.b)), c
        if self.kind == "LSTM":
            b = [self.b[k * n : (k + 1) * n] for k in range(4)]
            i, f, g, o = (
                self.keep(name, t, x_W[k] + h_U[k] + b[k]) for k, name in enumerate("ifgo")
            )
            c = self.keep("c", t, tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g))
            return self.keep("h", t, tf.sigmoid(o) * tf.tanh(c)), c
        b, d = (self.b[0], self.b[1]) if self.kind == "GRU" else (self.b, tf.zeros_like(self.b))
        b, d = ([v[k * n : (k + 1) * n] for k in range(3)] for v in (b, d))
        z = tf.sigmoid(self.keep("z", t, x_W[0] + b[0] + h_U[0] + d[0]))
        r = tf.sigmoid(self.keep("r", t, x_W[1] + b[1] + h_U[1] + d[1]))
        inner = r * (h_U[2] + d[2]) if self.kind == "GRU" else (r * h) @ U[:, 2 * n :]
        candidate = tf.tanh(self.keep("n", t, x_W[2] + b[2] + inner))
        return self.keep("h", t, z * h + (1 - z) * candidate), c

    def __call__(self, x, mask=None, reverse=False):
        """Outputs by step, a dict, and the output of the step that came last."""
        batch, steps, _ = x.shape
        h = c = tf.zeros((batch, self.units), x.dtype)
        last, outputs = tf.zeros_like(h), {}
        for t in reversed(range(steps)) if reverse else range(steps):
            new_h, new_c = self.step(t, x[:, t], h, c)
            output = new_h
            if mask is not None:
                keep = mask[:, t, None]
                output = tf.where(keep, new_h, last)
                new_h, new_c = tf.where(keep, new_h, h), tf.where(keep, new_c, c)
            h, c, last = new_h, new_c, output
            outputs[t] = output
        return outputs, last

    def stacked(self, name, values=None):
        """(batch, steps, units) of what was kept under a name."""
        by_step = self.kept[name] if values is None else values
        return np.stack([np.asarray(by_step[t]) for t in sorted(by_step)], axis=1)
