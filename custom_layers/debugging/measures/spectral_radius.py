"""How a recurrent kernel stretches a state that it is multiplied with again and again."""

import numpy as np


def spectral_radius(kernel: np.ndarray) -> float:
    """The largest absolute eigenvalue of U, (units, units); NaN where U is not finite.

    Without the activation's derivative, which is at most 1 for tanh and relu, a gradient grows by about
    this factor for each step back.
    Source: Pascanu et al. 2013, arXiv:1211.5063, section 2.1.
    """
    if not np.all(np.isfinite(kernel)):
        return float("nan")
    return float(np.max(np.abs(np.linalg.eigvals(kernel.astype("float64")))))
