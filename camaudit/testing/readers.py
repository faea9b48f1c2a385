"""Generic checks of a reader, this program's own or a third party's."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

import numpy as np

from pipeline.errors import StudyError
from pipeline.studies.readers import AS_STORED, BUILT_IN, ImageFile, MaskRequest
from pipeline.studies.readers.shared.base import guarded
from pipeline.studies.readers.third_parties import what_is_wrong

__all__ = ["FOREIGN", "check_reader"]

FOREIGN = {
    "empty": b"",
    "one byte": b"\0",
    "text": b"name,age\nsomebody,40\n",
    "gzip cut off": b"\x1f\x8b\x08\0\0\0\0\0\0\x03",
    "zeros": bytes(4096),
    "noise": bytes(np.random.default_rng(0).integers(0, 256, 4096, dtype=np.uint8)),
    "DICOM preamble alone": bytes(128) + b"DICM",
}
"""Files that are of no reader's format."""

_CUTS = (0.5, 0.9)


def check_reader(module: ModuleType, examples: Iterable[Path]) -> None:
    """Try a reader on foreign files, and on ``examples``: sound image files of its format, as its package makes them.

    Tried are: what it declares; that ``accepts`` takes its own files and never raises on others; that an image lies in
    RAS+ mm on a grid that can be turned back, and reads twice the same; that one without its last tenth is refused by a
    ``StudyError``; that an image's own voxels read as a mask lie on its grid; and that no file is left open.

    Raises:
        AssertionError: with the first rule that does not hold.
    """
    own = (*BUILT_IN.images, *BUILT_IN.masks)
    wrong = "" if module in own else what_is_wrong(module)
    assert not wrong, f"{module.__name__}: {wrong}"
    opened = _open_files()
    with TemporaryDirectory(prefix="camaudit-check-") as folder:
        _check_foreign(module, Path(folder))
        paths = list(examples)
        for path in paths:
            _check_example(module, path, Path(folder))
    assert paths, f"{module.__name__}: there is no example to try"
    left = _open_files() - opened
    assert not left, f"{module.__name__}: leaves {len(left)} files open"


def _check_foreign(module: ModuleType, folder: Path) -> None:
    paths = [folder, folder / "absent"]
    for number, content in enumerate(FOREIGN.values()):
        for ending in ("", *module.FACTS.endings):
            path = folder / f"{number}{ending}"
            path.write_bytes(content)
            paths.append(path)
    for path in paths:
        try:
            accepted = module.accepts(path)
        except Exception as error:
            raise AssertionError(
                f"{module.__name__}: accepts raises {type(error).__name__} on a foreign file"
            ) from error
        assert accepted is True or accepted is False, f"{module.__name__}: accepts returns neither True nor False"
        if path.name in ("absent", *(f"{number}" for number in range(len(FOREIGN) - 1))):
            assert not accepted, f"{module.__name__}: accepts takes a file of no format"


def _check_example(module: ModuleType, path: Path, folder: Path) -> None:
    name = module.__name__
    assert module.accepts(path), f"{name}: accepts does not take its own example"
    if not hasattr(module, "read"):
        return
    image = _read(module, path)
    _check_geometry(name, image)
    again = _read(module, path)
    assert _content(image) == _content(again), f"{name}: reads one file in two ways"
    content = path.read_bytes()
    for cut in _CUTS:
        shorter = folder / f"cut-{cut}{''.join(path.suffixes)}"
        shorter.write_bytes(content[: int(len(content) * cut)])
        if module.accepts(shorter):
            _check_refused(name, partial(module.read, shorter, AS_STORED))
    if hasattr(module, "read_mask"):
        mask = guarded("the mask", lambda: module.read_mask(path, image, MaskRequest()))
        assert mask.marked.dtype == np.bool_, f"{name}: a mask is not of booleans"
        assert mask.marked.shape == image.volume.array.shape, f"{name}: a mask does not lie on its image's grid"


def _read(module: ModuleType, path: Path) -> ImageFile:
    image: ImageFile = guarded("the image", lambda: module.read(path, AS_STORED))
    return image


def _content(image: ImageFile) -> tuple[object, ...]:
    grid = image.volume.geometry
    return image.volume.array.tobytes(), grid.shape, grid.affine.tobytes(), dict(image.header), image.instances


def _check_geometry(name: str, image: ImageFile) -> None:
    affine, shape = image.volume.geometry.affine, image.volume.array.shape
    assert image.volume.array.dtype == np.float32, f"{name}: voxels are {image.volume.array.dtype}, not float32"
    assert affine.shape == (4, 4), f"{name}: the affine is {affine.shape}, not (4, 4)"
    assert np.isfinite(affine).all(), f"{name}: the affine is not finite"
    assert abs(np.linalg.det(affine[:3, :3])) > 0, f"{name}: the affine cannot be turned back"
    spacing = np.linalg.norm(affine[:3, : len(shape)], axis=0)
    assert (spacing < 1000).all(), f"{name}: a step of {spacing.max():g} is no millimetres"


def _check_refused(name: str, read: Callable[[], object]) -> None:
    """A library's own exception becomes a ``StudyError`` where readers are called; returning is what is wrong."""
    try:
        guarded("the image", read)
    except StudyError:
        return
    raise AssertionError(f"{name}: reads a file that was cut short")


def _open_files() -> set[str]:
    """Return this process's open files, where the system tells them."""
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        return set()
    links = {link: str(link.readlink()) for link in folder.iterdir() if link.is_symlink()}
    return {f"{link} {target}" for link, target in links.items() if not target.startswith("/proc/")}
