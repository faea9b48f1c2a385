"""What an export wrote of a study, and what it left out, with reasons: nothing is dropped in silence."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipeline.findings.exported.study import ExportedStudy

__all__ = ["StudyWriter", "WrittenStudy"]


@dataclass(frozen=True)
class WrittenStudy:
    """The files of a study; ``left_out`` are its parts that have none, ``refused`` why the whole study has none."""

    files: tuple[Path, ...] = ()
    left_out: tuple[str, ...] = ()
    refused: str | None = None


class StudyWriter(Protocol):
    """Writes studies in one format; what its name is on the command line."""

    @property
    def option(self) -> str:
        """The option that asked for it."""

    def write(self, study: ExportedStudy) -> WrittenStudy:
        """Write one study.

        Raises:
            OutputError: when a file cannot be written, or what the run keeps not be read.
        """
