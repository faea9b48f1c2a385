"""How well the classifier classifies, before anything is said of its maps."""

from reports.estimates import among_rows, estimate_columns
from reports.page.layout import Flowable, note, paragraph, table
from reports.registry import Context, section
from reports.wording import intervals, label_of


@section(80, "Results: the classifier")
def build(context: Context) -> list[Flowable]:
    """Return the classifier's estimates, a label's in a row that names it."""
    estimates = context.results.classification
    if not estimates:
        return [paragraph("The classifier's performance could not be estimated: the results hold no estimate.")]
    if context.results.model.output == "regression":
        return [
            paragraph(
                "The model returns numbers and calls no label: it has no accuracy, sensitivity, specificity or AUROC, "
                "and no study is a true positive or a false negative of it."
            )
        ]
    rows, rules = among_rows(context.results, estimates, by_method=False)
    several = any(label_of(estimate) for estimate in estimates)
    return [
        paragraph(
            "Performance comes first: overlap on a study that the model got wrong means something else than overlap "
            "on one that it got right. The classifier is judged on the studies with a reference."
        ),
        table(estimate_columns(estimates, by_method=False), rows, rules=rules),
        note(intervals(estimates), _SEVERAL if several else ""),
    ]


_SEVERAL = (
    " A study counts as accurate when its called labels are exactly the reference's; sensitivity, specificity and "
    "AUROC are those of one label."
)
