"""A schedule: a served deployment that audits what is new since the last run."""

from collections.abc import Callable, Sequence
from pathlib import Path

import httpx
from prefect.client.schemas.schedules import CronSchedule
from prefect.settings import PREFECT_API_URL

from flows.audit import audit
from pipeline.config_file import load_config
from pipeline.errors import ConfigError

__all__ = ["require_server", "serve"]


def serve(config_path: Path, cron: str, overrides: Sequence[str], on_serving: Callable[[], None]) -> None:
    """Serve the audit on a schedule until interrupted; every run computes only the studies that are new.

    Raises:
        ConfigError: when the configuration or the cron expression is wrong, or no Prefect server answers.
    """
    config = load_config(config_path, overrides)
    try:
        CronSchedule(cron=cron)
    except ValueError as error:
        raise ConfigError(f"--cron: {cron!r} is not a cron expression such as '0 2 * * *'") from error
    require_server()
    on_serving()
    audit.serve(
        name=config.name,
        cron=cron,
        parameters={"config": str(config_path.resolve()), "overrides": list(overrides)},
        limit=1,
        pause_on_shutdown=True,
        print_starting_message=False,
    )


def require_server() -> str:
    """Return the address of the Prefect server in use.

    Raises:
        ConfigError: when none is configured or it does not answer.
    """
    address: str | None = PREFECT_API_URL.value()
    if not address:
        raise ConfigError(
            "no Prefect server: start one with 'prefect server start' and set PREFECT_API_URL to its /api"
        )
    try:
        httpx.get(f"{address}/health", timeout=10).raise_for_status()
    except httpx.HTTPError as error:
        raise ConfigError(f"PREFECT_API_URL: no Prefect server answers at {address}") from error
    return address
