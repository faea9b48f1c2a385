"""``camaudit receive``: objects that a PACS pushes, filed into an archive until somebody ends it."""

import ipaddress
import re
from contextlib import suppress
from datetime import UTC, datetime
from threading import Event

import typer

from flows.commands.interrupts import Interrupted, interruptible
from flows.scheduling.receiver import Filed, Receiver, receiving
from pipeline.errors import ConfigError

__all__ = ["receive_objects"]

_TITLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_ .-]{0,15}")  # PS3.5 table 6.2-1, VR AE


def receive_objects(receiver: Receiver) -> None:
    """File what is pushed, and print a line for each association that brought something.

    Raises:
        ConfigError: when a title or the address is none, or anybody on a network could push.
        OutputError: when the folder cannot be used.
    """
    _check(receiver)
    with suppress(Interrupted), interruptible(), receiving(receiver, _tell) as port:  # a signal is how it ends
        typer.echo(
            f"{receiver.title} files into {receiver.folder}, listening on {receiver.host}:{port} until interrupted"
        )
        Event().wait()


def _tell(filed: Filed) -> None:
    typer.echo(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC: {filed}")


def _check(receiver: Receiver) -> None:
    for option, title in [("--title", receiver.title), *(("--from", caller) for caller in receiver.callers)]:
        if not _TITLE.fullmatch(title):
            raise ConfigError(
                f"receive: {option}: must be a title of 1 to 16 letters, digits, '_', '.' or '-', not {title!a}"
            )
    try:
        address = ipaddress.ip_address(receiver.host)
    except ValueError:
        raise ConfigError(f"receive: --listen: must be an IP address of this machine, not {receiver.host!a}") from None
    if not address.is_loopback and not receiver.callers:
        raise ConfigError(
            f"receive: --listen {receiver.host}: anybody on that network could push; name who may, e.g. --from PACS"
        )
