"""``camaudit run``: the server starts beside the hashing, the model is loaded before Prefect's threads start."""

from collections.abc import Callable
from pathlib import Path

from flows.conduct import begun, conduct, plainly
from flows.engines import Engine
from flows.server import Server, UnreachableError, prefect_server
from flows.watch import Watcher
from pipeline.config import load_config

__all__ = ["run_audit"]


def run_audit(
    config: Path,
    command: str,
    watcher: Watcher,
    say: Callable[[str], None],
    server: Server | UnreachableError | None = None,
) -> Path:
    """Audit the archive that ``config`` names and render the report; return the run's folder.

    ``say`` is told in one line when the run goes on without Prefect. ``server`` is one that the caller owns; without
    it the run finds or starts its own.

    Raises:
        AuditError: one line that says what is wrong.
        InternalError: when camaudit's own code fails.
    """
    if load_config(config).run.engine == "local":
        return conduct(begun(config, command), config, Engine(say, "local"), watcher, plainly)
    if server is not None:
        return _run_with(server, config, command, Engine(say), watcher)
    with prefect_server() as own:
        return _run_with(own, config, command, Engine(say), watcher)


def _run_with(server: Server | UnreachableError, config: Path, command: str, engine: Engine, watcher: Watcher) -> Path:
    folder = begun(config, command)
    try:
        if isinstance(server, UnreachableError):
            raise server  # noqa: TRY301 - one way out for every reason
        address = server.wait()
        from flows.audit import follow
    except UnreachableError as reason:
        engine.lose(str(reason))
    except Exception as fault:  # noqa: BLE001 - whatever keeps Prefect from being imported
        engine.lose(f"Prefect cannot be loaded ({type(fault).__name__})")
    else:
        return follow(folder, config, command, engine, watcher, address)
    return conduct(folder, config, engine, watcher, plainly)
