"""When a schedule fires: by a cron expression in a time zone, or every so often."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from croniter import croniter

from pipeline.errors import ConfigError

__all__ = ["Firing", "duration"]

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_FIELD = r"[^@RrHh\s]\S*"
_FIVE_FIELDS = re.compile(rf"@[a-z]+|\s*{_FIELD}(\s+{_FIELD}){{4}}\s*")
"""croniter knows seconds, years, random and hashed fields as well; Prefect's schedules do not."""

_EVERY = re.compile(r"(\d{1,6})([smhd])")


@dataclass(frozen=True)
class Firing:
    """``cron`` fires by the clock of ``timezone``; ``every`` fires so long after the last time."""

    cron: str | None = None
    every: timedelta | None = None
    timezone: str = "UTC"

    @classmethod
    def of(cls, cron: str | None, every: str | None, timezone: str) -> Self:
        """Return what a command line asks for.

        Raises:
            ConfigError: when it is not one of the two, or cannot be read.
        """
        if (cron is None) == (every is None):
            raise ConfigError("a schedule needs one of --cron, --every and --on-arrival, and no two of them")
        try:
            ZoneInfo(timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ConfigError(f"--timezone: {timezone!r} is not a time zone such as 'Europe/Berlin'") from error
        if every is not None:
            return cls(every=duration(every), timezone=timezone)
        if not _FIVE_FIELDS.fullmatch(str(cron)) or not croniter.is_valid(cron):
            raise ConfigError(f"--cron: {cron!r} is not a cron expression such as '0 2 * * *'")
        firing = cls(cron=cron, timezone=timezone)
        try:
            firing.next_after(datetime.now(UTC))
        except ValueError as error:
            raise ConfigError(f"--cron: {cron!r} never comes, as the 30th of February") from error
        return firing

    def next_after(self, moment: datetime) -> datetime:
        """Return when it fires next after ``moment``."""
        if self.every is not None:
            return moment + self.every
        local = moment.astimezone(ZoneInfo(self.timezone))
        following: datetime = croniter(self.cron, local).get_next(datetime)
        return following.astimezone(UTC)

    def __str__(self) -> str:
        if self.every is not None:
            return f"every {int(self.every.total_seconds())} s"
        return f"'{self.cron}' ({self.timezone})"


def duration(text: str, option: str = "--every") -> timedelta:
    """Read a time such as ``30m``, ``6h`` or ``1d``.

    Raises:
        ConfigError: when it is not one.
    """
    read = _EVERY.fullmatch(text)
    seconds = int(read[1]) * _SECONDS[read[2]] if read else 0
    if not seconds:
        raise ConfigError(f"{option}: {text!r} is not a time such as 30m, 6h or 1d")
    return timedelta(seconds=seconds)
