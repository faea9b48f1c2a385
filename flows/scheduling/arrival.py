"""A schedule that fires when something has arrived: the archive is looked at, and what is new has to lie still."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from pipeline.config import AuditConfig
from pipeline.errors import ArchiveError
from pipeline.studies.dicomweb.arrivals import server_listing
from pipeline.studies.dicomweb.client import open_server
from pipeline.studies.index.arrivals import ArrivalWatch, Listing, file_listing, folder_listing, headers_readable
from pipeline.studies.readers.third_parties import load_readers
from pipeline.studies.untrusted.workers import WorkerPool

__all__ = ["Arrival", "check_watched", "watch_archive"]

_OFTEN = 6  # looks in the quiet time
_SHORTEST, _LONGEST = 1.0, 60.0  # seconds between two looks


@dataclass(frozen=True)
class Arrival:
    """Fires when the archive has changed, then lain still for ``quiet``, and every new header can be read.

    Of a DICOMweb server the studies and the number of each one's instances have to lie still.
    """

    quiet: timedelta

    @property
    def pause(self) -> float:
        """The seconds between two looks."""
        return min(max(self.quiet.total_seconds() / _OFTEN, _SHORTEST), _LONGEST)

    def __str__(self) -> str:
        return f"arrival, after {int(self.quiet.total_seconds())} s without a change"


def check_watched(config: AuditConfig) -> None:
    """Look once at an archive on a server; a folder needs no look.

    Raises:
        ArchiveError: when the server cannot be asked, or does not tell when a study is whole.
    """
    if config.archive.dicomweb is not None:
        with WorkerPool() as pool:
            _look_at(config, pool)


async def watch_archive(
    config: AuditConfig, arrival: Arrival, start: Callable[[], Awaitable[bool]], say: Callable[[str], None]
) -> None:
    """Look at the archive for ever; ``start`` begins an audit and tells whether it has.

    The first look of a schedule counts as an arrival: what came before it is audited, and where that is nothing the
    night costs a line. A server that is away is asked again, and ``say`` hears once that it is.
    """
    with WorkerPool() as pool:
        watch = _watch(config, arrival, pool)
        waiting, fault = False, ""
        while True:
            try:
                waiting = waiting or await asyncio.to_thread(watch.has_arrived)
                fault = ""
            except ArchiveError as error:
                if str(error) != fault:
                    fault = str(error)
                    say(f"--on-arrival: {fault}; it is asked again")
            if waiting and await start():
                waiting = False
            await asyncio.sleep(arrival.pause)


def _watch(config: AuditConfig, arrival: Arrival, pool: WorkerPool) -> ArrivalWatch:
    served = config.archive.dicomweb is not None
    are_whole = _told_whole if served else partial(headers_readable, readers=load_readers(), pool=pool)
    return ArrivalWatch({}, arrival.quiet.total_seconds(), partial(_look_at, config, pool), are_whole, time.monotonic)


def _told_whole(_: Iterable[str]) -> bool:
    return True  # a server shows what it has stored


def _look_at(config: AuditConfig, pool: WorkerPool) -> Listing:
    archive = config.archive
    others = [] if archive.manifest is None else [archive.manifest]
    if archive.dicomweb is None:
        return folder_listing(archive.path, *others)
    return {**server_listing(open_server(archive.dicomweb), pool), **file_listing(others)}
