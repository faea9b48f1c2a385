"""A list whose items are made when they are asked for: what every such list answers to a place and to a slice."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar, overload

__all__ = ["OnDemand"]

Item = TypeVar("Item")


class OnDemand(Sequence[Item], Generic[Item]):
    """A list that knows its length and how to make the item at a place."""

    @abstractmethod
    def _item(self, place: int) -> Item:
        """Return the item at a place, which is within the list and counted from its beginning."""

    @overload
    def __getitem__(self, place: int) -> Item: ...

    @overload
    def __getitem__(self, place: slice) -> list[Item]: ...

    def __getitem__(self, place: int | slice) -> Item | list[Item]:
        """Return one item, or some."""
        if isinstance(place, slice):
            return [self._item(number) for number in range(*place.indices(len(self)))]
        return self._item(range(len(self))[place])
