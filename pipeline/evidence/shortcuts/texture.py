"""The noise of an input by spatial frequency, and an input with another's noise."""

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfftn, rfftn

__all__ = ["noise_spectrum", "with_noise_of"]

Image = NDArray[np.float32]
Spectrum = NDArray[np.float64]

_PATCHES = 4  # fewer say nothing of a study
_MOST_PATCHES = 256
_PARTS = (4, 6, 8)  # of the field: how long a patch is, the longest that fit often enough
_BINS = 16  # of the frequencies up to half a cycle a voxel
_LARGEST = 16  # voxels of a patch along an axis
_SMALLEST = 6
_PADDING = 8  # voxels of mirrored picture, so that the field's ends do not meet


def noise_spectrum(x: Image, body: NDArray[np.bool_]) -> Spectrum | None:
    """Return the power of each channel's noise (channels, bins), the median over patches of the body.

    White noise of variance v has power v at every frequency. Structure fills few patches, and a median leaves it out.
    None where too few patches fit into the body; NaN at frequencies lower than a patch can tell.
    """
    for part in _PARTS:
        sizes = tuple(min(_LARGEST, max(min(_SMALLEST, size), size // part)) for size in body.shape)
        corners = _corners(body, sizes)
        if len(corners) >= _PATCHES:
            return _median_spectrum(x, corners, sizes)
    return None


def _corners(body: NDArray[np.bool_], sizes: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return where patches lie that are all body, half a patch apart, at most some hundreds spread over it."""
    ranges = (range(0, size - width + 1, max(1, width // 2)) for size, width in zip(body.shape, sizes, strict=True))
    corners = [corner for corner in product(*ranges) if body[_box(corner, sizes)].all()]
    return corners[:: max(1, len(corners) // _MOST_PATCHES)]


def _median_spectrum(x: Image, corners: Sequence[tuple[int, ...]], sizes: tuple[int, ...]) -> Spectrum:
    window = _window(sizes)
    bins = _bins_of(sizes)
    patches = np.stack([x[(slice(None), *_box(corner, sizes))] for corner in corners]).astype(np.float64)
    axes = tuple(range(2, patches.ndim))
    patches = (patches - patches.mean(axis=axes, keepdims=True)) * window
    power = np.abs(np.asarray(rfftn(patches, axes=axes))) ** 2 / np.square(window).sum()
    spectrum = np.full((len(x), _BINS), np.nan)
    for number in range(_BINS):
        if (bins == number).any():
            spectrum[:, number] = np.median(power[..., bins == number].mean(axis=-1), axis=0)
    return _gaps_closed(spectrum, 2 / min((size for size in sizes if size > 1), default=1))


def with_noise_of(
    x: Image, own: Spectrum, donor: Spectrum, weight: NDArray[np.float32], rng: np.random.Generator
) -> Image:
    """Return an input whose noise is damped where the donor has less, and added to where the donor has more.

    Noise is added and never amplified: amplified edges would look like texture. ``weight`` (*S) is how much of the
    added noise each voxel takes.
    """
    changed = np.empty_like(x)
    pad = tuple((min(_PADDING, size - 1),) * 2 for size in x.shape[1:])
    for channel, image in enumerate(x):
        padded = np.pad(image.astype(np.float64), pad, mode="symmetric")
        bins = _bins_of(padded.shape)
        damped = np.sqrt(np.clip(_ratio(donor[channel], own[channel]), 0, 1))
        more = np.sqrt(np.clip(np.nan_to_num(donor[channel] - own[channel]), 0, None))
        quiet = irfftn(rfftn(padded) * damped[bins], padded.shape)
        noise = irfftn(rfftn(rng.standard_normal(padded.shape)) * more[bins], padded.shape)
        inner = tuple(slice(before, before + size) for (before, _), size in zip(pad, image.shape, strict=True))
        changed[channel] = quiet[inner] + weight * noise[inner]
    return changed


def _ratio(donor: NDArray[np.float64], own: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the donor's power as a share of the own; 1 where the own is nothing or unknown."""
    known = np.isfinite(donor) & np.isfinite(own) & (own > 0)
    return np.where(known, np.where(known, donor, 1.0) / np.where(known, own, 1.0), 1.0)


def _box(corner: tuple[int, ...], sizes: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(start, start + size) for start, size in zip(corner, sizes, strict=True))


def _window(sizes: tuple[int, ...]) -> NDArray[np.float64]:
    window = np.ones((1,) * len(sizes))
    for axis, size in enumerate(sizes):
        line = np.hanning(size + 2)[1:-1] if size > 1 else np.ones(1)
        window = window * line.reshape([-1 if other == axis else 1 for other in range(len(sizes))])
    return window


def _bins_of(shape: tuple[int, ...]) -> NDArray[np.intp]:
    """Return which bin each frequency of a real transform falls into; those above half a cycle share the last."""
    axes = [np.fft.fftfreq(size) for size in shape[:-1]] + [np.fft.rfftfreq(shape[-1])]
    radius = np.sqrt(sum(np.square(axis) for axis in np.meshgrid(*axes, indexing="ij", sparse=True)))
    return np.asarray(np.minimum(radius * 2 * _BINS, _BINS - 1), dtype=np.intp)


def _gaps_closed(spectrum: Spectrum, lowest: float) -> Spectrum:
    """Return a spectrum with empty bins taken from their neighbours; below the lowest frequency it is unknown."""
    middles = (np.arange(_BINS) + 0.5) / (2 * _BINS)
    for line in spectrum:
        known = np.isfinite(line)
        line[~known] = np.interp(middles[~known], middles[known], line[known])
        line[middles < lowest] = np.nan
    return spectrum
