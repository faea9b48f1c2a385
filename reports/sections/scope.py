"""Scope and intended use."""

from reports.page.layout import COLUMN, Flowable, facts
from reports.registry import Context, section
from reports.statements import stated


@section(142, "Scope and intended use", in_columns=True)
def build(context: Context) -> list[Flowable]:
    """Return what the model is for and what this audit looked at."""
    results = context.results
    return [
        facts(
            [
                ("Intended use", results.intended_use),
                *stated(results, "users", "known_risks"),
                (
                    "Question",
                    "Whether attribution maps of the model overlap with experts' masks.",
                ),
                *stated(results, "responsible"),
            ],
            label=0.25,
            width=COLUMN,
        )
    ]
