"""An image in whatever form a caller has it, with the place where it lies.

A place is taken from what states one: a file's header, a MetaTensor, an affine that comes with the array. Where nothing
does, distances are in pixels and no side is named.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from camaudit.maps.reading import read_image_file
from pipeline.errors import ConfigError
from pipeline.studies.geometry import Geometry, GeometryError
from pipeline.studies.readers.shared.base import ImageFile
from pipeline.studies.readers.shared.flat import NO_SPACING, flat_geometry
from pipeline.studies.study import Study
from pipeline.studies.volume import Volume

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ImageRequest", "PlacedImage", "is_file", "place_image", "stated_array"]

_KINDS = (
    "the path of a file (NIfTI, NRRD, PNG, JPEG, DICOM) or of a DICOM folder, a list of a series' files, a MetaTensor, "
    "a nibabel image, an array, or (array, affine)"
)


_MOST_CHANNELS = 4  # of a picture


@dataclass(frozen=True)
class ImageRequest:
    """What the image is for: ``axes`` spatial ones and ``channels`` where they are known, ``volume`` of several."""

    axes: int | None = None
    channels: int | None = None
    volume: int | None = None


@dataclass(frozen=True, eq=False)
class PlacedImage:
    """An image and its place: ``channels`` (C, *S), and as ``file`` their mean and what was read with it."""

    channels: NDArray[np.float32] = field(repr=False)
    file: ImageFile = field(repr=False)

    @property
    def volume(self) -> Volume:
        """The image as one value a voxel."""
        return self.file.volume

    @property
    def grid(self) -> Geometry:
        """Where its voxels lie; a frame of reference goes by a digest of its UID, which is a patient's."""
        geometry = self.volume.geometry
        frame = geometry.frame_of_reference
        return replace(geometry, frame_of_reference=frame and hashlib.sha256(frame.encode()).hexdigest()[:16])


def is_file(given: object) -> bool:
    """Tell whether a path is given, or a list of paths."""
    several = isinstance(given, list | tuple) and len(given) > 0 and all(isinstance(path, str | Path) for path in given)
    return isinstance(given, str | Path) or several


def place_image(given: object, wanted: ImageRequest, what: str = "image") -> PlacedImage:
    """Return an image with its place; ``what`` names the argument in messages.

    Raises:
        StudyError: when a file cannot be read; its ``reason`` says why.
        ConfigError: when what is given is no image, or none of the wanted axes.
    """
    if isinstance(given, PlacedImage):
        return given
    if is_file(given):
        return _of_file(read_image_file(given, wanted.volume, what))
    if isinstance(given, Study | Volume):
        return _of_file(ImageFile(given) if isinstance(given, Volume) else _of_study(given))
    if wanted.volume is not None and not hasattr(given, "dataobj"):
        raise ConfigError("volume: chooses one of a file's several volumes; there is no file here, leave it out")
    array, affine = stated_array(given, wanted, what)
    channels = _channels(array, wanted, what)
    try:
        geometry = affine if isinstance(affine, Geometry) else _geometry(channels.shape[1:], affine, what)
        volume = Volume(channels[0] if len(channels) == 1 else channels.mean(axis=0), geometry)
    except GeometryError as error:
        raise ConfigError(f"{what}: {error}") from error
    return PlacedImage(channels, ImageFile(volume))


def _of_file(file: ImageFile) -> PlacedImage:
    return PlacedImage(file.volume.array[None], file)


def _of_study(study: Study) -> ImageFile:
    """Return a study's image; its frame of reference is a pseudonym, which no file's can be held against."""
    geometry = replace(study.image.geometry, frame_of_reference=None)
    return ImageFile(replace(study.image, geometry=geometry), study.header)


def stated_array(given: Any, wanted: ImageRequest, what: str) -> tuple[NDArray[Any], object]:  # noqa: ANN401
    """Return an array, and the affine that is stated with it: None where nothing states one.

    Raises:
        ConfigError: when what is given is no array, nor holds one.
    """
    if hasattr(given, "dataobj"):  # nibabel's
        return _nibabel_array(given, wanted, what), given.affine
    if isinstance(given, tuple) and len(given) == 2:
        array, affine = given
        return _plain(array, what), None if affine is None else _affine(affine, what)
    if hasattr(given, "affine") and hasattr(given, "meta"):  # a MetaTensor
        return _of_meta_tensor(given, what)
    return _plain(given, what), None


def _plain(given: Any, what: str) -> NDArray[Any]:  # noqa: ANN401
    """Return a plain array of numbers."""
    values = given.detach().cpu() if hasattr(given, "detach") else given
    if str(getattr(values, "dtype", "")) == "torch.bfloat16":  # which numpy does not know
        values = values.float()
    try:
        array = np.asarray(values) if hasattr(values, "__array__") or isinstance(given, list) else None
    except (TypeError, ValueError):  # a sparse tensor, rows of several lengths
        array = None
    if array is None or array.dtype.kind not in "biuf" or array.ndim < 2 or not array.size:
        kind = type(given).__name__ if array is None else f"an array of {array.dtype} of shape {array.shape}"
        raise ConfigError(f"{what}: must be {_KINDS}, not {kind}")
    return array


