"""What the few methods that wrap another library say where it is not installed."""

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["methods_extra"]


@contextmanager
def methods_extra(*methods: str) -> Iterator[None]:
    """Let what is imported inside the block be absent: these ``methods`` need it, and no other.

    Raises:
        ModuleNotFoundError: one line that says what to install.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"methods: {', '.join(methods)} need {error.name}, which is not installed; pip install 'camaudit[methods]'",
            name=error.name,
        ) from error
