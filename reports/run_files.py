"""A run's files as its report reads them: the results case by case, the rest where it lies on the disk."""

import hashlib
import io
from array import array
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from pipeline.errors import OutputError
from pipeline.findings.results import CaseEntry, Results, load_results
from pipeline.packed.on_demand import OnDemand

__all__ = ["CARRIED", "RunFiles", "opened_run"]

RESULTS = "results.json"
_NEEDED = (RESULTS, "per_study.csv")
CARRIED = (*_NEEDED, "run.json")
"""The files of a run that its report carries, those that are there."""

# how the results' file begins and ends its cases, and each of them: no text of theirs holds a line's end
_FIRST, _LAST = b' "cases": [\n', (b" ],\n", b" ]\n")
_OPENS, _CLOSES = b"  {\n", (b"  },\n", b"  }\n")


@dataclass(frozen=True)
class RunFiles:
    """A run's results, and the files that its report carries, open, with their SHA-256 (hex) by name."""

    results: Results
    files: Mapping[str, io.BufferedIOBase]
    hashes: Mapping[str, str]


@contextmanager
def opened_run(run: Path) -> Iterator[RunFiles]:
    """Open the files of a finished run; what is read of them later is what was there now.

    Raises:
        OutputError: when one is missing, or the results are of another schema.
    """
    with ExitStack() as opened:
        files = {RESULTS: opened.enter_context(_opened(run / RESULTS))}
        results = _results(files[RESULTS]) or load_results(run)  # which says what is wrong with them
        others = [name for name in CARRIED if name in _NEEDED or (run / name).exists()]
        files |= {name: opened.enter_context(_opened(run / name)) for name in others if name != RESULTS}
        hashes = {name: _digest(file) for name, file in files.items()}
        yield RunFiles(results, files, hashes)


def _opened(path: Path) -> io.BufferedIOBase:
    try:
        return path.open("rb")
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be read ({error.strerror}); is this the folder of a finished run?"
        ) from error


def _digest(file: io.BufferedIOBase) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()


class _StoredCases(OnDemand[CaseEntry]):
    """Cases that are read from the results' file whenever they are asked for; a thousand of them would take 100 MiB."""

    def __init__(self, file: io.BufferedIOBase, starts: "array[int]", ends: "array[int]") -> None:
        self._file, self._starts, self._ends = file, starts, ends

    def __len__(self) -> int:
        return len(self._starts)

    def _item(self, place: int) -> CaseEntry:
        start, end = self._starts[place], self._ends[place]
        self._file.seek(start)
        return CaseEntry.model_validate_json(self._file.read(end - start))


def _results(file: io.BufferedIOBase) -> Results | None:
    """Return the results with cases that stay in the file; None where it is not laid out as runs write it."""
    rest, starts, ends = _without_cases(file)
    try:
        results = Results.model_validate_json(rest)
        cases = _StoredCases(file, starts, ends)
        for _ in cases:  # each is valid, or somebody has to say what is wrong
            pass
    except ValidationError:
        return None
    if results.cases or len(starts) != len(ends) or rest.count(b'"cases":') != 1:
        return None
    return results.model_copy(update={"cases": cases})


def _without_cases(file: io.BufferedIOBase) -> tuple[bytes, "array[int]", "array[int]"]:
    """Return the results' file without its cases, and where each of those begins and ends."""
    rest, starts, ends = io.BytesIO(), array("Q"), array("Q")
    inside, position = False, file.seek(0)
    for line in file:
        inside = inside and line not in _LAST
        if not inside:
            rest.write(line)
        elif line == _OPENS:
            starts.append(position)
        elif line in _CLOSES:
            ends.append(position + len(_CLOSES[1]) - 1)
        inside = inside or line == _FIRST
        position += len(line)
    return rest.getvalue(), starts, ends
