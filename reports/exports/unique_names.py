"""Names that stay apart where what they are made of was cut down to plain letters."""

from collections.abc import Callable

__all__ = ["StableNames"]


class StableNames:
    """Gives the same name to the same text, and another to every other text, whatever the case of its letters.

    ``plain`` makes a name of a text; one that is taken gets a number.
    """

    def __init__(self, plain: Callable[[str], str]) -> None:
        self._plain = plain
        self._names: dict[str, str] = {}

    def of(self, text: str) -> str:
        """Return a text's name."""
        if text not in self._names:
            taken = {name.lower() for name in self._names.values()}
            name, number = self._plain(text), 1
            while name.lower() in taken:
                number += 1
                name = f"{self._plain(text)}{number}"
            self._names[text] = name
        return self._names[text]
