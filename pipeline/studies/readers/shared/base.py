"""What every reader shares: what it returns, how it refuses, and how a mask gets to the image's grid."""

import csv
import gzip
import json
import logging
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydicom.config import disable_value_validation

from pipeline.errors import Reason, Stage, StudyError, frames_of
from pipeline.studies.geometry import Geometry, GeometryError, place_on
from pipeline.studies.readers.shared.kept_files import KeptFiles
from pipeline.studies.readers.shared.volume_choice import VolumeChoice, VolumeTraits, narrowed
from pipeline.studies.regrid import to_nearest
from pipeline.studies.volume import Volume

__all__ = [
    "AS_STORED",
    "CAP_BYTES",
    "GZIP",
    "GZIP_MAGIC",
    "ImageFile",
    "MaskFile",
    "MaskRequest",
    "ReadOptions",
    "carry",
    "check_frame",
    "check_size",
    "chosen",
    "first_bytes",
    "guarded",
    "inflated",
    "inflates_within",
    "is_gzip",
    "on_grid",
    "refused",
    "regridded",
    "series_files",
    "thin",
    "volume_of",
]

CAP_BYTES = 2 * 1024**3
"""No array larger than this is decoded: header fields are not to be trusted with the host's memory."""

GZIP = 31
"""Zlib's window bits for a gzip stream."""

GZIP_MAGIC = b"\x1f\x8b"
"""How a gzip stream begins."""

_CHUNK = 1024**2
_START = 8192  # bytes of a file that hold the beginning of nearly any
_LIBRARIES = ("nibabel", "pydicom", "pylibjpeg")

Item = TypeVar("Item")


Contours = Literal["even-odd", "union"]
Regrid = Literal["none", "nearest"]


@dataclass(frozen=True)
class ReadOptions:
    """What the user has chosen where a study's files leave a choice.

    ``voi``: whether projections and captures get the display transform that they state. ``volume``: which
    volume or frame of an image that holds several, by what it is or by its number from 0 on; without it such an image
    is refused. ``pet``: whether a PET series is read as stored, or as body-weight SUV. ``labels``: those
    that the model has; a mask of any other is refused unread (None: every mask is read). ``negative``: the one of them
    that means "nothing found", so that an empty mask is what such a study should have. ``contours``: whether voxels
    where contours of one structure overlap are inside (``union``); holes are holes in both. ``regrid``: whether a mask
    on another grid is carried over to the image's nearest voxels.
    """

    voi: Literal["none", "apply"] = "none"
    volume: VolumeChoice | int | None = None
    pet: Literal["raw", "suv_bw"] = "raw"
    consensus: Literal["none", "majority", "staple"] = "none"
    labels: tuple[str, ...] | None = None
    negative: str | None = None
    contours: Contours = "even-odd"
    regrid: Regrid = "none"

    @property
    def choice(self) -> VolumeChoice | None:
        """Which volume is meant."""
        return VolumeChoice(index=self.volume) if isinstance(self.volume, int) else self.volume


AS_STORED = ReadOptions()
"""No choice: what needs one is refused."""


@dataclass(frozen=True)
class ImageFile:
    """An image as read: volume, facts that may leave, and its instances' UIDs, which may not.

    ``frame`` is the number, counted from 1 as DICOM does, of the frame that was chosen among an instance's several.
    ``places`` tells which slice of a DICOM volume each instance's frame is (counted from 1; a plain slice is frame 1).
    """

    volume: Volume
    header: Mapping[str, str] = field(default_factory=dict)
    instances: frozenset[str] = field(default=frozenset(), repr=False)
    frame: int | None = None
    places: Mapping[tuple[str, int], int] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class MaskFile:
    """A mask as read: True inside, on the image's own grid, with what the reader decided on the way."""

    marked: NDArray[np.bool_]
    header: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class MaskRequest:
    """Which of a file's masks is meant.

    ``label`` chooses among several in one file, ``value`` is its number there. In a file that covers many images
    ``key`` is the image's name there, and ``reader`` whose rows count where the file tells. ``by_reference``: the
    label is the study's own, and nobody has said that this file shows it. ``known``: the numbers that are told of this
    file for any label. ``endings`` are those that an image's name may bear.
    ``kept`` holds what was made of the last files that cover many images.
    """

    label: str | None = None
    value: int | None = None
    key: str | None = field(default=None, repr=False)
    reader: str | None = None
    by_reference: bool = False
    known: frozenset[int] = frozenset()
    contours: Contours = "even-odd"
    regrid: Regrid = "none"
    endings: tuple[str, ...] = ()
    kept: KeptFiles = field(default_factory=KeptFiles, compare=False, repr=False)


def refused(reason: Reason, message: str, *, excluded: bool = False) -> StudyError:
    """Return the error of a file that cannot be used; ``message`` holds no path, UID or header text."""
    return StudyError(Stage.READ, reason, message, excluded=excluded)


