"""The command line: ``camaudit``, and ``python -m flows``.

Where only a part of the package was installed, one line says which extra lacks.
"""

import os
import sys

__all__ = ["start"]


def start() -> None:
    """Run the command line; exit code 2 where it, or what it needs before it can answer, is not installed.

    Raises:
        SystemExit: as ``flows.cli.main``.
    """
    from flows.allocation import let_numpy_use_one_thread, let_waiting_threads_sleep  # here: see below

    let_waiting_threads_sleep(os.environ)
    let_numpy_use_one_thread(os.environ)
    try:
        from flows.cli import main as run_command_line
    except ModuleNotFoundError as error:
        from pipeline.extras import lacking

        advice = lacking(error)
        if advice is None:
            raise
        print(f"camaudit: {advice}", file=sys.stderr)  # noqa: T201 - the command line's only word
        sys.exit(2)
    run_command_line()


if __name__ == "__main__":
    # Python puts the working folder first on its import path here; it may hold an archive's own gzip.py, so it is
    # taken off before anything else is imported, unless this program lies in it.
    if not sys.flags.safe_path and sys.path and not __file__.startswith(f"{sys.path[0]}/flows/"):
        del sys.path[0]
    start()
