"""``camaudit view``: a finished run in the browser of this machine."""

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
    failures = alterations(run)
    for failure in failures:
        typer.echo(f"camaudit: ALTERED: {failure.sentence}", err=True)
    desk = Desk(open_context(run, [failure.sentence for failure in failures]), reviews or run / REVIEWS_FOLDER)
    try:
        with viewing(desk, port) as server, suppress(Interrupted), interruptible():  # Ctrl-C is how it ends
            typer.echo(f"reviews go to {desk.reviews}; Ctrl-C ends")
            typer.echo(server.admission.address)
            if opens:
                webbrowser.open(server.admission.address)
            server.serve_forever()
    except OSError as error:
        raise ConfigError(f"--port: {port} cannot be listened on ({error.strerror}); give another, or none") from error
