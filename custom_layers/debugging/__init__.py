"""Look inside while a model trains: gates, states, attention weights and the gradients by each."""

from custom_layers.debugging.explain_gradients import Explanation, explain_gradients
from custom_layers.debugging.findings import Finding
from custom_layers.debugging.gradient_inspector import GradientInspector
from custom_layers.debugging.hooks import HookHandle, hook
from custom_layers.debugging.inspected_training import InspectedTraining
from custom_layers.debugging.nan_guard import NaNFound, NaNGuard
from custom_layers.debugging.nan_report import replay
from custom_layers.debugging.recorder import Quantity, Recording, Trace, record

__all__ = [
    "Explanation",
    "Finding",
    "GradientInspector",
    "HookHandle",
    "InspectedTraining",
    "NaNFound",
    "NaNGuard",
    "Quantity",
    "Recording",
    "Trace",
    "explain_gradients",
    "hook",
    "record",
    "replay",
]
