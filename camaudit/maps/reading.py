"""Files that a caller names, read as an audit reads them: by a process with limits, through the same gates."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from camaudit.maps.series import described_series
from pipeline.errors import ConfigError, Reason, StudyError
from pipeline.studies.readers import ImageFile, MaskFile, MaskRequest, ReadOptions, read_image, read_mask
from pipeline.studies.readers.third_parties import load_readers
from pipeline.studies.untrusted.workers import DECODING, isolated_map

__all__ = ["read_image_file", "read_mask_file"]

Item = TypeVar("Item")

_AUDITS_WORDS = {
    "archive.volume": "volume=",
    "the manifest can state its number, as in mask:<reader>:<label>=1": "value= states its number",
    ", and nothing tells which is meant": ", and nothing tells which is meant; label= or value= chooses",
}
"""What an audit's messages advise, and what a caller of Python does instead."""


def read_image_file(given: Any, volume: int | None, what: str) -> ImageFile:  # noqa: ANN401 - a path, or several
    """Read the image of a file, a folder of DICOM slices, or the files of a series.

    Raises:
        StudyError: with the reason; the message names the file as the caller does, and nothing that it holds.
        ConfigError: when ``volume`` is no number.
    """
    if volume is not None and (isinstance(volume, bool) or not isinstance(volume, int) or volume < 0):
        raise ConfigError(f"volume: must be a whole number from 0, not {volume!r:.40}")
    read = partial(read_image, options=ReadOptions(volume=volume), readers=load_readers())
    with _gathered(given, what) as path:
        try:
            return _isolated(read, path)
        except StudyError as fault:
            raise _in_words(fault, path, f"{what}: {_name(given)}") from None


def read_mask_file(given: str | Path, image: ImageFile, request: MaskRequest) -> MaskFile:
    """Read a mask of a file onto the grid of the image that it was drawn on.

    Raises:
        StudyError: as for an image; OTHER_GRID when it was drawn on another one.
    """
    read = partial(read_mask, image=image, wanted=request, readers=load_readers())
    with _gathered(given, "mask") as path:
        try:
            return _isolated(read, path)
        except StudyError as fault:
            raise _in_words(fault, path, f"mask: {path.name}") from None


def _isolated(read: Callable[[Path], Item], path: Path) -> Item:
    (answer,) = isolated_map(read, [path], workers=1, limits=DECODING)
    if isinstance(answer, StudyError):
        raise answer
    return answer


@contextmanager
def _gathered(given: Any, what: str) -> Iterator[Path]:  # noqa: ANN401
    """Yield one path: what is given, or a folder of links to the files that are given."""
    if not isinstance(given, list | tuple):
        if not str(given) or "\0" in str(given):
            raise ConfigError(f"{what}: must be a path, not {str(given)!r:.60}")
        if "://" in str(given):
            raise ConfigError(f"{what}: must be a path, and {str(given)!r:.60} is an address; fetch it first")
        yield Path(given).expanduser().absolute()
        return
    with tempfile.TemporaryDirectory(prefix="camaudit-") as name:  # mode 0700
        for number, file in enumerate(Path(path).expanduser().absolute() for path in given):
            if not file.is_file():
                raise ConfigError(f"{what}: a list holds a series' files, and {file.name!r} is none")
            (Path(name) / f"{number:06d}{file.suffix}").symlink_to(file)
        yield Path(name)


def _name(given: object) -> str:
    return (
        f"{len(given)} files" if isinstance(given, Sequence) and not isinstance(given, str) else Path(str(given)).name
    )


def _in_words(fault: StudyError, path: Path, where: str) -> StudyError:
    """Return a fault that names what was given, and what can be done about it."""
    message = f"{where}: {fault}"
    for audits, ours in _AUDITS_WORDS.items():
        message = message.replace(audits, ours)
    if path.is_dir() and fault.reason is Reason.MIXED_SERIES:
        described = _isolated(described_series, path)
        message += f"; it holds {described}: give one of them as a list of its files" if described else ""
    elif path.is_dir() and fault.reason is Reason.MISSING_FILE and any(entry.is_dir() for entry in path.iterdir()):
        message += "; name one of the folders in it"
    return StudyError(fault.stage, fault.reason, message, excluded=fault.excluded, trace=fault.trace)
