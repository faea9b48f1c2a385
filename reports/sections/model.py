"""The model's identity."""

from pipeline.findings.facts import ModelFacts
from reports.numbers import count, number
from reports.page.layout import Flowable, columns, facts, note, paragraph, subheading, table
from reports.page.text import digest
from reports.registry import Context, section
from reports.wording import by, cells, words


@section(30, "Model identity")
def build(context: Context) -> list[Flowable]:
    """Return what was audited, exactly enough to find it again."""
    model = context.results.model
    labels = ", ".join(f"{index} = {label}" for index, label in enumerate(model.labels))
    identity = facts(
        [
            ("Name and version", f"{model.name}, {model.version}"),
            ("Weights SHA-256", digest(model.sha256)),
            ("Source", model.source),
            ("Architecture", model.architecture),
            ("Parameters", count(model.parameters)),
            ("Outputs (index = label)", labels),
            ("Output to probability", f"{words(model.output)}; {_called(model)}"),
            ("Training data", model.training_data),
        ]
    )
    return [identity, *subheading("Layers that the maps come from"), *_layers(context)]


def _called(model: ModelFacts) -> str:
    """Return by what rule a label is called."""
    above = f"called above {number(model.threshold, more=1)}"
    if model.output == "sigmoid":
        return f"each label by itself, {above}"
    return f"{model.labels[1]} is {above}" if len(model.labels) == 2 else "the most probable label is called"


def _layers(context: Context) -> list[Flowable]:
    layers = context.results.model.layers
    if not layers:
        return [paragraph("No layer was explained.")]
    shape = columns(
        ("Layer", 37), ("Asked for", 16), ("Grid", 17, True), ("Cell", 28, True), ("Looks beside", 30, True)
    )
    rows = [
        (
            layer.name,
            layer.requested,
            by(layer.shape),
            cells(layer),
            f"{by(number(shift) for shift in layer.shift_mm)} {layer.unit}" if layer.shift_mm else "not measurable",
        )
        for layer in layers
    ]
    return [table(shape, rows), note(_BESIDE)]


_BESIDE = (
    "Cell: from the smallest to the largest over the studies, where they differ; the rest is the first study's. A map "
    "is drawn as if its cells tiled the model's input edge to edge. Looks beside: how far from the place where "
    "it is drawn the middle cell really looks, along each axis of the input, measured by gradients on noise. The maps "
    "are not moved by it."
)
