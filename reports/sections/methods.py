"""The maps: formula, source, limits, and which of them came out the same."""

from pipeline.findings.facts import MethodFacts
from reports.page.layout import GREY, Flowable, columns, note, paragraph, table
from reports.page.text import bold, coloured
from reports.registry import Context, section
from reports.wording import by, cells, is_baseline, method, words


@section(146, "Methods and their limits")
def build(context: Context) -> list[Flowable]:
    """Return what each map is and what it cannot show."""
    results = context.results
    if not results.methods:
        return [paragraph("No map was computed.")]
    shape = columns(("Method", 24), ("Formula (A activations, G gradients)", 36), ("Limits", 40))
    rows = [_row(facts) for facts in results.methods]
    return [
        table(shape, rows, compact=True),
        *_layers(context),
        *_equivalent(context),
        paragraph(_REGION + results.overlap_rule),
    ]


_REGION = "How a map becomes a region, wherever a metric needs one: "


def _row(facts: MethodFacts) -> tuple[object, ...]:
    origin = [coloured(f"from {facts.package} {facts.package_version}", GREY)] if facts.package else []
    set_ = ", ".join(f"{words(option)} {value}" for option, value in facts.options.items())
    options = [coloured(f"set to: {set_}", GREY)] if set_ else []
    return [bold(facts.title), coloured(facts.paper, GREY), *origin, *options], facts.formula, facts.limits


def _layers(context: Context) -> list[Flowable]:
    layers = context.results.model.layers
    sizes = "; ".join(f"{layer.name}: {by(layer.shape)} cells of {cells(layer)}" for layer in layers)
    finer = (
        "A map cannot be finer than a cell of its layer; between cells it is interpolated, before the ReLU that ends "
        "some formulas. "
    )
    return [note(finer, sizes)] if layers else []


def _equivalent(context: Context) -> list[Flowable]:
    results = context.results
    groups = [" = ".join(method(results, name) for name in group) for group in results.equivalent_methods]
    if groups:
        same = (
            f"{'; '.join(groups)}. In every study of this run these maps mark the same places with the same weight, up "
            "to a factor: they are one piece of evidence, and their agreement is no independent support."
        )
        return [paragraph(bold("Same maps: "), same)]
    several = len({estimate.method for estimate in results.estimates if not is_baseline(estimate.method)}) > 1
    nothing = results.compared is not None and not results.compared.mapped
    return [note("No two methods gave the same maps in every study.")] if several and not nothing else []
