"""The shards that a process works: the next one is begun while the maps of the last are still being scored."""

from collections import deque
from collections.abc import Generator
from contextlib import AbstractContextManager
from types import TracebackType

from pipeline.progress import Progress, silent
from pipeline.runs.run import Run
from pipeline.walk.stretches import Audited, Stretch
from pipeline.walk.study_walk import audit_in_turn

__all__ = ["ShardWorker"]


class ShardWorker(AbstractContextManager["ShardWorker"]):
    """Works the shards that ``shards_in_turn`` yields, in their order; leaving the block lets go of what is begun."""

    def __init__(self, run: Run, shards: Generator[int | None, None, None], on_maps: Progress = silent) -> None:
        self._run, self._shards, self._on_maps = run, shards, on_maps
        self._begun: deque[int] = deque()
        self._audited: Generator[Audited, None, None] | None = None

    def begin(self) -> int | None:
        """Return the shard that is finished next, which may have been begun long before; None where none is left.

        Raises:
            AuditError: when the model is no longer the one that the run began with, or a shard was begun too often.
        """
        if not self._begun:
            self._end()
            first = self._upcoming()
            if first is not None:
                self._audited = audit_in_turn(first, self._upcoming)
        return self._begun[0] if self._begun else None

    def finish(self) -> int:
        """Audit the shard that ``begin`` returned and write its rows and maps; return how many studies it held.

        Raises:
            AuditError: when the folder cannot be written, or the next shard was begun too often.
            InternalError: when camaudit's own code fails.
        """
        if self._audited is None:
            raise RuntimeError("begin must be called before finish")
        audited = next(self._audited)
        return self._run.keep(self._begun.popleft(), audited)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        self._shards.close()

    def _upcoming(self) -> Stretch | None:
        shard = next(self._shards, None)
        if shard is None:
            return None
        stretch = self._run.stretch(shard, self._on_maps)
        self._begun.append(shard)
        return stretch

    def _end(self) -> None:
        if self._audited is not None:
            self._audited.close()
            self._audited = None
