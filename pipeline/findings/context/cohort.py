"""Who and what a cohort consists of, as headers, masks and the configuration tell, without anybody being told apart."""

from collections.abc import Mapping

from pipeline.findings.frozen_model import FrozenModel

__all__ = ["CohortRow", "TrainingOverlap"]


class CohortRow(FrozenModel):
    """A line of the table of the cohort.

    ``counts`` are groups with their sizes over ``of`` (``patients`` or ``studies``); groups too small to be printed are
    ``small``: how many there are, and how many together, None where that is too few as well. Of a number there is
    ``median`` with the lowest and highest instead. ``not_stated`` counts those of which nothing is known.
    """

    name: str
    of: str
    counts: Mapping[str, int] = {}
    small: tuple[int, int | None] | None = None
    median: float | None = None
    low: float | None = None
    high: float | None = None
    unit: str = ""
    stated: int = 0
    not_stated: int = 0


class TrainingOverlap(FrozenModel):
    """The cohort's image files against a list of hashes of the training data.

    ``hashes`` is the length of the list and ``list_sha256`` that of its file; ``checked`` studies could be looked up,
    ``studies`` are those of which a file is on the list, of ``patients`` patients.
    """

    hashes: int
    list_sha256: str
    checked: int
    studies: tuple[str, ...]
    patients: int
