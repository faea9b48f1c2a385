"""The rows of a cohort's studies: in memory while they are few, and a block at a time when they are many."""

import pickle
from collections.abc import Callable, Iterator

from pipeline.findings.brief_study import BriefStudy, RowMaker
from pipeline.findings.study_audit import StudyAudit
from pipeline.packed.items import Keep, in_memory
from pipeline.packed.on_demand import OnDemand

__all__ = ["StudyRows"]

_BLOCK = 1_024
_FEW = 8_192
"""Studies whose rows stay as they are; beyond, each block is handed over as bytes."""


class StudyRows(OnDemand[BriefStudy]):
    """Rows in the order in which they were added; ``keep`` has the blocks of a large cohort, of which one is open.

    Rows of studies that stay in memory share what is equal.
    """

    def __init__(self, keep: Keep = in_memory) -> None:
        self._keep, self._few = keep, _FEW
        self._maker, self._rows = RowMaker(), list[BriefStudy]()
        self._blocks: list[Callable[[], bytes]] = []
        self._open: tuple[int, list[BriefStudy]] = (-1, [])

    def add(self, audit: StudyAudit) -> BriefStudy:
        """Add the row of a study's record, and return it."""
        row = self._maker.row_of(audit)
        self._rows.append(row)
        if len(self._rows) == self._few + _BLOCK:
            self._blocks.append(self._keep(pickle.dumps(self._rows[self._few :], protocol=pickle.HIGHEST_PROTOCOL)))
            del self._rows[self._few :]
            self._maker = RowMaker()  # what the block shares is with the block
        return row

    def __len__(self) -> int:
        return len(self._rows) + _BLOCK * len(self._blocks)

    def _item(self, place: int) -> BriefStudy:
        if place < self._few:
            return self._rows[place]
        block, row = divmod(place - self._few, _BLOCK)
        return self._rows[self._few + row] if block == len(self._blocks) else self._block(block)[row]

    def __iter__(self) -> Iterator[BriefStudy]:
        yield from self._rows[: self._few]
        for block in range(len(self._blocks)):
            yield from self._block(block)
        yield from self._rows[self._few :]

    def _block(self, number: int) -> list[BriefStudy]:
        if self._open[0] != number:
            self._open = number, pickle.loads(self._blocks[number]())
        return self._open[1]
