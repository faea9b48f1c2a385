"""The mutations of ``make mutants``, in groups: what a slip of the pen, or of a will, could do to the code."""

from collections.abc import Mapping, Sequence

from tests.mutants import Mutant
from tests.mutations import (
    cam,
    columns,
    experiments,
    faithfulness,
    geometry,
    leakage,
    localisation,
    models,
    runs,
    verify,
)
from tests.mutations.evidence import (
    answers,
    cohort,
    comparison,
    exact_rule,
    metrics,
    places,
    plotted,
    shortcuts,
    subgroups,
)

__all__ = ["GROUPS"]

GROUPS: Mapping[str, Sequence[Mutant]] = {
    "cam": cam.MUTANTS,
    "geometry": geometry.MUTANTS,
    "evidence": [*metrics.MUTANTS, *exact_rule.MUTANTS, *cohort.MUTANTS, *answers.MUTANTS],
    "comparison": comparison.MUTANTS,
    "subgroups": subgroups.MUTANTS,
    "places": places.MUTANTS,
    "plotted": plotted.MUTANTS,
    "shortcuts": shortcuts.MUTANTS,
    "columns": columns.MUTANTS,
    "experiments": experiments.MUTANTS,
    "faithfulness": faithfulness.MUTANTS,
    "leakage": leakage.MUTANTS,
    "localisation": localisation.MUTANTS,
    "models": models.MUTANTS,
    "runs": runs.MUTANTS,
    "verify": verify.MUTANTS,
}
