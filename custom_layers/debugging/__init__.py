"""Look inside while a model trains: gates, states, attention weights and the gradients by each."""

from custom_layers.debugging.gradient_inspector import GradientInspector
from custom_layers.debugging.hooks import HookHandle, hook
from custom_layers.debugging.recorder import Quantity, Recording, Trace, record

__all__ = [
    "GradientInspector",
    "HookHandle",
    "Quantity",
    "Recording",
    "Trace",
    "hook",
    "record",
]