def guarded(what: str, read: Callable[[], Item]) -> Item:
    """Run ``read`` and turn whatever a library raises into a StudyError that quotes nothing of it.

    Libraries quote header values in errors and warnings, and one decoder's panic is no ``Exception``. The new
    error is raised after the old one is gone, so that no log shows the old one as its context.

    Raises:
        StudyError: for everything but KeyboardInterrupt and SystemExit.
    """
    try:
        with _silence():
            return read()
    except (StudyError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 - a panic of a Rust decoder derives from BaseException
        (reason, why), trace = _reason(error), frames_of(error)
    fault = refused(reason, f"{what} cannot be read: {why}")
    fault.trace = trace
    raise fault


@contextmanager
def _silence() -> Iterator[None]:
    """Keep the libraries' warnings and log records, which quote headers, out of the run's log."""
    loggers = _loggers()

    def mute(_: logging.LogRecord) -> bool:
        return False

    for logger in loggers:
        logger.addFilter(mute)
    try:
        with warnings.catch_warnings(), disable_value_validation():  # it would only warn, and costs a twentieth
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger in loggers:
            logger.removeFilter(mute)


def _loggers() -> list[logging.Logger]:
    """Return the libraries' loggers; some are made late."""
    made = list(logging.root.manager.loggerDict.items())  # another thread may add to them
    return [logger for name, logger in made if name.startswith(_LIBRARIES) and isinstance(logger, logging.Logger)]


def _reason(error: BaseException) -> tuple[Reason, str]:
    """Return the reason and a sentence; of the error itself only a grid's words, which are our own, are quoted."""
    if isinstance(error, GeometryError):
        return Reason.NO_GEOMETRY, str(error)
    for kinds, reason, why in _SENTENCES:
        if isinstance(error, kinds):
            return reason, why
    return Reason.NOT_READABLE, "its content is damaged, or is not what its format says"


_SENTENCES: tuple[tuple[tuple[type[BaseException], ...], Reason, str], ...] = (
    ((MemoryError,), Reason.OUT_OF_MEMORY, "it needs more memory than there is"),
    ((FileNotFoundError,), Reason.MISSING_FILE, "its file is not there"),
    ((PermissionError,), Reason.NOT_READABLE, "its file may not be opened"),
    ((EOFError,), Reason.TRUNCATED, "its file ends early"),
    ((gzip.BadGzipFile, zlib.error), Reason.NOT_READABLE, "the gzip or deflate stream is damaged"),
    ((UnicodeError,), Reason.NOT_READABLE, "its text is not UTF-8"),
    ((json.JSONDecodeError,), Reason.NOT_READABLE, "it is not JSON"),
    ((csv.Error,), Reason.NOT_READABLE, "it is not CSV"),
    ((RecursionError,), Reason.NOT_READABLE, "its items are nested too deep"),
    ((NotImplementedError,), Reason.UNSUPPORTED_FORMAT, "its encoding is not read"),
    ((OSError,), Reason.NOT_READABLE, "its file cannot be read to the end"),
)


def first_bytes(path: Path, count: int) -> bytes:
    """Return up to ``count`` bytes of a regular file's beginning, inflated when it is gzip; else none."""
    if not path.is_file():
        return b""
    with path.open("rb") as file:
        start = file.read(max(count, _START))
    if not start.startswith(GZIP_MAGIC):
        return start[:count]
    plain = inflated(start, max(count, _START))
    if len(plain) >= count:
        return plain[:count]
    try:  # a beginning that says less than it has bytes, or is damaged: Python's own reader knows more kinds
        with gzip.open(path) as packed:
            return packed.read(count)
    except (OSError, EOFError, zlib.error):
        return b""


def is_gzip(path: Path) -> bool:
    """Tell by its first two bytes whether the file is gzip."""
    with path.open("rb") as file:
        return file.read(2) == GZIP_MAGIC


def series_files(path: Path) -> tuple[Path, ...]:
    """Return the files that make up ``path``: itself, or a folder's regular, unhidden files by name."""
    if not path.is_dir():
        return (path,)
    return tuple(sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith(".")))


def check_size(predicted: int) -> None:
    """Refuse an array that would take more than ``CAP_BYTES``, before anything is decoded.

    Raises:
        StudyError: TOO_LARGE, with both sizes.
    """
    if predicted > CAP_BYTES:
        message = f"the array would take {predicted / 2**20:.0f} MiB; the cap is {CAP_BYTES / 2**20:.0f} MiB"
        raise refused(Reason.TOO_LARGE, message)


