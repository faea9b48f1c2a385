"""An audit from Python, in this process and without Prefect."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from camaudit.finished_run import FinishedRun, read_run
from pipeline.checks.config_checks import checked_config

if TYPE_CHECKING:
    from pipeline.config_file import LoadedConfig

__all__ = ["audit"]

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
    loaded = checked_config(Path(config), _settings(overrides or {}))
    return read_run(_conducted(loaded, deep, on_progress))


def _settings(overrides: Mapping[str, object]) -> list[str]:
    """Return ``key=value`` as ``--set`` takes them, values as YAML."""
    import yaml

    def text(value: object) -> str:
        plain = str(value) if isinstance(value, Path) else value
        written = yaml.safe_dump(plain, default_flow_style=True, width=float("inf"))
        return written.removesuffix("...\n").strip()

    return [f"{key}={text(value)}" for key, value in overrides.items()]


def _conducted(loaded: "LoadedConfig", deep: bool, on_progress: OnProgress) -> Path:
    """Conduct a run with the local engine; return its folder."""
    from flows.conduct import begun, conduct, plainly
    from flows.engines import Engine
    from flows.request import AuditRequest
    from flows.watch import Watcher
    from pipeline.studies.untrusted.workers import WorkerPool
    from pipeline.studies.warm_up import warm_up

    request = AuditRequest(loaded, f"camaudit.audit {loaded.path.name}", deep)
    counter = _Counter(on_progress)
    watcher = Watcher(started=counter.started, on_maps=counter.on_maps)
    with WorkerPool() as pool:
        warm_up(pool)
        return conduct(begun(request, watcher, pool), Engine(lambda _: None, "local"), watcher, plainly)


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