def _affine(given: Any, what: str) -> NDArray[np.float64]:  # noqa: ANN401
    try:
        return np.asarray(given.cpu() if hasattr(given, "cpu") else given, dtype=np.float64)
    except (TypeError, ValueError):
        pass
    raise ConfigError(f"{what}: its affine must be a matrix of numbers of shape (4, 4), not {type(given).__name__}")


def _nibabel_array(given: Any, wanted: ImageRequest, what: str) -> NDArray[Any]:  # noqa: ANN401
    array = _plain(np.asanyarray(given.dataobj), what)
    while array.ndim > 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim == 4 and wanted.volume is not None and 0 <= wanted.volume < array.shape[3]:
        array = array[..., wanted.volume]
    if array.ndim > 3:
        advice = f"volume= from 0 to {array.shape[3] - 1} chooses one" if what == "image" else "give one of them"
        raise ConfigError(f"{what}: holds {array.shape[3]} volumes; {advice}")
    return array


def _of_meta_tensor(given: "Tensor", what: str) -> tuple[NDArray[Any], object]:
    """Return a MetaTensor's array, without its batch of one, and its affine: None where nobody stated it.

    MONAI gives the identity to a tensor that comes without an affine, and to a picture of a file without one. Of the
    latter the first axis runs to the right.
    """
    meta: Any = given
    array, affine = _plain(given, what), _affine(meta.affine, what)
    if affine.ndim == 3:
        if len(affine) != 1:
            raise ConfigError(f"{what}: is a batch of {len(affine)}; explain each by itself, image[0] first")
        array, affine = array[0], affine[0]
    stated = "original_affine" in meta.meta
    if not stated and {"width", "height"} <= set(meta.meta):
        size = array.shape[-2:]
        embedded = np.diag([-1.0, -1.0, 1.0, 1.0]) @ _in_space(affine)
        return array, Geometry(size, embedded, oriented=False, scaled=False)
    identity = np.array_equal(affine, np.eye(len(affine)))
    return array, None if identity and not stated else affine


def _channels(array: NDArray[Any], wanted: ImageRequest, what: str) -> NDArray[np.float32]:
    """Return an array as (C, *S): with a channel where it has none, without a batch of one."""
    axes = wanted.axes or (2 if array.ndim == 2 else 3)
    unasked = wanted.axes is not None and wanted.channels is None and array.ndim == axes + 1
    if unasked and len(array) > _MOST_CHANNELS:
        raise ConfigError(f"{what}: its shape {array.shape} does not do: it must have {axes} spatial axes")
    if array.ndim == axes + 1 and _channels_last(array.shape, wanted.channels):
        raise ConfigError(f"{what}: the channels come last in its shape {array.shape}; move them first, as (C, ...)")
    if array.ndim == axes:
        array = array[None]
    elif array.ndim == axes + 2 and len(array) == 1:
        array = array[0]
    if array.ndim != axes + 1:
        batch = (
            f" is a batch of {len(array)}: explain each image by itself, or all by cam.explain"
            if array.ndim == axes + 2
            else ""
        )
        words = f"must have {axes} spatial axes, and may have a channel before them"
        raise ConfigError(f"{what}: its shape {array.shape}{batch or f' does not do: it {words}'}")
    return np.ascontiguousarray(array, dtype=np.float32)


def _channels_last(shape: Sequence[int], channels: int | None) -> bool:
    """Tell whether a shape ends in the model's channels, of which a picture has few, and does not begin with them."""
    return channels is not None and channels <= _MOST_CHANNELS and shape[-1] == channels != shape[0]


def _geometry(shape: Sequence[int], affine: object, what: str) -> Geometry:
    size = tuple(int(length) for length in shape)
    if affine is None:
        if len(size) == 2:
            return flat_geometry(size, np.ones(2), None, NO_SPACING)
        return Geometry(size, np.eye(4), oriented=False, scaled=False)
    matrix = np.asarray(affine, dtype=np.float64)
    if matrix.shape not in ((4, 4), (len(size) + 1,) * 2):
        raise ConfigError(f"{what}: its affine must be of shape (4, 4), not {matrix.shape}")
    return Geometry(size, matrix if len(size) == 3 else _in_space(matrix))


def _in_space(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a plane's affine (4, 4) whose third column is the plane's unit normal."""
    whole = np.eye(4)
    dims = len(affine) - 1
    whole[:dims, :2], whole[:dims, 3] = affine[:dims, :2], affine[:dims, dims]
    normal = np.cross(whole[:3, 0], whole[:3, 1])
    whole[:3, 2] = normal / (np.linalg.norm(normal) or 1)
    return whole
