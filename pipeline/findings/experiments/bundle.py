"""The rows and the findings of all families together, and the files in a run's folder that hold the rows."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from pipeline.errors import OutputError
from pipeline.files import written
from pipeline.findings.experiments.check import CheckFinding
from pipeline.findings.experiments.faithfulness import FaithfulnessFindings, FaithfulnessRows
from pipeline.findings.experiments.sanity import SanityFindings, SanityRows
from pipeline.findings.experiments.shortcuts import ShortcutFindings, ShortcutRows
from pipeline.findings.experiments.stability import StabilityFindings, StabilityRows
from pipeline.findings.frozen_model import FrozenModel
from pipeline.vocabulary import CHECKS, Family

__all__ = [
    "NO_ROWS",
    "ROWS",
    "ExperimentFindings",
    "ExperimentRows",
    "FamilyRows",
    "experiment_file",
    "read_experiments",
    "write_experiment",
]

FamilyRows = SanityRows | ShortcutRows | StabilityRows | FaithfulnessRows

ROWS: Final[Mapping[Family, type[FamilyRows]]] = {
    "sanity": SanityRows,
    "shortcuts": ShortcutRows,
    "stability": StabilityRows,
    "faithfulness": FaithfulnessRows,
}


class ExperimentRows(FrozenModel):
    """What the experiments of a run saw; None for a family that it was not asked for."""

    sanity: SanityRows | None = None
    shortcuts: ShortcutRows | None = None
    stability: StabilityRows | None = None
    faithfulness: FaithfulnessRows | None = None


NO_ROWS: Final = ExperimentRows()
"""Of a run that tries nothing on the model."""


class ExperimentFindings(FrozenModel):
    """What follows from them; None for a family that was not asked for."""

    sanity: SanityFindings | None = None
    shortcuts: ShortcutFindings | None = None
    stability: StabilityFindings | None = None
    faithfulness: FaithfulnessFindings | None = None

    def checks(self) -> Iterator[CheckFinding]:
        """Yield the answers of all checks."""
        for family in (self.sanity, self.shortcuts, self.stability, self.faithfulness):
            if family is not None:
                yield from family.checks

    def struck(self) -> dict[str, str]:
        """Return the maps that are no evidence of what the model looks at, each with the checks that say so."""
        failed: dict[str, list[str]] = {}
        for finding in self.checks():
            if finding.strikes and finding.method is not None:
                failed.setdefault(finding.method, []).append(CHECKS[finding.check].title)
        return {method: "; ".join(titles) for method, titles in failed.items()}


def experiment_file(family: Family) -> str:
    """Return the name of the file of a family's rows in a run's folder."""
    return f"experiments/{family}.json"


def write_experiment(folder: Path, rows: FamilyRows) -> str:
    """Write a family's rows, whole or not at all; return the name of the file.

    Raises:
        OutputError: when the folder cannot be written.
    """
    name = experiment_file(rows.family)
    with written(folder / name) as file:
        file.write(rows.model_dump_json(indent=1).encode())
    return name


def read_experiments(folder: Path, families: Iterable[Family]) -> ExperimentRows:
    """Read the rows of these families.

    Raises:
        OutputError: when a file is missing or holds what no run writes.
    """
    return ExperimentRows.model_validate({family: _read(folder, family) for family in families})


def _read(folder: Path, family: Family) -> FrozenModel:
    name = experiment_file(family)
    try:
        return ROWS[family].model_validate_json((folder / name).read_bytes())
    except OSError as error:
        raise OutputError(f"{folder / name}: cannot be read ({error.strerror}); the run did not come so far") from error
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise OutputError(f"{folder / name}: {where} is not what a run writes; the file was altered") from None
