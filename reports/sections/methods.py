"""The maps: formula, source, limits, and which of them came out the same."""

from pipeline.record import MethodFacts
from reports.layout import GREY, Flowable, columns, note, paragraph, table
from reports.numbers import number
from reports.registry import Context, section
from reports.text import bold, coloured
from reports.wording import by, method


@section(60, "Methods and their limits")
def build(context: Context) -> list[Flowable]:
    """Return what each map is and what it cannot show."""
    results = context.results
    if not results.methods:
        return [paragraph("No map was computed.")]
    shape = columns(("Method", 24), ("Formula (A activations, G gradients)", 36), ("Limits", 40))
    rows = [_row(facts) for facts in results.methods]
    return [
        table(shape, rows),
        *_layers(context),
        *_equivalent(context),
        paragraph(_REGION + results.overlap_rule),
    ]


_REGION = "How a map becomes a region, wherever a metric needs one: "


def _row(facts: MethodFacts) -> tuple[object, ...]:
    return [bold(facts.title), coloured(facts.paper, GREY)], facts.formula, facts.limits


def _layers(context: Context) -> list[Flowable]:
    layers = context.results.model.layers
    cells = "; ".join(
        f"{layer.name}: {by(layer.shape)} cells of {by(map(number, layer.cell_mm))} {layer.unit}" for layer in layers
    )
    words = "A map cannot be finer than a cell of its layer; between cells it is interpolated. "
    return [note(words, cells)] if layers else []


def _equivalent(context: Context) -> list[Flowable]:
    results = context.results
    groups = [" = ".join(method(results, name) for name in group) for group in results.equivalent_methods]
    if not groups:
        return [note("No two methods gave the same maps throughout.")]
    return [
        paragraph(
            bold("Same maps: "),
            f"{'; '.join(groups)}. For this model these methods are the same function: their agreement is no "
            "independent support.",
        )
    ]
