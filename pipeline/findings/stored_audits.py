"""The records of a run's studies where they lie: read from the shards whenever they are asked for, a few at a time."""

from collections import Counter, defaultdict
from collections.abc import Collection, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import OutputError
from pipeline.findings.carried import REUSED, records_file
from pipeline.findings.members.member import Member
from pipeline.findings.members.table import MemberTable
from pipeline.findings.shards import iter_shard, study_names
from pipeline.findings.study_audit import StudyAudit

__all__ = ["StoredAudits", "file_of"]


@dataclass(frozen=True)
class StoredAudits:
    """A run's records in the order of its ``members``; every iteration reads its shards anew.

    In memory are the records that lie in a file before the one that is asked for: none where shards are cut in the
    order of the members, as runs do. ``elsewhere`` names the file of a study that is not in its own shard's.
    """

    folder: Path
    members: MemberTable
    elsewhere: Mapping[str, str] = field(default_factory=dict)

    def __iter__(self) -> Iterator[StudyAudit]:
        """Yield every record.

        Raises:
            OutputError: when a study was never audited, or a shard cannot be read.
        """
        left = Counter(map(self._file_of, self.members))
        readers: dict[str, Generator[StudyAudit, None, None]] = {}
        waiting: dict[str, StudyAudit] = {}
        for member in self.members:
            name = self._file_of(member)
            reader = readers.setdefault(name, self._read(name))
            while member.study not in waiting:
                audit = next(reader, None)
                if audit is None:
                    raise self._never_audited()
                waiting[audit.study] = audit
            yield waiting.pop(member.study)
            left[name] -= 1
            if not left[name]:
                readers.pop(name).close()

    def _file_of(self, member: Member) -> str:
        return self.elsewhere.get(member.study) or file_of(member)

    def _read(self, name: str) -> Generator[StudyAudit, None, None]:
        """Yield the records of one shard that count: of what was carried over, studies that are whole."""
        if not (self.folder / name).exists():
            return
        for audit in iter_shard(self.folder / name):
            if name != REUSED or self.members.is_carried(audit.study):
                yield audit

    def _never_audited(self) -> OutputError:
        names = {self._file_of(member) for member in self.members}
        there = {name: study_names(self.folder / name) for name in names if (self.folder / name).exists()}
        missing = [member.study for member in self.members if member.study not in there.get(self._file_of(member), ())]
        count = f"{len(missing)} of {len(self.members)} studies were never audited"
        return OutputError(f"{self.folder}: {count}, first {missing[0]}")

    def of(self, studies: Collection[str]) -> dict[str, StudyAudit]:
        """Return the records of some studies; only the shards that hold them are read, and no further than to them.

        Raises:
            OutputError: when a shard cannot be read.
        """
        places = sorted(place for study in studies if (place := self.members.find(study)) is not None)
        wanted: dict[str, set[str]] = defaultdict(set)
        for place in places:
            wanted[self._file_of(self.members[place])].add(self.members[place].study)
        chosen: dict[str, StudyAudit] = {}
        for name, names in wanted.items():
            for audit in iter_shard(self.folder / name, frozenset(names)):
                chosen[audit.study] = audit
                names.discard(audit.study)
                if not names:
                    break
        return chosen


def file_of(member: Member) -> str:
    """Return the shard that holds a study's record."""
    return REUSED if member.shard is None else records_file(member.shard)
