"""What of a run needs its model, each in a process of its own, for a leading process that only watches."""

from functools import partial
from pathlib import Path

from flows.apart.own_process import Tell, in_own_process
from flows.apart.tried_again import tried_again
from flows.request import AuditRequest
from flows.watch import Watcher
from pipeline.config import AuditConfig
from pipeline.progress import Progress
from pipeline.runs.asked_again import AskedAgain, StudiesToAsk
from pipeline.runs.run import Run
from pipeline.vocabulary import Family

__all__ = ["ask_again_apart", "begun_apart", "experiment_apart", "first_pass_apart"]


def begun_apart(request: AuditRequest, watcher: Watcher) -> Run:
    """Create a run, while this process holds the folder of the audit's runs.

    Raises:
        AuditError: one line that says what is wrong.
        InternalError: when camaudit's own code fails.
    """
    config: AuditConfig = request.loaded.config
    make = partial(in_own_process, _created, request, hear=watcher.estimated)
    return Run.made_by(make, config.run.output / config.name, watcher.said)


def first_pass_apart(run: Run) -> None:
    """Read the masks that all shards depend on, and work the shards of patients on whom thresholds are tuned.

    Raises:
        AuditError: when a shard cannot be worked.
        InternalError: when camaudit's own code fails.
    """
    in_own_process(_first_pass, run.folder, hear=_nothing)


def experiment_apart(run: Run, family: Family, on_maps: Progress) -> None:
    """Try a family on the model and write its rows.

    Raises:
        AuditError: when the model changed meanwhile, or the folder cannot be written.
        InternalError: when camaudit's own code fails.
    """
    in_own_process(_experiment, run.folder, family, hear=lambda maps: on_maps(*maps))


def ask_again_apart(run: Run, studies: StudiesToAsk) -> AskedAgain:
    """Show the model a few studies again, as ``Run.ask_again`` does.

    Raises:
        AuditError: when the model changed meanwhile, or the folder cannot be written.
        InternalError: when camaudit's own code fails.
    """
    return in_own_process(_ask_again, run.folder, studies, hear=_nothing)


def _nothing(content: object) -> None:
    pass


def _created(request: AuditRequest, tell: Tell) -> Path:
    from pipeline.runs.start import created_run
    from pipeline.runs.start_watch import StartWatch
    from pipeline.studies.untrusted.workers import WorkerPool

    with WorkerPool() as pool:
        watch = StartWatch(pool, tell)
        create = partial(created_run, request.loaded, request.command, pool, deep=request.deep, watch=watch)
        return tried_again(create).folder


def _first_pass(folder: Path, _tell: Tell) -> None:
    from pipeline.runs.shared.turns import shards_in_turn
    from pipeline.runs.shared.worker import ShardWorker

    with Run.open(folder) as run:
        run.average_masks  # noqa: B018 - surveyed where it is first asked for
        shards = shards_in_turn(run, waits=True, among=sorted(run.tuning_shards))
        with ShardWorker(run, shards) as worker:
            while worker.begin() is not None:
                worker.finish()


def _experiment(folder: Path, family: Family, tell: Tell) -> None:
    def on_maps(done: int, more: int = 0, /) -> None:
        tell((done, more))

    with Run.open(folder) as run:
        run.experiment(family, on_maps)


def _ask_again(folder: Path, studies: StudiesToAsk, _tell: Tell) -> AskedAgain:
    with Run.open(folder) as run:
        return run.ask_again(studies)
