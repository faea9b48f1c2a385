"""What persons decided about the run, why, and where they disagree with single cases."""

from collections import Counter

from pipeline.findings.results import Results
from pipeline.findings.reviews import Review, ReviewedCase
from pipeline.findings.signed.decisions import RecordedDecision, read_decisions
from reports.numbers import moment, plural
from reports.page.layout import Flowable, callout, columns, note, paragraph, subheading, table
from reports.page.text import DASH, bold, digest, joined
from reports.registry import Context, section
from reports.wording import method

_WORDS = {"approve": "Approved", "reject": "Rejected", "needs-review": "To be reviewed further"}
_JUDGEMENTS = {"agree": "agree", "disagree": "disagree", "reference_doubtful": "reference doubtful"}
_SHORT = 12


@section(5, "Decisions of persons")
def build(context: Context) -> list[Flowable]:
    """Return each decision, the oldest first; nothing where nobody decided."""
    decisions = read_decisions(context.run)
    content = [part for decision in decisions for part in _of(context.results, decision)]
    if not content:
        return []
    words = (
        "Names and roles are as they were typed, and nobody checked them; a signature does. Each decision is an event "
        "of the run's ledger. An earlier report stays in the run's folder as it was."
    )
    return [*content, note(words)]


def _of(results: Results, recorded: RecordedDecision) -> list[Flowable]:
    decision = recorded.decision
    who = f" by {decision.name} ({decision.role}), {moment(recorded.time.isoformat())}."
    about = joined("About the report with SHA-256 ", digest(decision.report, _SHORT), " …")
    content: list[Flowable] = [
        callout(paragraph(bold(_WORDS[decision.decision]), who, " ", decision.reason), paragraph(about))
    ]
    return content if recorded.review is None else [*content, *_review(results, recorded.review)]


def _review(results: Results, review: Review) -> list[Flowable]:
    counted: Counter[str] = Counter(case.judgement for case in review.cases)
    counts = ", ".join(f"{counted[key]} {words}" for key, words in _JUDGEMENTS.items() if counted[key]) or "none judged"
    role = f" ({review.reviewer.role})" if review.reviewer.role else ""
    studies = len({case.study for case in review.cases})
    words = f"{review.reviewer.name}{role} judged {plural(len(review.cases), 'map or case', 'maps or cases')} of "
    lead = paragraph(f"{words}{plural(studies, 'study', 'studies')}: {counts}.")
    noted = [case for case in review.cases if case.judgement != "agree" or case.comment]
    if not noted:
        return [lead]
    shape = columns(("Study", 60), ("Map", 70), ("Judgement", 60), ("Comment", 240))
    rows = [(case.study, _map(results, case), _JUDGEMENTS[case.judgement], case.comment or DASH) for case in noted]
    return [lead, *subheading("Cases that somebody disagrees with, or says something of"), table(shape, rows)]


def _map(results: Results, case: ReviewedCase) -> str:
    return "the case as a whole" if case.map is None else method(results, case.map)
