r"""Exclusive or, spread over time: Elman's first experiment.

    b_1, b_2 random, b_3 = b_1 xor b_2,   b_4, b_5 random, b_6 = b_4 xor b_5,   ...     (1)
    x_t = b_t,   y_t = b_{t+1}                                                          (2)

Two of three bits cannot be known. The third can, by who remembers the two before it and has counted
which is the third. Nobody can have a smaller loss than ln 2 at the others and 0 at the third (3).

Source: Elman 1990, Cognitive Science 14(2), "Exclusive-OR": there one sequence of 3,000 bits.
"""

import math

import numpy as np


def draw_bits(count: int, triples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Equations (1) and (2).

    Args:
        count: sequences.
        triples: of bits in a sequence.
        seed: int.
    Returns: x and y, each (count, 3 * triples - 1, 1), float32, of 0 and 1.
    """
    pairs = np.random.default_rng(seed).integers(0, 2, (count, triples, 2))
    third = pairs[..., :1] ^ pairs[..., 1:]
    bits = np.concatenate([pairs, third], axis=-1).reshape(count, -1, 1).astype("float32")
    return bits[:, :-1], bits[:, 1:]


def is_third(triples: int) -> np.ndarray:
    """Which y_t are the third of their triple; bool (3 * triples - 1,)."""
    return np.arange(1, 3 * triples) % 3 == 2


def best_loss(triples: int) -> float:
    """Equation (3): mean binary cross-entropy over all steps, in nats."""
    return float(np.mean(~is_third(triples))) * math.log(2)
