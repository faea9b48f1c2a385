"""The methods as a Markdown table, from the registry: ``python -m cam.table > docs/methods.md``."""

from cam.registry import METHODS, Method

__all__ = ["markdown"]

_HEAD = """# Methods

Made from the registry by `python -m cam.table > docs/methods.md`. Every method works in 2D and 3D, on batches with a
target for each sample, and returns raw maps. A is a layer's activation, G the gradient of the target with respect to
it. "At" tells whose grid the map lies on. "Ends in ReLU" tells that the map is rectified as its last step, which
`explain(..., rectify=False)` leaves out so that the map can be carried to another grid first; an audit does so. The
cost is in forwards of the whole model beyond the one that all methods of a call share. What other packages have and
how it is called here: [methods-compared.md](methods-compared.md).
"""


def markdown() -> str:
    """Return the document: a table of all methods, then each with its formula, options and limits."""
    rows = [
        f"| [`{method.name}`](#{method.name}) | {method.title} | {method.at} "
        f"| {_yes(method.signed)} | {_yes(method.rectified)} | {method.cost} |"
        for method in METHODS.values()
    ]
    table = ["| name | method | at | signed | ends in ReLU | cost |", "|---|---|---|---|---|---|", *rows]
    return "\n".join([_HEAD, *table, "", *(_entry(method) for method in METHODS.values())])


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"


def _entry(method: Method) -> str:
    options = ", ".join(f"`{name}` ({default!r})" for name, default in method.options.items())
    lines = [
        f"## {method.name}",
        "",
        f"{method.title}. {method.paper}.",
        "",
        f"- Map: {method.formula}",
        f"- Limits: {method.limits}",
    ]
    return "\n".join([*lines, *([f"- Options: {options}"] if options else []), ""])


if __name__ == "__main__":
    print(markdown(), end="")  # noqa: T201 - the program's output
