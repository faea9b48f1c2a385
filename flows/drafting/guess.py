"""A value of a draft, and where it comes from."""

from dataclasses import dataclass

__all__ = ["Guess", "known"]


@dataclass(frozen=True)
class Guess:
    """A value for the configuration. ``why`` says what it was guessed from; empty where it is known."""

    value: object
    why: str = ""


def known(value: object) -> Guess:
    """Return a value that nobody had to guess."""
    return Guess(value)
