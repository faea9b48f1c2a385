"""A decision asked for in Prefect's own form: a flow that pauses until a person fills it in.

Deferred annotations would break deployed runs (Prefect builds the parameters' schema from them): keep them out.
"""

from pathlib import Path

from prefect import flow, pause_flow_run
from prefect.input import RunInput
from pydantic import Field

from flows.commands.persons.approve import ApproveOptions, approve_run, check_decision
from pipeline.findings.signed.decisions import DecisionWord

__all__ = ["DecisionForm", "ask_for_decision"]

_WAIT_DAYS = 30


class DecisionForm(RunInput):
    """The form that Prefect's page shows; what is typed is kept as it is."""

    decision: DecisionWord = Field(description="What you decide about the report")
    name: str = Field(description="Your name, as the report is to print it")
    role: str = Field(description="As what you decide, such as radiologist")
    reason: str = Field(description="Why, in one line; no names of patients")
    review: str = Field(default="", description="Path of a reviewer's file on the worker's machine; may stay empty")


@flow(name="approve", persist_result=False)
def ask_for_decision(run: Path, wait_seconds: int = _WAIT_DAYS * 86400, look_every_seconds: int = 10) -> int:
    """Wait for a person's decision about a finished run, record it, and return the exit code of ``camaudit approve``.

    Raises:
        AuditError: for a decision that is none, or that cannot be recorded; the run's ledger is then as it was.
    """
    form = pause_flow_run(wait_for_input=_form(run), timeout=wait_seconds, poll_interval=look_every_seconds)
    options = ApproveOptions(
        form.decision, form.name, form.role, form.reason, Path(form.review) if form.review else None
    )
    check_decision(options)
    return approve_run(run, options)


def _form(run: Path) -> type[DecisionForm]:
    """Return the form with a text that says which report is to be read first; a run's name holds nobody's."""
    words = f"Read `report.pdf` of run `{run.name}`, then decide about it."
    return DecisionForm.with_initial_data(description=words)
