"""Built-in layers and ours, side by side."""

from custom_layers.comparison.interruption import ComparisonInterrupted
from custom_layers.comparison.report import ComparisonReport
from custom_layers.comparison.runner import compare
from custom_layers.comparison.twin_of import TwinExplanation, builtin_of, explain_twin, twin_of

__all__ = [
    "ComparisonInterrupted",
    "ComparisonReport",
    "TwinExplanation",
    "builtin_of",
    "compare",
    "explain_twin",
    "twin_of",
]
