"""``camaudit view``: a finished run in the browser of this machine."""

import os
import webbrowser
from contextlib import suppress
from pathlib import Path

import typer

from flows.commands.interrupts import Interrupted, interruptible
from flows.commands.verify import alterations
from flows.viewing.desk import Desk
from flows.viewing.server import viewing
from pipeline.errors import ConfigError
from pipeline.findings.spec import REVIEWS_FOLDER
from reports.viewer.build import open_context

__all__ = ["view_run"]


def view_run(run: Path, port: int, reviews: Path | None, *, opens: bool) -> None:
    """Serve a run's page on the loopback until Ctrl-C; print its address, which is all that is needed to see it.

    Raises:
        AuditError: when the folder holds no finished run, or the port is taken.
    """
    if reviews is not None:
        _require_folder(reviews)
    failures = alterations(run)
    desk = Desk(open_context(run, [failure.sentence for failure in failures]), reviews or run / REVIEWS_FOLDER)
    desk.page()  # what of the run cannot be shown is said before anything is listened to
    try:
        with viewing(desk, port) as server, suppress(Interrupted), interruptible():  # Ctrl-C is how it ends
            for failure in failures:
                typer.echo(f"camaudit: ALTERED: {failure.sentence}", err=True)
            typer.echo(f"reviews go to {desk.reviews}; Ctrl-C ends")
            typer.echo(server.admission.address)
            if opens and not webbrowser.open(server.admission.address):
                typer.echo("--open: no browser was found; open the address yourself", err=True)
            server.serve_forever()
    except OSError as error:
        raise ConfigError(f"--port: {port} cannot be listened on ({error.strerror}); give another, or none") from error


def _require_folder(reviews: Path) -> None:
    """Refuse a folder for reviews that none can be written to: a reader would learn it when he sends his."""
    place = reviews if reviews.exists() else reviews.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        raise ConfigError(f"--reviews: {reviews} is no folder that can be written to; give one, or make it first")
