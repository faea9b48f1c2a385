"""Scope and intended use."""

from reports.page.layout import Flowable, facts
from reports.registry import Context, section
from reports.statements import stated


@section(142, "Scope and intended use")
def build(context: Context) -> list[Flowable]:
    """Return what the model is for and what this audit looked at."""
    results = context.results
    return [
        facts(
            [
                ("Intended use of the model", results.intended_use),
                *stated(results, "users", "known_risks"),
                (
                    "Question of the audit",
                    "Whether attribution maps of the model overlap with experts' masks.",
                ),
                ("Organisation", results.organisation),
                ("Prepared by", results.prepared_by),
                *stated(results, "responsible"),
                ("Reference standard", results.reference_standard),
                ("Region of a map", results.overlap_rule),
                ("Rule for the cases shown", results.case_rule),
            ]
        )
    ]
