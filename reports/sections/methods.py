"""The maps: formula, source, limits, and which of them came out the same."""

from pipeline.findings.facts import MethodFacts
from reports.page.layout import GREY, Flowable, bullets, note, small
from reports.page.text import Markup, bold, coloured, joined
from reports.registry import Context, section
from reports.wording import is_baseline, method, words


@section(146, "Methods and their limits", in_columns=True)
def build(context: Context) -> list[Flowable]:
    """Return what each map is and what it cannot show."""
    results = context.results
    if not results.methods:
        return [small("No map was computed.")]
    return [
        *bullets(map(_told, results.methods), compact=True),
        *_layers(context),
        *_equivalent(context),
        small(bold("Region of a map, wherever a metric needs one: "), results.overlap_rule, "."),
    ]


def _told(facts: MethodFacts) -> Markup:
    """Return a method's name, formula and limits, and where it comes from."""
    limits = facts.limits.rstrip(".")
    said = [bold(f"{facts.title}. "), f"{facts.formula}. ", bold("Limits: "), f"{limits}. "]
    set_ = ", ".join(f"{words(option)} {value}" for option, value in facts.options.items())
    origin = [f"from {facts.package} {facts.package_version}"] if facts.package else []
    options = [f"set to: {set_}"] if set_ else []
    return joined(*said, coloured("; ".join([facts.paper, *origin, *options]), GREY))


def _layers(context: Context) -> list[Flowable]:
    return [note(_FINER)] if context.results.model.layers else []


_FINER = (
    "A: activations, G: gradients. A map cannot be finer than a cell of its layer; between cells it is interpolated, "
    "before the ReLU that ends some formulas."
)


def _equivalent(context: Context) -> list[Flowable]:
    results = context.results
    groups = [" = ".join(method(results, name) for name in group) for group in results.equivalent_methods]
    if groups:
        same = (
            f"{'; '.join(groups)}. In every study of this run these maps mark the same places with the same weight, up "
            "to a factor: they are one piece of evidence, and their agreement is no independent support."
        )
        return [small(bold("Same maps: "), same)]
    several = len({estimate.method for estimate in results.estimates if not is_baseline(estimate.method)}) > 1
    nothing = results.compared is not None and not results.compared.mapped
    return [note("No two methods gave the same maps in every study.")] if several and not nothing else []