def chosen(
    count: int, options: ReadOptions, what: str, b_values: Sequence[float] | None = None
) -> tuple[int, dict[str, str]]:
    """Return which of a file's volumes or frames is read, and the fact that tells of the choice.

    They are times one after the other; ``b_values``: one for each, where that is known.

    Raises:
        StudyError: SEVERAL_VOLUMES when there are several and none of them is chosen.
    """
    if count == 1:
        return 0, {}
    choice = options.choice
    if choice is None:
        raise refused(Reason.SEVERAL_VOLUMES, f"the file holds {count} {what}; archive.volume would choose one")
    weights = [None] * count if b_values is None else b_values
    wanted = narrowed([VolumeTraits(weight, number) for number, weight in enumerate(weights)], choice, what)
    return wanted, {"volume": f"{what} 0 to {count - 1}: {wanted} chosen"}


def inflated(data: bytes, count: int, window_bits: int = GZIP) -> bytes:
    """Return up to ``count`` bytes of a deflated stream's beginning; none of what is damaged."""
    try:
        return zlib.decompressobj(window_bits).decompress(data, count)
    except zlib.error:
        return b""


def inflates_within(file: BinaryIO, cap: int, window_bits: int) -> bool:
    """Tell whether the deflated rest of ``file`` inflates to at most ``cap`` bytes, without keeping them."""
    inflator, total = zlib.decompressobj(window_bits), 0
    while total <= cap and not inflator.eof:
        chunk = inflator.unconsumed_tail or file.read(_CHUNK)
        if not chunk:
            break
        total += len(inflator.decompress(chunk, _CHUNK))
    return total <= cap


def volume_of(values: NDArray[np.generic], geometry: Geometry) -> Volume:
    """Return the image; NaN and infinity are refused by their own reason.

    Raises:
        StudyError: NOT_FINITE, with the number of such voxels.
    """
    with np.errstate(over="ignore"):  # beyond float32 is infinity, which is refused
        array = np.asarray(values, dtype=np.float32)
    try:
        return Volume(array, geometry)
    except GeometryError:
        wrong = array.size - int(np.isfinite(array).sum())
        if not wrong:
            raise
    raise refused(Reason.NOT_FINITE, f"{wrong} of {array.size} voxels are NaN or infinite")


def carry(marked: NDArray[np.bool_], source: Geometry, image: Geometry) -> NDArray[np.bool_]:
    """Return ``marked`` on the image's grid; its voxels must be the image's, in whatever order of axes.

    Raises:
        StudyError: excluded; OTHER_FRAME_OF_REFERENCE, or OTHER_GRID with both grids.
    """
    check_frame(source.frame_of_reference, image)
    try:
        return place_on(marked, thin(source), thin(image), partial=False)
    except GeometryError as error:  # the words are our own: sizes, spacings, positions
        message = str(error)
    raise refused(Reason.OTHER_GRID, message, excluded=True)


def on_grid(
    marked: NDArray[np.bool_], source: Geometry, image: Geometry, wanted: MaskRequest
) -> tuple[NDArray[np.bool_], dict[str, str]]:
    """Return ``marked`` on the image's grid: its own voxels, or, where that is asked for, the nearest ones; facts.

    Raises:
        StudyError: excluded, as ``carry``; OTHER_GRID too for a mask that would be cut off or lost.
    """
    try:
        return carry(marked, source, image), {}
    except StudyError as error:
        if wanted.regrid != "nearest" or error.reason is not Reason.OTHER_GRID:
            raise
        message = str(error)
    return regridded(marked, source, image, message)


def regridded(
    marked: NDArray[np.bool_], source: Geometry, image: Geometry, why: str
) -> tuple[NDArray[np.bool_], dict[str, str]]:
    """Return a mask at the image's voxels by its own nearest ones, and the fact of it; ``why`` is the refusal's words.

    Raises:
        StudyError: OTHER_GRID, excluded, for a mask that would be cut off or lost.
    """
    check_frame(source.frame_of_reference, image)
    try:
        placed, change = to_nearest(marked, source, image)
    except GeometryError as error:
        message = f"{why}; resampled, {error}"
    else:
        return placed, {"mask resampled": f"to the nearest voxels of the image, {change}"}
    raise refused(Reason.OTHER_GRID, message, excluded=True)


def check_frame(frame: str | None, image: Geometry) -> None:
    """Refuse a mask that lies in another frame of reference than the image; silent when one is not stated.

    Raises:
        StudyError: OTHER_FRAME_OF_REFERENCE, excluded; the frames are UIDs, which stay in the loader.
    """
    if frame and image.frame_of_reference and frame != image.frame_of_reference:
        message = "the mask's frame of reference differs from the image's"
        raise refused(Reason.OTHER_FRAME_OF_REFERENCE, message, excluded=True)


def thin(grid: Geometry) -> Geometry:
    """Return the grid with 1 mm steps along axes of one voxel: writers differ on them, and no voxel moves."""
    if min(grid.shape) > 1:
        return grid
    affine = grid.affine.copy()
    for axis, size in enumerate(grid.shape):
        if size == 1:
            affine[:3, axis] /= np.linalg.norm(affine[:3, axis])
    return replace(grid, affine=affine)
