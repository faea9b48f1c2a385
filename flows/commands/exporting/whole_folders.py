"""Folders of an export that are complete or absent: written beside their place, and moved there at the end."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from flows.commands.exporting.request import ExportRequest
from pipeline.errors import OutputError

__all__ = ["whole_folders"]

_FOLDERS = ("dicom", "nifti", "nrrd", "bids", "ro_crate")


@contextmanager
def whole_folders(request: ExportRequest) -> Iterator[ExportRequest]:
    """Yield the request with other folders, which become those that it names when the block ends.

    So what is interrupted, or meets a full disk, leaves nothing, and the same command can be called again.

    Raises:
        OutputError: when a folder cannot be made.
    """
    asked: dict[str, Path] = {name: path for name in _FOLDERS if (path := getattr(request, name)) is not None}
    with ExitStack() as stack:
        beside = {name: _beside(stack, path) for name, path in asked.items()}
        yield replace(request, **beside)  # type: ignore[arg-type]  # all of them are folders
        for name, path in asked.items():
            if beside[name].exists():
                _moved(beside[name], path)


def _beside(stack: ExitStack, path: Path) -> Path:
    place = path.absolute()
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        folder = stack.enter_context(TemporaryDirectory(prefix=f".{place.name}.", dir=place.parent))
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}; name another folder") from error
    return Path(folder, place.name)


def _moved(folder: Path, path: Path) -> None:
    try:
        folder.rename(path)  # onto an empty folder, where there is one
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
