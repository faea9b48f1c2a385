"""``camaudit measure``: a run's maps scored again, worked and rendered like any run, without the model."""

from collections.abc import Callable, Sequence
from pathlib import Path

from flows.commands.progress import watching
from flows.conduct import conduct, plainly
from flows.crews.choice import crew_of
from flows.engines import Engine
from flows.telling.beside import Beside
from pipeline.faults import own_faults
from pipeline.runs.measure import measure_run
from pipeline.runs.start_watch import StartWatch

__all__ = ["measure_again"]


def measure_again(run: Path, overrides: Sequence[str], say: Callable[[str], None], *, quiet: bool) -> Path:
    """Score the maps of a run again and render the report; return the new run's folder.

    Raises:
        AuditError: one line that says what is wrong.
    """
    with watching(f"{run}: reading masks", quiet=quiet) as watcher:
        with own_faults():
            again = measure_run(run, f"camaudit measure {run.name}", overrides, watch=StartWatch(say=say))
        with crew_of(again.config.run) as crew:
            return conduct(again, Engine(say, "local"), watcher, plainly, Beside(crew=crew))
