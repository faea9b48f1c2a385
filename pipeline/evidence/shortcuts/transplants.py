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

from pipeline.evidence.shortcuts.parts import UNKNOWN_LESION, Levels, StudyParts, grown
from pipeline.evidence.shortcuts.study import BatteryStudy
from pipeline.evidence.shortcuts.texture import noise_in, noise_spectrum, with_noise_of

__all__ = ["NO_OUTSIDE", "TRANSPLANTS", "DissectedStudy", "Transplant", "same_contrast"]

Image = NDArray[np.float32]
Region = NDArray[np.bool_]

_STANDS_OUT = 8.0  # standard deviations of the noise: marks and frames

NO_OUTSIDE = "no outside of the body in the picture"


@dataclass(frozen=True, eq=False)
class DissectedStudy:
    """A study with its parts found."""

    study: BatteryStudy
    parts: StudyParts

    @cached_property
    def tissues(self) -> tuple[Region, Region]:
        """Where its noise is measured: the body without marks and lesion, its outside without marks and frames.

        A lesion hardly wider than a grain of noise would be taken for one.
        """
        marks, lesion = self.parts.body_marks, self.study.lesion
        body = self.parts.body if isinstance(marks, str) else self.parts.body & ~marks
        if lesion is not None:
            body = body & ~grown(lesion, 1, self.study.ruler)
        outside = ~grown(self.parts.body, 1, self.study.ruler)
        if outside.any():
            for channel, noise in zip(self.study.x, self.parts.air_noise, strict=True):
                outside = outside & (np.abs(channel - np.median(channel[outside])) <= _STANDS_OUT * noise)
        return body, outside

    @cached_property
    def noise(self) -> Image:
        """Its noise (channels, *S), in either tissue."""
        body, outside = (noise_in(self.study.x, tissue, self.study.ruler) for tissue in self.tissues)
        return body + outside

    @cached_property
    def spectra(self) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
        """The power of its noise (channels, bins) in either tissue; None where that is too small."""
        body, outside = (noise_spectrum(self.noise, tissue) for tissue in self.tissues)
        return body, outside

    def without_noise(self) -> "DissectedStudy":
        """Return the study with its structure alone."""
        return DissectedStudy(replace(self.study, x=self.study.x - self.noise), self.parts)


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


def _outside_both(own: DissectedStudy, donor: DissectedStudy) -> Region:
    return own.parts.outside & donor.parts.outside


def _lesions(own: DissectedStudy, donor: DissectedStudy) -> Region:
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
    """Give the donor's noise, as strong as it would be at the own contrast: inside the body and outside its own.

    The lesion keeps its noise, and has to be known: swapped like noise, it would be weakened.
    """
    if any(study.positive and study.lesion is None for study in (own.study, donor.study)):
        return UNKNOWN_LESION
    if own.spectra[0] is None or donor.spectra[0] is None:
        return "the body is too small to measure its noise"
    gain = same_contrast(donor, own)
    if isinstance(gain, str):
        return gain
    power = np.square(gain)[:, None]
    changed = own.study.x
    for tissue, mine, theirs in zip(own.tissues, own.spectra, donor.spectra, strict=True):
        if mine is not None and theirs is not None:
            changed = with_noise_of((changed, own.noise, mine), theirs * power, tissue, rng)
    return changed


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
