"""What a rule of the configuration is, and how it says what is wrong."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.config import AuditConfig, Criterion
from pipeline.config_file import Fault

__all__ = ["Rule", "fault_at", "numbered_criteria"]


@dataclass(frozen=True)
class Rule:
    """A check of a configuration, left out where a value that it needs is faulty itself.

    ``needs`` are the keys whose values it relies on; ``check`` takes the configuration and the folder of its file.
    ``reads_files``: it looks at what the configuration names, not only at the names.
    """

    needs: Sequence[str]
    check: Callable[[AuditConfig, Path], Iterator[Fault]]
    reads_files: bool = False


def fault_at(*key: str | int, says: str) -> Fault:
    """Return what is wrong with the value at a key."""
    return Fault(key, f"{'.'.join(map(str, key))}: {says}")


def numbered_criteria(config: AuditConfig) -> Iterator[tuple[int, Criterion]]:
    """Yield the criteria on metrics with their numbers among all."""
    for number, criterion in enumerate(config.criteria):
        if isinstance(criterion, Criterion):
            yield number, criterion
