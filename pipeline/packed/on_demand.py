"""Lists whose items are made when they are asked for: what every such list answers to a place and to a slice."""

from abc import abstractmethod
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Generic, Self, TypeVar, overload

__all__ = ["ChosenItems", "OnDemand"]

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


class ChosenItems(OnDemand[Item]):
    """Some items of a list by their places, 8 bytes each: nothing is held of what they are."""

    def __init__(self, items: Sequence[Item], places: Iterable[int] = ()) -> None:
        self._items, self._places = items, array("q", places)

    @classmethod
    def where(cls, items: Sequence[Item], is_chosen: Callable[[Item], bool]) -> Self:
        """Return the items of which something holds, in their order."""
        return cls(items, (place for place, item in enumerate(items) if is_chosen(item)))

    def add(self, place: int) -> None:
        """Add the item at a place of the list."""
        self._places.append(place)

    def __len__(self) -> int:
        return len(self._places)

    def _item(self, place: int) -> Item:
        return self._items[self._places[place]]

    def __iter__(self) -> Iterator[Item]:
        return map(self._items.__getitem__, self._places)
