"""Which of a mask file's labels is meant: a name against the names that the file states."""

from collections.abc import Sequence

from pipeline.errors import Reason
from pipeline.studies.readers.base import refused

__all__ = ["check_meant", "matching", "same_label"]

Named = Sequence[tuple[str, int]]


def same_label(one: str, other: str) -> bool:
    """Tell whether two names are one label: case and outer blanks do not count."""
    return one.strip().lower() == other.strip().lower()


def matching(named: Named, label: str | None, what: str) -> frozenset[int]:
    """Return the numbers that bear ``label`` (several may), or all that there are.

    A file's only number is meant whatever it is called: one expert writes "nodule", another "Segment_1".

    Raises:
        StudyError: MASK_MISSING_LABEL, excluded, when none of several bears it; ``what`` names them.
    """
    numbers = frozenset(number for _, number in named)
    if label is None or len(numbers) == 1:
        return numbers
    found = frozenset(number for name, number in named if same_label(name, label))
    if not found:
        message = f"none of the mask's {len(numbers)} {what} bears the wanted label"
        raise refused(Reason.MASK_MISSING_LABEL, message, excluded=True)
    return found


def check_meant(numbers: frozenset[int], label: str | None, marked: bool, what: str) -> None:
    """Refuse several of a file's labels as one mask when no label was asked for and something is marked.

    Raises:
        StudyError: MASK_MISSING_LABEL, excluded.
    """
    if len(numbers) > 1 and label is None and marked:
        message = f"the mask has {len(numbers)} {what}, and nothing tells which is meant"
        raise refused(Reason.MASK_MISSING_LABEL, message, excluded=True)
