"""A schedule that fires when something has arrived: the archive is looked at, and what is new has to lie still."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from pipeline.config import AuditConfig
from pipeline.errors import ConfigError
from pipeline.studies.index.arrivals import ArrivalWatch, folder_listing
from pipeline.studies.readers.third_parties import load_readers

__all__ = ["Arrival", "check_watched", "watch_archive"]

_OFTEN = 6  # looks in the quiet time
_SHORTEST, _LONGEST = 1.0, 60.0  # seconds between two looks


@dataclass(frozen=True)
class Arrival:
    """Fires when the archive has changed, then lain still for ``quiet``, and every new header can be read."""

    quiet: timedelta

    @property
    def pause(self) -> float:
        """The seconds between two looks."""
        return min(max(self.quiet.total_seconds() / _OFTEN, _SHORTEST), _LONGEST)

    def __str__(self) -> str:
        return f"arrival, after {int(self.quiet.total_seconds())} s without a change"


def check_watched(config: AuditConfig) -> None:
    """Refuse an archive that is no folder.

    Raises:
        ConfigError: for a DICOMweb server, whose files come only when they are fetched.
    """
    if config.archive.dicomweb is not None:
        raise ConfigError("--on-arrival: a DICOMweb server is no folder that can be watched; use --every")


async def watch_archive(config: AuditConfig, arrival: Arrival, start: Callable[[], Awaitable[bool]]) -> None:
    """Look at the archive for ever; ``start`` begins an audit and tells whether it has.

    The first look of a schedule counts as an arrival: what came before it is audited, and where that is nothing the
    night costs a line.
    """
    archive = config.archive
    others = [] if archive.manifest is None else [archive.manifest]
    look = partial(folder_listing, archive.path, *others)
    nothing: Mapping[str, tuple[int, int, int]] = {}
    watch = ArrivalWatch(nothing, arrival.quiet.total_seconds(), look, time.monotonic, readers=load_readers())
    waiting = False
    while True:
        waiting = waiting or await asyncio.to_thread(watch.has_arrived)
        if waiting and await start():
            waiting = False
        await asyncio.sleep(arrival.pause)
