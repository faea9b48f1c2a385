"""The data's identity: from studies found to studies analysed, and what the cohort consists of."""

from reports.charts import flow_chart
from reports.layout import Flowable, facts, note, paragraph, subheading
from reports.numbers import count, plural
from reports.registry import Context, section
from reports.text import digest
from reports.wording import words


@section(40, "Data identity")
def build(context: Context) -> list[Flowable]:
    """Return the flow of studies and the cohort's make-up."""
    results = context.results
    flow = results.flow
    content = [
        *subheading("Flow of studies"),
        flow_chart(flow),
        note(
            f"{plural(flow.found, 'study', 'studies')} = {flow.analysed} analysed + "
            f"{sum(flow.excluded.values())} excluded + {sum(flow.failed.values())} failed. "
            f"{flow.computed} computed in this run, {flow.reused} reused from an earlier one with the same "
            f"recipe."
        ),
        *subheading("Cohort"),
        facts(
            [
                ("Patients", count(flow.patients)),
                ("Cohort SHA-256", digest(results.lock.cohort)),
                ("Reference standard", results.reference_standard),
                *((_label(name), _values(values)) for name, values in results.cohort_facts.items()),
            ]
        ),
    ]
    if not results.cohort_facts:
        content.append(paragraph("Nothing is known of sites, devices, age or sex."))
    return content


def _label(name: str) -> str:
    plain = words(name)
    return plain[:1].upper() + plain[1:]


def _values(values: object) -> str:
    pairs = dict(values).items() if values else ()  # type: ignore[call-overload]
    return " · ".join(f"{name}: {count(many)}" for name, many in pairs) or "none stated"
