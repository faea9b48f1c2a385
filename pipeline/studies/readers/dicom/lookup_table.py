"""DICOM's lookup tables (PS3.3 C.11.1.1 and C.11.2.1.1): values in, values out, as the table really holds them.

Three numbers describe a table: how many entries, the first value that is mapped, and the bits of an entry. Writers err
in the second one's sign and in the third. The sign is that of the values that go in; what comes out is judged by the
entries, not by the bits that are stated.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataelem import RawDataElement

from pipeline.errors import Reason
from pipeline.studies.readers.shared.base import refused

__all__ = ["LookupTable", "table_of"]

_WORD = 2**16


@dataclass(frozen=True)
class LookupTable:
    """Entries for the values from ``first`` on; values below and above get the first and the last entry."""

    first: int
    entries: NDArray[np.float64]

    def apply(self, values: NDArray[np.generic]) -> NDArray[np.float64]:
        """Return the entries of values, which count as the whole numbers nearest to them."""
        index = np.rint(np.asarray(values, dtype=np.float64)).astype(np.int64) - self.first
        shown: NDArray[np.float64] = self.entries[index.clip(0, len(self.entries) - 1)]
        return shown

    @property
    def ends(self) -> NDArray[np.float64]:
        """The lowest and the highest entry."""
        return np.array([self.entries.min(), self.entries.max()])


def table_of(item: Dataset, lowest: float) -> LookupTable:
    """Return the table of a sequence's item; ``lowest`` is the lowest value that can go in.

    Raises:
        StudyError: NOT_READABLE when LUTDescriptor or LUTData is absent, or they contradict each other.
    """
    described = np.frombuffer(*_words(item, "LUTDescriptor"))
    if len(described) != 3:
        raise refused(Reason.NOT_READABLE, f"a table's LUTDescriptor holds {len(described)} numbers, not 3")
    count, first = int(described[0]) or _WORD, int(described[1])
    if lowest < 0 and first >= _WORD // 2:
        first -= _WORD
    data, word = _words(item, "LUTData")
    if len(data) in (2 * count, 2 * count + 1):
        kind = word
    elif len(data) in (count, count + count % 2):
        kind = "u1"
    else:
        message = f"a table's LUTData holds {len(data)} bytes, and its LUTDescriptor states {count} entries"
        raise refused(Reason.NOT_READABLE, message)
    return LookupTable(first, np.frombuffer(data, kind, count=count).astype(np.float64))


def _words(item: Dataset, keyword: str) -> tuple[bytes, str]:
    """Return an element's bytes and the type of their words; a value that was parsed already is written back."""
    element = item.get_item(keyword)
    value = None if element is None else element.value
    if isinstance(value, bytes):
        little = bool(element.is_little_endian) if isinstance(element, RawDataElement) else _is_little(item)
        return value, "<u2" if little else ">u2"
    if value is None:
        raise refused(Reason.NOT_READABLE, f"a table states no {keyword}")
    try:
        numbers = np.atleast_1d(np.asarray(value, dtype=np.int64))
    except (ValueError, TypeError):
        numbers = np.empty(0, dtype=np.int64)
    return (numbers % _WORD).astype("<u2").tobytes(), "<u2"


def _is_little(item: Dataset) -> bool:
    return item.original_encoding[1] is not False
