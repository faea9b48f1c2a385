"""Every error that camaudit raises on purpose.

AuditError                  one clear sentence: what, where, what to do
├── ConfigError             the configuration or the command line is wrong     (exit code 2)
├── ModelError              the model cannot be loaded, hashed or explained    (exit code 2)
├── ArchiveError            the archive or its manifest cannot be used         (exit code 2)
├── OutputError             the run's folder cannot be written or read         (exit code 2)
└── StudyError              one study cannot be audited; becomes a row         (the run goes on)

InternalError               camaudit itself is wrong: no user and no study is to blame (exit code 3)

A ``StudyError`` carries the stage that it broke at and a reason code from ``Reason``, so that
n in = n analysed + n excluded + n failed can be counted. Its message never holds a path, a UID or a header's
text: it reaches the record and the report.
"""

import difflib
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path, PurePath
from traceback import walk_tb
from types import CodeType

__all__ = [
    "ArchiveError",
    "AuditError",
    "ConfigError",
    "Frame",
    "InternalError",
    "ModelError",
    "OutputError",
    "Reason",
    "Stage",
    "StudyError",
    "closest",
    "frames_of",
]


class Stage(StrEnum):
    """Where in the walk of a study something went wrong."""

    READ = "read"
    PREPARE = "prepare"
    INFER = "infer"
    EXPLAIN = "explain"
    MEASURE = "measure"


class Reason(StrEnum):
    """Why a study was not audited. The values are stable: they stand in records and reports."""

    MISSING_FILE = "missing_file"
    NOT_FETCHED = "not_fetched"
    CHANGED_DURING_RUN = "changed_during_run"
    UNSUPPORTED_FORMAT = "unsupported_format"
    NOT_READABLE = "not_readable"
    TRUNCATED = "truncated"
    TOO_LARGE = "too_large"
    NO_GEOMETRY = "no_geometry"
    IRREGULAR_SERIES = "irregular_series"
    MIXED_SERIES = "mixed_series"
    SEVERAL_VOLUMES = "several_volumes"
    NOT_AN_IMAGE = "not_an_image"
    DUPLICATE = "duplicate"
    LEADS_OUT = "leads_out"
    NOT_REGULAR = "not_regular"
    NESTED_ARCHIVE = "nested_archive"
    LOCALIZER = "localizer"
    MOSAIC = "mosaic"
    NOT_A_SINGLE_CHANNEL = "not_a_single_channel"
    NOT_FINITE = "not_finite"
    OTHER_GRID = "other_grid"
    OTHER_FRAME_OF_REFERENCE = "other_frame_of_reference"
    OTHER_IMAGE = "other_image"
    MASK_MISSING_LABEL = "mask_missing_label"
    MASK_MISSING_ENTRY = "mask_missing_entry"
    MASK_WITHOUT_AREA = "mask_without_area"
    NO_CONSENSUS = "no_consensus"
    MASK_EMPTY_FOR_POSITIVE = "mask_empty_for_positive"
    UNKNOWN_LABEL = "unknown_label"
    PREPARATION_FAILED = "preparation_failed"
    MODEL_FAILED = "model_failed"
    OUT_OF_MEMORY = "out_of_memory"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    UNEXPECTED = "unexpected"


@dataclass(frozen=True)
class Frame:
    """A place in the code. ``file`` is relative to the folder that its package lies in."""

    file: str
    line: int
    function: str


def frames_of(error: BaseException) -> tuple[Frame, ...]:
    """Return where an exception came through, outermost first."""
    return tuple(
        Frame(_file(frame.f_code, str(frame.f_globals.get("__name__", ""))), line, frame.f_code.co_qualname)
        for frame, line in walk_tb(error.__traceback__)
    )


def _file(code: CodeType, module: str) -> str:
    """Return a file's path from its package's folder on: the rest of the path can name people and places."""
    path = PurePath(code.co_filename)
    depth = module.count(".") + (2 if path.stem == "__init__" and module else 1)
    return "/".join(path.parts[-depth:])


class AuditError(Exception):
    """The root: everything that a user can mend by reading one line."""


class ConfigError(AuditError):
    """The configuration or the command line is wrong."""


class ModelError(AuditError):
    """The model cannot be loaded, is not the one that was named, or cannot be explained."""


class ArchiveError(AuditError):
    """The archive or its manifest cannot be used."""


class OutputError(AuditError):
    """The run's folder cannot be written or read."""


class InternalError(Exception):
    """A fault of camaudit's own code, where it broke and where its trace lies; no ``AuditError``: no user can mend it.

    ``place`` is a file and a line of ours. ``trace`` is the private file that holds the frames, where there is one.
    The message holds nothing of what was worked on.
    """

    def __init__(self, place: str, kind: str, trace: Path | None = None) -> None:
        where = f"the trace is in {trace}" if trace else "run it again with --debug for the trace"
        super().__init__(f"camaudit itself failed at {place} ({kind}); {where}; what was done is kept")
        self.place = place
        self.kind = kind
        self.trace = trace

    def __reduce__(self) -> tuple[type["InternalError"], tuple[str, str, Path | None]]:
        """Travel between processes: an exception's default way would lose the place."""
        return InternalError, (self.place, self.kind, self.trace)


class StudyError(AuditError):
    """One study cannot be audited; the run goes on without it.

    ``excluded`` tells a study that the archive itself rules out (an empty mask, another grid) from one that
    failed. ``trace`` is where a library's exception, which this stands for, came through: another process may have
    read the study. ``source_sha256`` is the digest of the files that could not be read, '' where none was taken.
    """

    def __init__(
        self, stage: Stage, reason: Reason, message: str, *, excluded: bool = False, trace: tuple[Frame, ...] = ()
    ) -> None:
        super().__init__(message)
        self.stage = stage
        self.reason = reason
        self.excluded = excluded
        self.trace = trace
        self.source_sha256 = ""

    def __reduce__(self) -> tuple[object, ...]:
        """Travel between processes: an exception's default way would lose the stage and the reason."""
        make = partial(StudyError, excluded=self.excluded, trace=self.trace)
        return make, (self.stage, self.reason, str(self)), {"source_sha256": self.source_sha256}

    def without_frames(self) -> "StudyError":
        """Return a copy without the frames that hold the arrays of the attempt."""
        copy = StudyError(self.stage, self.reason, str(self), excluded=self.excluded, trace=self.trace)
        copy.source_sha256 = self.source_sha256
        return copy


def closest(name: str, names: Collection[str]) -> str:
    """Advise on a wrong name: the nearest right one, or all of them."""
    near = difflib.get_close_matches(name, list(names), n=1, cutoff=0.4)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"
