"""A finished planted world that tests of verification share: making one takes seconds, copying none."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.studies.untrusted.workers import WorkerPool
from tests.falsify.world import World, copied, make_world, of_its_own


@contextmanager
def finished_world(root: Path) -> Iterator[World]:
    """Yield a world; the processes that read its studies end with the block."""
    with WorkerPool() as pool:
        yield make_world(root / "world", pool)


@contextmanager
def copy_of(world: World, root: Path) -> Iterator[World]:
    """Yield a copy whose key and register are its own while the block lasts."""
    copy = copied(world, root / "copy")
    with of_its_own(copy.root):
        yield copy
