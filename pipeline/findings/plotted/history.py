"""What an audit's earlier runs said of its criteria."""

from pipeline.findings.frozen_model import FrozenModel
from pipeline.vocabulary import Answer

__all__ = ["RunPoint"]


class RunPoint(FrozenModel):
    """A criterion in one finished run of the audit: estimate, interval, what it was held against, and the answer.

    ``criterion`` names it in words, and so joins it with the same criterion of other runs. ``lock`` is the hash of the
    criteria that were locked (None: none were), so that a changed lock shows.
    """

    run: str
    finished_at: str
    criterion: str
    value: float | None
    low: float | None
    high: float | None
    bound: float | None
    patients: int
    answer: Answer
    lock: str | None
