"""Audits from Python, in this process and without Prefect."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from camaudit.finished_run import FinishedRun, read_run
from pipeline.extras import advised

if TYPE_CHECKING:
    from flows.watch import Watcher
    from pipeline.runs.run import Run

__all__ = ["audit", "measure"]

OnProgress = Callable[[int, int], None]
"""Told as the work goes on: maps that are done, and how many there are to be."""


def audit(
    config: str | Path,
    *,
    overrides: Mapping[str, object] | None = None,
    deep: bool = False,
    on_progress: OnProgress = lambda done, expected: None,  # noqa: ARG005 - the names are the documentation
) -> FinishedRun:
    """Audit the archive that ``config`` (the path of an ``audit.yaml``) names, render the report, and return the run.

    ``overrides`` sets dotted keys (``{"run.seed": 3}``), as ``--set`` does; ``deep`` hashes every file again.

    Raises:
        AuditError: one line for each mistake of the configuration, and one for what is wrong with model or archive.
    """
    from pipeline.checks.config_checks import checked_config

    path = Path(config)
    loaded = checked_config(path, _settings(overrides or {}))  # before anything heavy is imported
    with advised("camaudit.audit"):
        from flows.conduct import begun
    from flows.request import AuditRequest
    from pipeline.studies.untrusted.workers import WorkerPool
    from pipeline.studies.warm_up import warm_up

    watcher = _watcher(on_progress)
    with WorkerPool() as pool:
        warm_up(pool)
        request = AuditRequest(loaded, f"camaudit.audit {path.name}", deep)
        return read_run(_conducted(begun(request, watcher, pool), watcher))


def measure(
    run: FinishedRun | str | Path,
    overrides: Mapping[str, object],
    *,
    on_progress: OnProgress = lambda done, expected: None,  # noqa: ARG005
) -> FinishedRun:
    """Score the maps of a finished run again, without the model, and return the new run.

    ``overrides`` sets what leaves every map as it is: ``{"overlap.threshold": 0.5}``, criteria, consensus of readers.

    Raises:
        AuditError: one line that says which key would change a map, or what is wrong with the run.
    """
    from pipeline.faults import own_faults
    from pipeline.runs.measure import measure_run

    folder = run.folder if isinstance(run, FinishedRun) else read_run(run).folder
    with own_faults():
        again = measure_run(folder, f"camaudit.measure {folder.name}", _settings(overrides))
    return read_run(_conducted(again, _watcher(on_progress)))


def _settings(overrides: Mapping[str, object]) -> list[str]:
    """Return ``key=value`` as ``--set`` takes them, values as YAML."""
    import yaml

    def text(value: object) -> str:
        plain = str(value) if isinstance(value, Path) else value
        written = yaml.safe_dump(plain, default_flow_style=True, width=float("inf"))
        return written.removesuffix("...\n").strip()

    return [f"{key}={text(value)}" for key, value in overrides.items()]


def _conducted(run: "Run", watcher: "Watcher") -> Path:
    """Conduct a run that has begun, with the local engine; return its folder."""
    from flows.conduct import conduct, plainly
    from flows.crews.choice import crew_of
    from flows.engines import Engine
    from flows.telling.beside import Beside

    with crew_of(run.config.run) as crew:
        return conduct(run, Engine(watcher.said, "local"), watcher, plainly, Beside(crew=crew))


def _watcher(on_progress: OnProgress) -> "Watcher":
    from flows.watch import Watcher

    counter = _Counter(on_progress)
    return Watcher(started=counter.started, on_maps=counter.on_maps)


class _Counter:
    """Adds up what a run tells of its progress."""

    def __init__(self, on_progress: OnProgress) -> None:
        self._on_progress = on_progress
        self._done = self._expected = 0

    def started(self, _studies: int, _new: int, maps: int) -> None:
        self._expected = maps
        self._on_progress(0, maps)

    def on_maps(self, done: int, more: int = 0, /) -> None:
        self._done += done
        self._expected += more
        self._on_progress(self._done, self._expected)
