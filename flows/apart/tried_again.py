"""MONAI stumbles where another thread imports meanwhile; then it is asked again."""

from collections.abc import Callable
from typing import TypeVar

from pipeline.errors import AuditError

__all__ = ["tried_again"]

Created = TypeVar("Created")

_TRIES = 3


def tried_again(create: Callable[[], Created]) -> Created:
    """Create a run, again where MONAI stumbled.

    Raises:
        AuditError: one line that says what is wrong.
    """
    for _ in range(_TRIES - 1):
        try:
            return create()
        except AuditError as error:
            if not _is_lost_race(error):
                raise
    return create()


def _is_lost_race(error: BaseException | None) -> bool:
    """Tell whether MONAI walked ``sys.modules`` while another thread imported."""
    while error is not None:
        if "changed size during iteration" in str(error):
            return True
        error = error.__cause__
    return False
