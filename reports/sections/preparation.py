"""The preparation of images for the model."""

from reports.layout import Flowable, columns, note, paragraph, table
from reports.registry import Context, section


@section(50, "Preparation")
def build(context: Context) -> list[Flowable]:
    """Return the ordered steps."""
    steps = context.results.preparation
    if not steps:
        return [paragraph("The results list no preparation step.")]
    rows = [(str(number), step) for number, step in enumerate(steps, 1)]
    return [
        table(columns(("Step", 6), ("Transform and parameters", 94)), rows),
        note(
            "The experts' masks are never resampled: each map is carried to the mask's grid through the "
            "geometry of "
            "the prepared image. Pixels outside the model's field of view count as unseen, not as zero."
        ),
    ]
