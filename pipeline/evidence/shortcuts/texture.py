"""The noise of a tissue, its power by spatial frequency, and an input with another's noise."""

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfftn, next_fast_len, rfftn
from scipy.ndimage import gaussian_filter

from pipeline.evidence.shortcuts.study import Ruler

__all__ = ["noise_in", "noise_spectrum", "with_noise_of"]

Image = NDArray[np.float32]
Region = NDArray[np.bool_]
Spectrum = NDArray[np.float64]

_BLUR = 2.5  # voxels of the finest axis: what is wider than its grain is structure
_LITTLE = 1e-3  # weight of a blur that has hardly any tissue around it
_QUIET = 25  # percentile of the local variances: where nothing but noise is
_STRUCTURE = 4.0  # times the noise's variance: what varies by more is kept, the more the less of it is noise
_LIMIT = 4.0  # standard deviations of the noise: what is stronger is structure
_FEWEST = 200  # voxels: fewer say nothing of a tissue's noise
_BINS = 32  # for a cycle a voxel; the highest frequency of a volume is that of its diagonal
_PADDING = 8  # voxels of nothing, so that the field's ends do not meet


def noise_in(x: Image, tissue: Region, ruler: Ruler) -> Image:
    """Return the noise of an input (channels, *S) within a tissue, 0 elsewhere and where structure hides it.

    It is what a wide blur of the tissue alone takes away. Where the surroundings vary by more than noise does, as at
    an edge, the less of the difference is noise (Lee's filter); single strong voxels are structure.
    """
    noise = np.zeros_like(x)
    if not tissue.any():
        return noise
    sigmas = tuple(_BLUR * step / max(ruler.steps) for step in ruler.steps)
    weight = np.maximum(gaussian_filter(tissue.astype(np.float32), sigmas), _LITTLE)
    for channel, own in zip(x, noise, strict=True):
        mean = gaussian_filter(np.where(tissue, channel, 0), sigmas) / weight
        beyond = np.where(tissue, channel - mean, 0)
        variance = gaussian_filter(np.square(beyond), sigmas) / weight
        varied = variance[tissue][variance[tissue] > 0]
        if varied.size:
            quiet = float(np.percentile(varied, _QUIET))
            beyond *= np.minimum(1, _STRUCTURE * quiet / np.maximum(variance, quiet))
            own[...] = np.where(np.abs(beyond) <= _LIMIT * np.sqrt(quiet), beyond, 0)
    return noise


def noise_spectrum(noise: Image, tissue: Region) -> Spectrum | None:
    """Return the power of each channel's noise (channels, bins) by frequency; None for too small a tissue.

    ``noise`` (channels, *S) is taken within the tissue. White noise of variance v has power v at every frequency.
    """
    voxels = int(tissue.sum())
    if voxels < _FEWEST:
        return None
    shape = _padded(tissue.shape)
    bins, length = _bins_of(shape).ravel(), int(np.sqrt(tissue.ndim) / 2 * _BINS + 0.5) + 1
    filled = np.bincount(bins, minlength=length)
    spectrum = np.empty((len(noise), length))
    for number, channel in enumerate(noise):
        power = np.square(np.abs(rfftn(np.where(tissue, channel, 0), shape))) / voxels
        means = np.bincount(bins, power.ravel(), length) / np.maximum(filled, 1)
        spectrum[number] = np.interp(np.arange(length), np.flatnonzero(filled), means[filled > 0])
    return spectrum


def with_noise_of(
    own: tuple[Image, Image, Spectrum], donor: Spectrum, tissue: Region, rng: np.random.Generator
) -> Image:
    """Return an input whose noise in a tissue is damped where the donor has less, and added to where it has more.

    ``own`` holds the input, its noise, and the noise's spectrum in the tissue. Only what is noise is damped: edges and
    lesions stay as sharp as they are. Noise is added and never amplified: what is left of edges in it would look like
    texture.
    """
    x, noise, spectrum = own
    changed = x.copy()
    shape = _padded(tissue.shape)
    bins = _bins_of(shape)
    inner = tuple(slice(size) for size in tissue.shape)
    for number, channel in enumerate(changed):
        less, more = _gains(spectrum[number], donor[number])
        mine = np.where(tissue, noise[number], 0)
        drawn = rfftn(rng.standard_normal(shape, dtype=np.float32))
        swapped = irfftn(rfftn(mine, shape) * less[bins] + drawn * more[bins], shape)[inner]
        channel[...] = np.where(tissue, channel - mine + swapped, channel)
    return changed


def _gains(own: Spectrum, donor: Spectrum) -> tuple[Image, Image]:
    """Return by how much the own noise is damped at each frequency, and how much of white noise is added."""
    share = np.where(own > 0, donor / np.where(own > 0, own, 1), 1)
    less, more = np.sqrt(np.clip(share, 0, 1)), np.sqrt(np.clip(donor - own, 0, None))
    return less.astype(np.float32), more.astype(np.float32)


def _padded(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(next_fast_len(size + min(_PADDING, size - 1), real=True) for size in shape)


def _bins_of(shape: tuple[int, ...]) -> NDArray[np.intp]:
    """Return which bin each frequency of a real transform falls into: its distance from zero, in 32nds of a cycle."""
    axes = [np.fft.fftfreq(size) for size in shape[:-1]] + [np.fft.rfftfreq(shape[-1])]
    radius = np.sqrt(sum(np.square(axis) for axis in np.meshgrid(*axes, indexing="ij", sparse=True)))
    return np.asarray(radius * _BINS + 0.5, dtype=np.intp)
