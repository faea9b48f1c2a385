"""A run's page on a Prefect server: a log line a shard, progress, tables of studies and verdicts, tags, events.

Nothing here costs the run anything: what the server does not take is left out. Nothing names a patient: numbers,
names of criteria, the run's own name. The link is the report's path, which only this site's people can follow.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from prefect import runtime
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.client.orchestration import get_client
from prefect.events import emit_event
from prefect.logging import get_run_logger

from flows.engines import Engine
from flows.telling.outcomes import RunNews, news_of
from pipeline.faults import package_logger
from pipeline.findings.results import Results, load_results
from pipeline.runs.run import Run

__all__ = ["RUN_TAG", "PrefectPage", "emit_news", "say_on_page"]

RUN_TAG = "camaudit"
"""The tag of every flow run of ours: an automation finds them by it."""


class PrefectPage:
    """The page of the flow run that this thread is in; to be made and told inside of it."""

    def __init__(self, engine: Engine) -> None:
        """Show a run as long as ``engine`` has Prefect."""
        self._engine = engine
        self._progress: UUID | None = None
        self._key = "audit"
        self._shards = 0
        self._done = 0

    def begun(self, run: Run) -> None:
        """Say what is to be done."""
        self._key, self._shards = _key(run.spec.audit), run.spec.shards
        new = run.computed
        self._say(f"run {run.spec.run}: {len(run.members)} studies, {new} of them new, in {self._shards} shards")
        self._try(self._begin_progress)

    def shard_done(self, shard: int, studies: int, seconds: float | None) -> None:
        """Say that a shard is written."""
        self._done += 1
        took = "worked by another process" if seconds is None else f"in {seconds:.1f} s"
        self._say(f"shard {shard + 1} of {self._shards}: {studies} studies {took}")
        share = 100.0 * self._done / max(self._shards, 1)
        if self._progress is not None:
            progress = self._progress
            self._try(lambda: update_progress_artifact(progress, share))

    def finished(self, folder: Path) -> None:
        """Show what the run came to."""
        results = load_results(folder)
        news = news_of(results, folder)
        for sentence in news.sentences:
            self._say(sentence)
        self._say(f"report: {folder / 'report.pdf'}")
        self._try(lambda: _show_tables(self._key, results))
        self._try(lambda: _show_report(self._key, folder, results))
        self._try(lambda: _add_tags(results, news))
        self._try(lambda: emit_news(news))

    def _begin_progress(self) -> None:
        done = 0.0 if self._shards else 100.0
        made = create_progress_artifact(done, key=f"{self._key}-progress", description="shards that are written")
        self._progress = made if isinstance(made, UUID) else None

    def _say(self, sentence: str) -> None:
        self._try(lambda: get_run_logger().info(sentence))

    def _try(self, show: Callable[[], object]) -> None:
        """Show something; a server that fails here costs that alone, and is found out at the next shard."""
        if self._engine.is_prefect:
            with suppress(Exception):
                show()


def say_on_page(sentence: str) -> None:
    """Say what must not be overlooked: on the page of the flow run that this thread is in, and in the package's log."""
    package_logger().warning(sentence)
    with suppress(Exception):
        get_run_logger().warning(sentence)


def _key(audit: str) -> str:
    """Return an audit's name as the key of artifacts: lower case, digits, dashes."""
    return re.sub("[^a-z0-9-]+", "-", audit.lower())


def _show_tables(key: str, results: Results) -> None:
    flow = results.flow
    rows = [
        {"studies": "found", "count": flow.found, "why": ""},
        {"studies": "analysed", "count": flow.analysed, "why": f"{flow.reused} carried over"},
        *({"studies": "excluded", "count": count, "why": reason} for reason, count in flow.excluded.items()),
        *({"studies": "failed", "count": count, "why": reason} for reason, count in flow.failed.items()),
    ]
    create_table_artifact(rows, key=f"{key}-studies", description="found = analysed + excluded + failed")
    verdicts = [_verdict_row(results, number) for number in range(len(results.verdicts))]
    if verdicts:
        create_table_artifact(verdicts, key=f"{key}-verdicts", description=_locked(results))


def _verdict_row(results: Results, number: int) -> dict[str, object]:
    verdict = results.verdicts[number]
    estimate = verdict.estimate
    values = {"value": estimate.value, "low": estimate.low, "high": estimate.high, "asked": verdict.bound}
    shown = {name: "-" if value is None else f"{value:.3f}" for name, value in values.items()}
    return {"criterion": verdict.criterion, "answer": verdict.answer, **shown, "patients": estimate.patients}


def _locked(results: Results) -> str:
    reasons = results.lock.exploratory
    return f"EXPLORATORY: {'; '.join(reasons)}" if reasons else "locked before the first look"


def _show_report(key: str, folder: Path, results: Results) -> None:
    path = folder / "report.pdf"
    text = f"[report.pdf]({path.as_uri()})\n\n`{path}`\n\nrun `{results.run}`"
    create_markdown_artifact(text, key=f"{key}-report", description="the report of the run")


def _add_tags(results: Results, news: RunNews) -> None:
    """Tag the flow run with its audit and what holds of it: the list of runs can be filtered by that."""
    flow_run = runtime.flow_run.id
    if flow_run is None:
        return
    exploratory = ["exploratory"] if results.lock.exploratory else []
    tags = {RUN_TAG, results.audit, *runtime.flow_run.tags, *news.kinds, *exploratory}
    with get_client(sync_client=True) as client:
        client.update_flow_run(UUID(str(flow_run)), tags=sorted(tags))


def emit_news(news: RunNews) -> None:
    """Emit an event for each kind of news, ``camaudit.not-met`` and so on: an automation can be hung on it."""
    resource = {"prefect.resource.id": f"camaudit.audit.{news.audit}", "prefect.resource.name": news.audit}
    related = _related()
    for kind, sentence in zip(news.kinds, news.sentences, strict=True):
        payload = {"run": news.run, "sentence": sentence}
        emit_event(f"camaudit.{kind}", resource=resource, related=related, payload=payload)


def _related() -> list[dict[str, str]]:
    flow_run = runtime.flow_run.id
    if flow_run is None:
        return []
    return [{"prefect.resource.id": f"prefect.flow-run.{flow_run}", "prefect.resource.role": "flow-run"}]
