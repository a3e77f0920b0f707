r"""A residual connection around a part of a block, normalized after it or before it.

    y = LayerNorm(x + dropout(f(x)))     (1) post-norm, as in the paper
    y = x + dropout(f(LayerNorm(x)))     (2) pre-norm, `normalize_first`

f is an attention or a feed-forward network. By (2) x reaches the last block untouched, and so does the
gradient the first; by (1) each block rescales it.
Source: (1) Vaswani et al. 2017, arXiv:1706.03762, sections 3.1 and 5.4; (2) Xiong et al. 2020,
arXiv:2002.04745, section 3.1.
"""

from collections.abc import Callable
from typing import Any

from custom_layers.core.protocols import Tensor


def residual(
    x: Tensor,
    f: Callable[[Tensor], tuple[Tensor, Any]],
    norm: Callable[[Tensor], Tensor],
    dropout: Callable[[Tensor], Tensor],
    normalize_first: bool,
) -> tuple[Tensor, Any]:
    """Equation (1) or (2).

    Args:
        x: (batch, steps, features).
        f: x to a tensor of its shape, and to whatever else is wanted of it (weights, a cache).

    Returns: y, like x; and what else f returned.
    """
    y, rest = f(norm(x) if normalize_first else x)
    y = dropout(y) + x
    return (y if normalize_first else norm(y)), rest
