"""Items by name that lie as bytes, each by itself: large records of which a few are asked for at a time."""

from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

from pipeline.packed.items import Keep, in_memory, pack, unpack

__all__ = ["MappedByName", "PackedByName"]

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class PackedByName(Mapping[str, Item], Generic[Item]):
    """A mapping that can be added to, in the order in which names first came; ``keep`` has the items.

    They never leave this process. Of an item that is put anew the old bytes stay kept.
    """

    def __init__(self, keep: Keep = in_memory) -> None:
        self._keep = keep
        self._kept: dict[str, Callable[[], bytes]] = {}

    def put(self, name: str, item: Item) -> None:
        """Add an item, in place of what had its name."""
        self._kept[name] = self._keep(pack(item))

    def __getitem__(self, name: str) -> Item:
        item: Item = unpack(self._kept[name]())
        return item

    def __contains__(self, name: object) -> bool:
        return name in self._kept

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)


class MappedByName(Mapping[str, Answer], Generic[Item, Answer]):
    """What a function makes of each item of a mapping, made whenever it is asked for."""

    def __init__(self, function: Callable[[Item], Answer], items: Mapping[str, Item]) -> None:
        self._function, self._items = function, items

    def __getitem__(self, name: str) -> Answer:
        return self._function(self._items[name])

    def __contains__(self, name: object) -> bool:
        return name in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)
