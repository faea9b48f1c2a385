"""The audit as a Prefect flow: one task a shard, no arithmetic here.

Deferred annotations would break deployed runs (Prefect builds the parameters' schema from them): keep them out.
"""

from pathlib import Path

from prefect import flow, runtime, task
from prefect.cache_policies import NO_CACHE

from flows.watch import current
from pipeline.config_file import load_config
from pipeline.errors import AuditError
from pipeline.ledger import Ledger
from pipeline.results import finish
from pipeline.run import begin, read_run, work
from pipeline.studies.isolation import WorkerPool
from reports.pdf import render

__all__ = ["audit"]


def _run_name() -> str:
    """Name a flow run after the audit; the name is shown everywhere and holds nothing of a study."""
    parameters = runtime.flow_run.parameters
    try:
        return f"audit-{load_config(Path(parameters['config']), parameters['overrides'] or ()).name}"
    except AuditError:
        return "audit"


@task(name="audit-shard", task_run_name="shard-{shard}", cache_policy=NO_CACHE, persist_result=False)
def audit_shard(folder: str, config: str, shard: int, pool: WorkerPool) -> int:
    """Audit one shard; its studies' faults become rows, so a failed task means a fault of the run itself."""
    return work(Path(folder), Path(config), shard, current().study_done, pool=pool)


@flow(name="audit", flow_run_name=_run_name, persist_result=False)
def audit(
    config: str, command: str = "camaudit schedule", overrides: list[str] | None = None, deep: bool = False
) -> str:
    """Audit the archive that ``config`` (the path of an ``audit.yaml``) names; return the run's folder.

    ``overrides`` are ``key=value``; ``deep`` hashes every file again.

    Studies that an earlier run of the same audit has answered are carried over, not computed again.
    """
    path = Path(config)
    try:
        with WorkerPool() as pool:
            folder = begin(path, command, overrides or (), deep=deep, pool=pool)
            run, members = read_run(folder)
            current().started(len(members), sum(member.shard is not None for member in members))
            for shard in range(run.shards):
                audit_shard(str(folder), config, shard, pool)
            finish(folder, path, flow_run=str(runtime.flow_run.name), pool=pool)
        report = render(folder)
    except AuditError as error:
        raise error from None  # a chained library error can quote a file's content into Prefect's logs
    Ledger(folder / "ledger.jsonl").append("report.rendered", report=report.name)
    return str(folder)
