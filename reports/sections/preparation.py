"""The preparation of images for the model."""

from pipeline.errors import OutputError
from pipeline.findings.facts import InputSummary
from reports.alternative_text import image_in_words
from reports.numbers import number
from reports.page.layout import COLUMN, Flowable, bullets, note, pair, small, subheading
from reports.page.text import bold
from reports.pictures.legend import PlanePicture
from reports.registry import Context, section


@section(145, "Preparation", in_columns=True)
def build(context: Context) -> list[Flowable]:
    """Return the ordered steps, and what they made of the images."""
    return [*_steps(context), *_inputs(context)]


def _steps(context: Context) -> list[Flowable]:
    steps = context.results.preparation
    if not steps:
        return [small("The results list no preparation step.")]
    return [
        *(small(bold(f"{place}. "), step) for place, step in enumerate(steps, 1)),
        note(
            "The experts' masks are never resampled: each map is carried to the mask's grid. What lies outside the "
            "model's field of view counts as unseen, not as zero."
        ),
    ]


def _inputs(context: Context) -> list[Flowable]:
    inputs = context.results.inputs
    if inputs is None:
        return []
    like = (inputs.minimum, inputs.maximum)
    shapes = " \u00b7 ".join(f"{shape}: {many}" for shape, many in inputs.shapes.items())
    return [
        *subheading("The input as the model saw it"),
        small(
            f"Shape (channels, ...) {shapes}; values from {number(inputs.minimum, like=like)} to "
            f"{number(inputs.maximum, like=like)}; mean {number(inputs.mean)} and standard deviation "
            f"{number(inputs.deviation)}, as means over the studies."
        ),
        *bullets(inputs.notes, compact=True),
        *_picture(context, inputs),
    ]


def _picture(context: Context, inputs: InputSummary) -> list[Flowable]:
    """Return one plane of the first study's input, or why it is not shown."""
    if inputs.picture is None:
        return [note(f"No picture: {inputs.picture_note}.")]
    try:
        panels = context.panels(inputs.picture)
    except OutputError:
        return [note(f"No picture: the file {inputs.picture} is missing or cannot be read.")]
    low, high = (number(value, like=panels.window) for value in panels.window)
    caption = f"First analysed study, {panels.views[0].caption}, first channel; black at {low}, white at {high}."
    picture = PlanePicture(panels.views[0], panels.window, image_in_words(panels, panels.views[0]))
    return [pair(picture, [note(caption)], 0.3, width=COLUMN)]
