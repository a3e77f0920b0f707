r"""Which way a picture moves, without learning anything: frames compared with frames, shifted.

    R_st(k) = conj(F_s(k)) F_t(k)                              (1) F the Fourier transform of a frame
    r_st(d) = Re sum_k R_st(k) exp(2 pi i k.d / size)          (2) how well s, shifted by d, fits on t
    way     = argmax_w sum_{s < t} r_st((t - s) v_w)           (3) over pairs of the last frames

(2) is the cross-correlation of the two frames; with R / |R| in place of R, each frequency has one vote:
phase correlation. v_w is the velocity of way w, and a shift need be no whole number of pixels.
Source: Kuglin and Hines 1975, "The phase correlation image alignment method"; (3) is ours.
"""

import numpy as np

from tutorials.translate_time_series_of_frames.films import SPEED, WAYS


def velocities() -> np.ndarray:
    """Of each way, in pixels a frame, down and to the right: (WAYS, 2)."""
    angle = 2 * np.pi * np.arange(WAYS) / WAYS
    return SPEED * np.stack([np.sin(angle), np.cos(angle)], axis=-1)


def fit_of_shifts(spectrum: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Equation (2): a spectrum R (count, size, size) and shifts (ways, 2) to (count, ways)."""
    k = np.fft.fftfreq(spectrum.shape[-1])  # k / size
    down, right = (np.exp(2j * np.pi * np.outer(d, k)) for d in shifts.T)
    return np.einsum("nab,wa,wb->nw", spectrum, down, right, optimize=True).real


def ways_by_correlation(pixels: np.ndarray, frames: int, phase: bool) -> np.ndarray:
    """Equation (3), over all pairs of the last `frames` frames: (count, steps, size, size) to (count,).

    Args:
        frames: 2 or more. More see through more noise, and look back beyond more bounces.
        phase: whether to divide R by its size.
    """
    transformed = np.fft.fft2(pixels[:, -frames:])
    fit = np.zeros((len(pixels), WAYS))
    for apart in range(1, frames):
        spectrum = transformed[:, :-apart].conj() * transformed[:, apart:]  # (1)
        if phase:
            spectrum /= np.abs(spectrum) + 1e-9
        fit += fit_of_shifts(spectrum.sum(axis=1), apart * velocities())  # (2), (3)
    return fit.argmax(axis=-1)


def best_window(pixels: np.ndarray, ways: np.ndarray, most: int) -> tuple[int, bool]:
    """How many frames to compare, up to `most`, and whether by phase: what is right most often here.

    Args:
        ways: (count,), the truth at the last frame.
    """
    tried = [(frames, phase) for frames in range(2, most + 1) for phase in (False, True)]
    shares = [np.mean(ways_by_correlation(pixels, *options) == ways) for options in tried]
    return tried[int(np.argmax(shares))]
