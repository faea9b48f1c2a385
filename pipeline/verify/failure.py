"""What a verification finds: kinds of failures with an exit code each, a sentence for every one, and what holds."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from pipeline.findings.signed.signatures import ReportSignature

__all__ = ["Failure", "FailureKind", "Verification", "exit_code"]


class FailureKind(Enum):
    """A kind of failure: its exit code, and what is wrong. Of several, that with the lowest code ends the command."""

    LEDGER_UNREADABLE = 10, "the ledger is missing, or a line of it is no entry"
    LEDGER_UNFINISHED = 11, "the ledger's last line has no end, as after a power cut"
    LEDGER_EDITED = 12, "a line of the ledger was edited"
    LEDGER_REORDERED = 13, "lines of the ledger were moved or repeated"
    LEDGER_MISSING = 14, "lines of the ledger were taken out"
    LEDGER_TIME = 15, "a time in the ledger is not later than the one before"
    LEDGER_KEY = 16, "a line of the ledger was signed with another key, or the first names none"
    LEDGER_SIGNATURE = 17, "a signature in the ledger is not that of its line"
    LEDGER_CUT = 18, "the ledger ends before what its run wrote"
    OTHER_KEY = 19, "the ledger was not signed with the key that --key names"
    FILE_ALTERED = 30, "a file is not the one that the run wrote"
    FILE_MISSING = 31, "a file that the run wrote is not there"
    FILE_UNKNOWN = 32, "a file lies there that the ledger does not tell of"
    UNREADABLE = 33, "a file cannot be read, or is of another version"
    SPECIFICATION = 34, "run.json contradicts itself or cohort.json"
    EVENTS = 35, "the ledger's events are not those of the specification, or not in their order"
    UNFINISHED = 36, "the run was not finished"
    MEMBERS = 40, "a study of the cohort has no row, or more than one, or a row is of another study"
    SOURCE = 41, "a row answers to other bytes than the cohort names"
    RECIPE = 42, "a row was made by another recipe than the run's"
    COUNTS = 43, "n in is not n analysed + n excluded + n failed"
    MAP = 44, "a map is missing, or not the one that was measured"
    CARRIED_ABSENT = 45, "a map of an earlier run is not here: that run's folder is missing"
    CARRIED_ALTERED = 46, "the earlier run that keeps a map does not hold"
    TARGET_ROLE = 47, "a row takes the map of a wrong answer for one of the reference, or the other way round"
    RESULTS = 50, "results.json is not what follows from rows and specification"
    TABLE = 51, "per_study.csv is not the table of the rows"
    EQUIVALENT = 52, "the equivalent maps are not what follows from the maps"
    PICTURES = (
        53,
        "a picture that the report shows is none that the run wrote, or does not follow from its values",
    )
    PROVENANCE = 54, "what results.json says of the run is not what ledger and specification say"
    DECISION = 55, "what the ledger tells of a person's decision is not of this run, or not as it is written"
    LOCK = 60, "the lock is not that of this configuration, model or cohort"
    REGISTER = 61, "the register contradicts the run, or was cut"
    TIME_STAMP = 62, "the lock's time stamp is not one of this lock, or not by whom --trust-authority names"
    ATTESTATION = 63, "the run's attestation is not that of its files, its ledger or its key"
    PDF_UNREADABLE = 70, "the report is missing or no PDF that can be read"
    PDF_ATTACHMENT = 71, "what the report carries is not the run's"
    PDF_PAGES = 72, "the report is not what is rendered from the folder"
    PDF_SIGNATURE = 73, "a signature of the report is not that of its bytes, its box or its page"
    PDF_ADDED = 74, "something else than signatures was added to the signed report"
    PDF_SIGNER = 75, "a signature is by none whom --trust names, or its certificate was not valid"
    PDF_TIME_STAMP = 76, "a time stamp of a signature does not hold, or is by none whom --trust names"
    PDF_OTHER_REPORT = 77, "the signed report is not the one of the folder with signatures behind it"
    PDF_UNSIGNED = 78, "the report is not signed, and should be"
    ARCHIVE = 80, "--deep: a study's files are missing, or not those that were audited"
    SCORES = 81, "--deep: scores measured again are not those of the row"
    RECOMPUTED = 82, "--recompute: a study audited again is not the one of the record"

    @property
    def code(self) -> int:
        """The exit code."""
        return self.value[0]

    @property
    def meaning(self) -> str:
        """What is wrong, in half a sentence."""
        return self.value[1]

    @property
    def label(self) -> str:
        """The kind's name for machines, such as ``ledger_edited``."""
        return self.name.lower()


@dataclass(frozen=True)
class Failure:
    """Something that does not hold, in a sentence that names no file but the run's own.

    ``file`` is relative to the run's folder; of a file that the run does not know, its name stands here alone.
    """

    kind: FailureKind
    sentence: str
    file: str | None = None


@dataclass(frozen=True)
class Verification:
    """What was found: ``failures`` by their codes, ``unchecked`` in a sentence each.

    ``fingerprint`` is that of the key that signed, None where nothing tells; ``head`` and ``length`` are the ledger's.
    ``signatures`` are those of persons, of the report.
    """

    failures: tuple[Failure, ...]
    unchecked: tuple[str, ...]
    fingerprint: str | None
    head: str | None = None
    length: int = 0
    signatures: tuple[ReportSignature, ...] = ()


def exit_code(failures: Iterable[Failure]) -> int:
    """Return 0 when nothing is wrong, else the lowest code among the failures."""
    return min((failure.kind.code for failure in failures), default=0)
