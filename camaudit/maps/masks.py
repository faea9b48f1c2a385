"""An expert's mask in whatever form a caller has it, on the grid of the image that it was drawn on."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from camaudit.maps.images import ImageRequest, PlacedImage, is_file, place_image, stated_array
from camaudit.maps.reading import read_mask_file
from pipeline.errors import ConfigError, Reason, StudyError
from pipeline.studies.geometry import Geometry
from pipeline.studies.readers import MaskFile, MaskRequest
from pipeline.studies.readers.masks.label_maps import binary, present, whole_values
from pipeline.studies.readers.shared.base import carry
from pipeline.studies.volume import Mask

__all__ = ["MaskChoice", "marked_on"]

_ELSEWHERE = "; carry the map to the image that it was drawn on first: map.on(image).overlap(mask)"


@dataclass(frozen=True)
class MaskChoice:
    """Which of several labels is meant: its name or its number. ``chosen``: the caller has named it for this mask."""

    label: str | None
    value: int | None
    chosen: bool

    @classmethod
    def of(cls, target: str, label: str | None, value: int | None) -> "MaskChoice":
        """Return what is meant by a label, or by the name of the target that a map is of; an index is no name."""
        if label is not None and not isinstance(label, str):
            raise ConfigError(f"label: must be a label's name, not {label!r:.40}")
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise ConfigError(f"value: must be a label's number in the mask, not {value!r:.40}")
        return cls(label or (None if target.isdigit() else target), value, chosen=label is not None)


def marked_on(image: PlacedImage, mask: object, wanted: MaskChoice) -> MaskFile:
    """Return where the mask is marked, on the image's own grid, and what its reader notes; nothing is interpolated.

    Raises:
        StudyError: when a file cannot be read, or the mask was drawn on another grid.
        ConfigError: when what is given is no mask.
    """
    try:
        if isinstance(mask, Mask):
            return MaskFile(carry(mask.array, mask.geometry, image.volume.geometry))
        if is_file(mask):
            return _of_file(image, mask, wanted)
        return MaskFile(_of_array(image, mask, wanted))
    except StudyError as fault:
        if fault.reason is not Reason.OTHER_GRID:
            raise
        where = "" if str(fault).startswith("mask: ") else "mask: "
        raise StudyError(fault.stage, fault.reason, f"{where}{fault}{_ELSEWHERE}", excluded=fault.excluded) from None


def _of_file(image: PlacedImage, mask: Any, wanted: MaskChoice) -> MaskFile:  # noqa: ANN401
    if isinstance(mask, list | tuple):
        raise ConfigError("mask: must be one file; unite several before")
    request = MaskRequest(wanted.label, wanted.value, by_reference=not wanted.chosen)
    return read_mask_file(mask, image.file, request)


def _of_array(image: PlacedImage, mask: object, wanted: MaskChoice) -> NDArray[np.bool_]:
    axes = len(image.grid.shape)
    values, affine = stated_array(mask, ImageRequest(axes), "mask")
    while values.ndim > axes and len(values) == 1:  # a batch, a channel
        values = values[0]
    if affine is None:
        if values.shape != image.grid.shape:
            message = f"mask: has the shape {values.shape}, and the image {image.grid.shape}; give (array, affine)"
            raise ConfigError(message)
        return _meant(values, wanted)
    placed = place_image((values, affine), ImageRequest(axes), "mask") if not isinstance(affine, Geometry) else None
    grid = affine if isinstance(affine, Geometry) else placed.grid if placed else image.grid
    return carry(_meant(values, wanted), grid, image.volume.geometry)


def _meant(values: NDArray[Any], wanted: MaskChoice) -> NDArray[np.bool_]:
    """Return where an array holds the wanted number, or anything but 0 where it holds one number besides."""
    try:
        whole = whole_values(values)
        if wanted.value is None:
            return binary(whole)[0]
    except StudyError as fault:
        raise ConfigError(f"mask: {fault}; value= chooses one label's number") from None
    if wanted.value not in present(whole):
        numbers = ", ".join(map(str, sorted(present(whole))[:8])) or "nothing but 0"
        raise ConfigError(f"value: the mask holds {numbers}, not {wanted.value}")
    return np.asarray(whole == wanted.value)
