"""How far one training step moves a weight, by its own size."""

from custom_layers.core.protocols import Tensor
from custom_layers.debugging.measures.gradient_statistics import norm


def update_ratio(before: Tensor, after: Tensor) -> Tensor:
    """|w_after - w_before| / |w_before|; about 1e-3 is usual, inf for a weight that was 0."""
    return norm(after - before) / norm(before)
