"""One property of a study taken from another study, all else left: border, outside, texture, contrast, position.

Each function returns the changed input, or the reason why there is none. Before anything is copied, the donor's levels
are matched to the recipient's: gain would leak into every other transplant.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from pipeline.evidence.shortcuts.parts import Levels, StudyParts, grown
from pipeline.evidence.shortcuts.study import BatteryStudy
from pipeline.evidence.shortcuts.texture import noise_spectrum, with_noise_of

__all__ = ["NO_OUTSIDE", "TRANSPLANTS", "DissectedStudy", "Transplant", "same_contrast"]

Image = NDArray[np.float32]

_NOISE_BLUR = 1.0  # voxels: with a wider one, pads and tables would pass for noise
_NOISE_LIMIT = 3.0  # standard deviations of the noise outside the body: what is stronger is structure
_LITTLE = 1e-3  # weight of a blur whose surroundings are all structure
_STANDS_OUT = 8.0  # standard deviations of the noise: marks and frames

NO_OUTSIDE = "no outside of the body in the picture"


@dataclass(frozen=True, eq=False)
class DissectedStudy:
    """A study with its parts found."""

    study: BatteryStudy
    parts: StudyParts

    @cached_property
    def spectrum(self) -> NDArray[np.float64] | None:
        """The power of its noise (channels, bins), in the body; None where that is too small."""
        tissue, marks = self.parts.body, self.parts.body_marks
        if not isinstance(marks, str):
            tissue = tissue & ~marks  # a line across a patch looks like noise
        beside = noise_spectrum(self.study.x, tissue)
        return noise_spectrum(self.study.x, self.parts.body) if beside is None else beside

    @cached_property
    def outside_spectrum(self) -> NDArray[np.float64] | None:
        """The power of its noise (channels, bins), outside the body and beside what stands out; None for too little."""
        outside = ~grown(self.parts.body, 1, self.study.ruler)
        if not outside.any():
            return None
        for channel, noise in zip(self.study.x, self.parts.noise[1], strict=True):
            outside = outside & (np.abs(channel - np.median(channel[outside])) <= _STANDS_OUT * noise)
        return noise_spectrum(self.study.x, outside)

    @cached_property
    def noise(self) -> Image:
        """Its noise (channels, *S): what a blur takes away, where that is too little to be structure."""
        limits = _NOISE_LIMIT * self.parts.noise[1]
        return np.stack([_noise_of(channel, float(limit)) for channel, limit in zip(self.study.x, limits, strict=True)])

    def without_noise(self) -> "DissectedStudy":
        """Return the study with its structure alone."""
        return DissectedStudy(replace(self.study, x=self.study.x - self.noise), self.parts)


def _noise_of(image: Image, limit: float) -> Image:
    """Return what a blur takes away, up to a limit; what exceeds it once is left out of a second blur.

    Without the second, a frame would brighten the air beside it, and its darker surroundings pass for noise.
    """
    ordinary = (np.abs(image - gaussian_filter(image, _NOISE_BLUR)) <= limit).astype(np.float32)
    weight = gaussian_filter(ordinary, _NOISE_BLUR)
    smooth = gaussian_filter(image * ordinary, _NOISE_BLUR) / np.maximum(weight, _LITTLE)
    residual = image - smooth
    return np.where((np.abs(residual) <= limit) & (weight > _LITTLE), residual, 0).astype(np.float32)


Transplant = Callable[[DissectedStudy, DissectedStudy, np.random.Generator], Image | str]
"""Recipient, donor of the same grid and a generator to the changed input, or the reason why there is none."""


def _border(own: DissectedStudy, donor: DissectedStudy, rng: np.random.Generator) -> Image | str:  # noqa: ARG001
    """Give the donor's outer band: in volumes outside both bodies, in pictures all of it but lesions."""
    band = own.parts.band
    where = band & _outside_both(own, donor) if band.ndim > 2 else band & ~_lesions(own, donor)
    return _pasted(own, donor, where) if where.any() else "no band outside both bodies"


def _outside(own: DissectedStudy, donor: DissectedStudy, rng: np.random.Generator) -> Image | str:  # noqa: ARG001
    """Give what the donor has outside both bodies and inside the band."""
    where = _outside_both(own, donor) & ~own.parts.band
    return _pasted(own, donor, where) if where.any() else NO_OUTSIDE


def _outside_both(own: DissectedStudy, donor: DissectedStudy) -> NDArray[np.bool_]:
    return own.parts.outside & donor.parts.outside


