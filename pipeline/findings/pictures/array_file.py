"""Arrays by name in one ``.npz``: no pickles, no clock's date, packed where packing gains something."""

import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.files import written

__all__ = ["require_arrays", "write_arrays"]

_PARTS, _PART = 8, 2**11  # how many parts of an array are tried, and how many values are in each


def write_arrays(path: Path, arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """Write arrays as one ``.npz``; the same arrays give the same bytes.

    Raises:
        OutputError: when the file cannot be written.
    """
    with written(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy")  # without a clock's date
            entry.compress_type = zipfile.ZIP_DEFLATED if _shrinks(array) else zipfile.ZIP_STORED
            with archive.open(entry, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _shrinks(array: NDArray[np.generic]) -> bool:
    """Tell by parts of an array whether packing gains a fifth: interpolated values gain less, and unpacking is slow."""
    flat = np.ascontiguousarray(array).reshape(-1)
    starts = np.linspace(0, max(0, array.size - _PART), _PARTS).astype(int)
    tried = b"".join(flat[start : start + _PART].tobytes() for start in starts.tolist())
    return array.size <= _PART * _PARTS or len(zlib.compress(tried, 1)) < 0.8 * len(tried)


def require_arrays(arrays: Iterable[NDArray[Any]], kind: type[np.generic], shape: tuple[int, ...] | None) -> None:
    """Refuse arrays of a file that are not of this type and shape (None: any), or hold what is no number.

    Raises:
        ValueError: which of it is so.
    """
    for array in arrays:
        if array.dtype != kind or (shape is not None and array.shape != shape):
            raise ValueError(f"an array of {array.dtype} {array.shape}, where {kind.__name__} {shape} is due")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError("an array that holds what is no number")
