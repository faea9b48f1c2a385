"""The mutations of ``make mutants``, in groups: what a slip of the pen, or of a will, could do to the code."""

from collections.abc import Mapping, Sequence

from tests.mutants import Mutant
from tests.mutations import (
    answers,
    cam,
    cohort,
    columns,
    evidence,
    exact_rule,
    experiments,
    faithfulness,
    geometry,
    leakage,
    localisation,
    models,
    runs,
    verify,
)

__all__ = ["GROUPS"]

GROUPS: Mapping[str, Sequence[Mutant]] = {
    "cam": cam.MUTANTS,
    "geometry": geometry.MUTANTS,
    "evidence": [*evidence.MUTANTS, *exact_rule.MUTANTS, *cohort.MUTANTS, *answers.MUTANTS],
    "columns": columns.MUTANTS,
    "experiments": experiments.MUTANTS,
    "faithfulness": faithfulness.MUTANTS,
    "leakage": leakage.MUTANTS,
    "localisation": localisation.MUTANTS,
    "models": models.MUTANTS,
    "runs": runs.MUTANTS,
    "verify": verify.MUTANTS,
}
