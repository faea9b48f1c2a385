"""Whether a new run would say anything new, looked at here or in a process of its own: it takes the model's hash."""

from pathlib import Path

from flows.apart.own_process import Tell, in_own_process
from flows.request import AuditRequest

__all__ = ["noted_without_news", "without_news_apart"]


def noted_without_news(request: AuditRequest) -> Path | None:
    """Return the newest run where a new one would say the same, and note that in the audit's log; else None.

    Raises:
        AuditError: one line that says what is wrong.
    """
    from pipeline.runs.nights import nothing_new  # here: it loads torch

    run = nothing_new.run_without_news(request.loaded, deep=request.deep)
    if run is not None:
        nothing_new.note_nothing_new(request.loaded, run, request.command)
    return run


def without_news_apart(request: AuditRequest) -> Path | None:
    """Do the same in a process of its own.

    Raises:
        AuditError: one line that says what is wrong.
        InternalError: when camaudit's own code fails.
    """
    return in_own_process(_noted, request, hear=lambda _: None)


def _noted(request: AuditRequest, _tell: Tell) -> Path | None:
    return noted_without_news(request)