def _lesions(own: DissectedStudy, donor: DissectedStudy) -> NDArray[np.bool_]:
    masks = [patient.study.lesion for patient in (own, donor) if patient.study.lesion is not None]
    lesions = np.zeros(own.parts.body.shape, bool)
    for mask in masks:
        lesions |= mask
    return lesions


def _pasted(own: DissectedStudy, donor: DissectedStudy, where: NDArray[np.bool_]) -> Image | str:
    """Return the own input with what the donor has there, but with its own noise: texture would leak in with it."""
    given = _with_levels_of(donor.without_noise(), own)
    return given if isinstance(given, str) else np.where(where, given + own.noise, own.study.x)


def _with_levels_of(own: DissectedStudy, donor: DissectedStudy) -> Image | str:
    """Return the own input stretched and moved so that its two levels are the donor's, channel by channel."""
    mine, others = _levels(own, donor)
    factor = same_contrast(own, donor)
    if isinstance(factor, str):
        return factor
    offset = others.low - factor * mine.low
    along = (slice(None), *(None,) * own.parts.body.ndim)
    return np.asarray(own.study.x * factor[along] + offset[along], dtype=np.float32)


def same_contrast(own: DissectedStudy, donor: DissectedStudy) -> NDArray[np.float64] | str:
    """Return by how much each channel of a study has to be stretched to have another's contrast."""
    mine, others = _levels(own, donor)
    if not mine.usable() or not others.usable():
        return "air and body are equally bright"
    return np.asarray((others.high - others.low) / (mine.high - mine.low), dtype=np.float64)


def _levels(own: DissectedStudy, donor: DissectedStudy) -> tuple[Levels, Levels]:
    if own.parts.levels.kind == donor.parts.levels.kind:
        return own.parts.levels, donor.parts.levels
    return own.parts.body_levels, donor.parts.body_levels


def _texture(own: DissectedStudy, donor: DissectedStudy, rng: np.random.Generator) -> Image | str:
    """Give the donor's noise, as strong as it would be at the own contrast: inside the body and outside its own."""
    mine, theirs = own.spectrum, donor.spectrum
    if mine is None or theirs is None:
        return "the body is too small to measure its noise"
    gain = same_contrast(donor, own)
    if isinstance(gain, str):
        return gain
    power = np.square(gain)[:, None]
    everywhere = np.ones(own.parts.body.shape, np.float32)
    outside = own.outside_spectrum, donor.outside_spectrum
    if outside[0] is None or outside[1] is None:
        in_body, in_air = donor.parts.noise
        share = float(np.clip((in_air / np.maximum(in_body, 1e-12)).mean(), 0, 1))
        weight = np.where(own.parts.body, everywhere, share)
        return with_noise_of(own.study.x, mine, theirs * power, weight, rng)
    state = rng.bit_generator.state
    inside = with_noise_of(own.study.x, mine, theirs * power, everywhere, rng)
    rng.bit_generator.state = state
    around = with_noise_of(own.study.x, outside[0], outside[1] * power, everywhere, rng)
    return np.where(own.parts.body, inside, around)


def _contrast(own: DissectedStudy, donor: DissectedStudy, rng: np.random.Generator) -> Image | str:  # noqa: ARG001
    """Give the donor's brightness of air and body."""
    return _with_levels_of(own, donor)


def _position(own: DissectedStudy, donor: DissectedStudy, rng: np.random.Generator) -> Image | str:  # noqa: ARG001
    """Shift by whole voxels, so that the body's centre lies where the donor's does; what is missing is mirrored."""
    if own.parts.centre is None or donor.parts.centre is None:
        return NO_OUTSIDE
    shifts = np.rint(donor.parts.centre - own.parts.centre).astype(int)
    sizes = np.asarray(own.parts.body.shape)
    if (np.abs(shifts) >= sizes).any():
        return "the bodies lie too far apart"
    pad = [(0, 0), *((max(shift, 0), max(-shift, 0)) for shift in shifts)]
    padded = np.pad(own.study.x, pad, mode="symmetric")
    starts = [max(-shift, 0) for shift in shifts]
    box = tuple(slice(start, start + size) for start, size in zip(starts, sizes, strict=True))
    return np.ascontiguousarray(padded[(slice(None), *box)])


TRANSPLANTS: Final[Mapping[str, Transplant]] = {
    "border": _border,
    "outside": _outside,
    "texture": _texture,
    "contrast": _contrast,
    "position": _position,
}
"""The properties that are taken from a donor, by the cause that they test."""
