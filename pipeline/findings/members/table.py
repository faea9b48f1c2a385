"""A run's studies in columns, 170 bytes each where a ``Member`` takes a kilobyte: one is made when it is asked for."""

from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from operator import eq

import numpy as np
from numpy.typing import NDArray

from pipeline.findings.members.member import Member
from pipeline.packed.on_demand import OnDemand
from pipeline.packed.texts import Texts

__all__ = ["MemberTable"]

_CARRIED = -1
"""Stands for the shard of a study that was carried over."""


class MemberTable(OnDemand[Member]):
    """Studies in the archive's order."""

    def __init__(self, members: Iterable[Member] = ()) -> None:
        self._studies, self._patients, self._hashes = Texts(), Texts(), Texts()
        self._shards, self._first_seen, self._tuning = array("q"), array("i"), bytearray()
        self._runs: dict[str, int] = {}
        for member in members:
            self._add(member)

    def _add(self, member: Member) -> None:
        self._studies.append(member.study)
        self._patients.append(member.patient)
        self._hashes.append(member.source_sha256)
        self._shards.append(_CARRIED if member.shard is None else member.shard)
        self._first_seen.append(self._runs.setdefault(member.first_seen, len(self._runs)))
        self._tuning.append(member.tuning)

    def __len__(self) -> int:
        return len(self._studies)

    def _item(self, place: int) -> Member:
        return self._some([place])[0]

    def __iter__(self) -> Iterator[Member]:
        runs = list(self._runs)
        return (self._member(place, runs) for place in range(len(self)))

    def __eq__(self, other: object) -> bool:
        """Tell whether another list, in columns or not, has the same studies."""
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]

    def find(self, study: str) -> int | None:
        """Return the place of a study; None where it is none of them."""
        return self._studies.find(study)

    @property
    def listed_twice(self) -> str | None:
        """The first study that stands in the list again; None where each stands there once."""
        return next((study for place, study in enumerate(self._studies) if self.find(study) != place), None)

    def is_carried(self, study: str) -> bool:
        """Tell whether a study is one of the run's that was carried over whole."""
        place = self.find(study)
        return place is not None and self._shards[place] == _CARRIED

    def of_shard(self, shard: int | None) -> list[Member]:
        """Return the studies that a shard audits; of None those that were carried over."""
        return self._some(np.flatnonzero(self._shard_numbers == (_CARRIED if shard is None else shard)).tolist())

    @property
    def shards(self) -> dict[int | None, int]:
        """How many studies each shard audits; None: how many were carried over."""
        numbers, counts = np.unique(self._shard_numbers, return_counts=True)
        shards = [None if number == _CARRIED else number for number in numbers.tolist()]
        return dict(zip(shards, counts.tolist(), strict=True))

    @property
    def tuning(self) -> list[Member]:
        """The studies of patients on whom thresholds are tuned."""
        return self._some(np.flatnonzero(np.frombuffer(bytes(self._tuning), dtype=np.uint8)).tolist())

    @property
    def _shard_numbers(self) -> NDArray[np.int64]:
        return np.array(self._shards, dtype=np.int64)

    def _some(self, places: Collection[int]) -> list[Member]:
        runs = list(self._runs)
        return [self._member(place, runs) for place in places]

    def _member(self, place: int, runs: Sequence[str]) -> Member:
        shard = self._shards[place]
        return Member.model_construct(
            study=self._studies[place],
            patient=self._patients[place],
            source_sha256=self._hashes[place],
            shard=None if shard == _CARRIED else shard,
            first_seen=runs[self._first_seen[place]],
            tuning=bool(self._tuning[place]),
        )
