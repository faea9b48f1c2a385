"""What this audit did not measure."""

from reports.page.layout import Flowable, bullets, paragraph
from reports.registry import Context, section
from reports.wording import is_baseline

_STANDING = (
    "Whether the maps depend on the trained weights (randomisation of the model's weights).",
    "Whether the maps are faithful to the model (change of the output when marked pixels are removed).",
    "Whether the model relies on shortcuts such as text markers, tubes, borders or the site. High overlap "
    "does not "
    "rule that out.",
    "Repeatability under noise, compression or shift, and across re-trained versions of the model.",
    "Whether the studies are independent of the training data, beyond what the sections on identity state.",
    "The work of people together with the model, and any benefit or harm to patients.",
)


@section(140, "Not measured")
def build(context: Context) -> list[Flowable]:
    """Return the gaps of the method and of this run."""
    results = context.results
    gaps = list(_STANDING)
    if not any(is_baseline(estimate.method) for estimate in results.estimates):
        gaps.append("In this run: baselines.")
    if not any(estimate.group is not None for estimate in results.estimates):
        gaps.append("In this run: subgroups.")
    if all(agreement.estimate.value is None for agreement in results.agreements):
        gaps.append("In this run: agreement between experts.")
    return [paragraph("Nothing in this report speaks to the following."), *bullets(gaps)]
