"""Stretches of studies, one after the other: what is next is read ahead of the model, and maps are scored behind it.

Between two stretches the model waits for neither.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from pipeline.findings.shards import Maps
from pipeline.findings.study_audit import StudyAudit
from pipeline.progress import BatchProgress, Progress, silent
from pipeline.walk.auditor import Auditor
from pipeline.walk.batch_size import BatchSize, largest_batch, usual_batch
from pipeline.walk.map_plan import expected_maps
from pipeline.walk.read_ahead import Prefetched, WorkBehind
from pipeline.walk.reading import ReadOutcome, read_and_prepare
from pipeline.walk.sources import StudySource

__all__ = ["AuditBatch", "Audited", "Rows", "Stretch", "in_turn"]

Rows = list[tuple[StudyAudit, Maps]]
"""Studies' records, each with its new maps."""

Audited = tuple[list[StudyAudit], Maps]
"""The records of a stretch in order, and its new maps by key."""

AuditBatch = Callable[[Auditor, Sequence[ReadOutcome], Callable[[int], None], WorkBehind], Callable[[], Rows]]
"""Shows a batch to the model, tells of maps, and hands them over to be scored; returns what waits for the rows."""

_BEHIND = 1  # batches whose maps are scored while the next one is read and explained
_READ_AHEAD = 16  # studies in memory besides those of the batch that is analysed, whatever the size of a batch


@dataclass(frozen=True)
class Stretch:
    """Studies, at least one, that are audited in order and kept together, such as those of a shard."""

    auditor: Auditor
    sources: Sequence[StudySource]
    on_maps: Progress = silent


def in_turn(
    audit_batch: AuditBatch, first: Stretch, upcoming: Callable[[], Stretch | None]
) -> Generator[Audited, None, None]:
    """Audit stretches one after the other, and yield what each came to as soon as its last maps are scored.

    ``upcoming`` is asked for the next one when all studies of the last are read: so it is read while the model still
    has those, and shown to the model while their maps are scored. Where there is none by then (None), what is under way
    is brought to its end.
    """
    reading, pending = deque([_Reading(first)]), deque[_Explained]()
    try:
        with WorkBehind(first.auditor.engine.at_work) as behind:
            while reading:
                for batch in reading[0].batches():
                    if reading[0].is_read and (following := upcoming()) is not None:
                        reading.append(_Reading(following))
                    pending.append(_explained(audit_batch, reading[0], batch, behind))
                    if len(pending) > _BEHIND:
                        yield from pending.popleft().kept()
                reading.popleft().close()
            while pending:
                yield from pending.popleft().kept()
    finally:
        for stretch in reading:
            stretch.close()


@dataclass
class _Answers:
    """What a stretch of so many studies has come to."""

    studies: int
    audits: list[StudyAudit] = field(default_factory=list)
    maps: Maps = field(default_factory=dict)


class _Reading:
    """A stretch whose studies are read from now on, a few ahead of the batch that the model is shown."""

    def __init__(self, stretch: Stretch) -> None:
        auditor, run = stretch.auditor, stretch.auditor.config.run
        most = 1 if auditor.one_by_one else largest_batch(run.batch_size, auditor.device)
        self._size = BatchSize(min(usual_batch(run.batch_size), most), most, auditor.batch_limit)
        ready = read_and_prepare(auditor, stretch.sources)
        self._ready = Prefetched(ready, min(most, _READ_AHEAD)) if run.workers else ready
        self._left = len(stretch.sources)
        self.stretch, self.answers = stretch, _Answers(len(stretch.sources))

    @property
    def is_read(self) -> bool:
        """Whether every study is in a batch."""
        return self._left == 0

    def batches(self) -> Iterator[list[ReadOutcome]]:
        """Yield the studies as the model is shown them."""
        for batch in _batches(self._ready, self._size):
            self._left -= len(batch)
            yield batch

    def close(self) -> None:
        """Read no more."""
        self._ready.close()


@dataclass(frozen=True)
class _Explained:
    """A batch whose maps are being scored; ``rows`` waits for that."""

    answers: _Answers
    progress: BatchProgress
    rows: Callable[[], Rows]

    def kept(self) -> Iterator[Audited]:
        """Keep the rows among what the stretch came to, and yield that where they are its last."""
        rows = self.rows()
        for audit, maps in rows:
            self.answers.audits.append(audit)
            self.answers.maps.update(maps)
        self.progress.finish(sum(len(maps) for _, maps in rows) // 2)  # a map and its affine
        if len(self.answers.audits) == self.answers.studies:
            yield self.answers.audits, self.answers.maps


def _explained(
    audit_batch: AuditBatch, reading: _Reading, batch: Sequence[ReadOutcome], behind: WorkBehind
) -> _Explained:
    auditor = reading.stretch.auditor
    maps = expected_maps(auditor.config, auditor.layers) * len(batch)
    progress = BatchProgress(reading.stretch.on_maps, maps)
    return _Explained(reading.answers, progress, audit_batch(auditor, batch, progress.on_maps, behind))


def _batches(ready: Iterable[ReadOutcome], size: BatchSize) -> Iterator[list[ReadOutcome]]:
    """Group neighbours with inputs of one shape that lack the same maps; faults stay apart."""

    def kind(outcome: ReadOutcome) -> object:
        if outcome.study is None or not outcome.needs_model:
            return outcome.study is None
        return outcome.study.shown.x.shape, set((outcome.missing or {}).values())

    for _, group in groupby(ready, key=kind):
        batch: list[ReadOutcome] = []
        for outcome in group:
            batch.append(outcome)
            if len(batch) >= size.now():
                yield batch
                size.filled()
                batch = []
        if batch:
            yield batch
