r"""The gradient noise scale: the batch size beyond which a larger batch hardly helps.

    |G|^2 = (B |G_B|^2 - b |G_b|^2) / (B - b)              (1) the true gradient's square
    S     = (|G_b|^2 - |G_B|^2) / (1/b - 1/B)              (2) the trace of the examples' covariance
    B_simple = S / |G|^2                                   (3)

Source: McCandlish et al. 2018, arXiv:1812.06162, section 2.2 (3) and appendix A.1 (1, 2). Both
estimates are free of bias and noisy: they are averaged over looks before they are divided.
"""

import math

from custom_layers.core.protocols import Tensor


def noise_and_signal(
    small_norm: Tensor, large_norm: Tensor, small: int, large: int
) -> tuple[Tensor, Tensor]:
    """S of (2) and |G|^2 of (1), from the gradient's norms on `small` and on `large` examples.

    Args:
        small_norm, large_norm: |G_b| and |G_B|, of a loss that is a mean over examples.
        small, large: b < B, numbers of examples.
    """
    signal = (large * large_norm**2 - small * small_norm**2) / (large - small)  # (1)
    noise = (small_norm**2 - large_norm**2) / (1 / small - 1 / large)  # (2)
    return noise, signal


class NoiseScale:
    """B_simple of (3), in examples, from moving averages of both estimates.

    Args:
        decay: weight of what was seen before, in [0, 1).
    """

    def __init__(self, decay: float = 0.9) -> None:
        self.decay = decay
        self._noise = self._signal = 0.0

    def update(self, noise: float, signal: float) -> float:
        """Take one more pair of estimates, if they are finite. NaN while the signal is lost in noise."""
        if not (math.isfinite(noise) and math.isfinite(signal)):
            return math.nan
        self._noise = self.decay * self._noise + (1 - self.decay) * noise
        self._signal = self.decay * self._signal + (1 - self.decay) * signal
        return self._noise / self._signal if self._signal > 0 else float("nan")
