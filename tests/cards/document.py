"""What was measured of the methods, as Markdown."""

from collections.abc import Mapping

from cam import METHODS
from camaudit.testing.cards import MethodCard, method_card
from camaudit.testing.heads import HEADS
from camaudit.testing.one_formula import HeadGroups, groups_behind

_CARDS = """# A card for each method

Measured by `python -m tests.cards --write` with `camaudit.testing.cards.method_card`, on networks of a few hundred
weights in float64, in 2D and 3D: properties of the formulas, not of your model. What a method says of itself (paper,
formula, limits, options) is in [methods](methods.md).

- **repeats**: two calls give the same map, bit for bit. Sampled methods draw from a seed.
- **weights re-drawn**: Spearman's correlation of the map with that of the same network with other weights, mean of 5
  draws. Near 0 is right; a method that stays high shows the picture more than the model. On an untrained network:
  whether a map of *your* model depends on its training is asked by [the sanity checks](experiments.md).
- **images shown**: for one sample and one target of a picture of 6 x 6, its own first forward included; a backward
  through the whole network counts as two. A test holds it below what the method declares.
- **multiply-adds**: of convolutions and matrix products for the same map, in multiples of a plain forward's, the first
  forward included. The network is so small that its first layer, which sees values of both signs, weighs much.
- **memory**: the most bytes that tensors hold at once, in multiples of a plain forward. Large for small pictures:
  masks are made in portions of a fixed number of rows.
- **exact behind**: the map's sum is the logit less a constant of the head, up to one factor: nothing is left out or
  counted twice. [One formula](one-formula.md) says what the heads are.
"""

_HEADS = """# One formula: which methods are the same map behind which head

Most class activation maps are a sum over channels of a weight and an activation. Whether two methods differ depends
on what follows the layer. Measured by `python -m tests.cards --write` on small random networks, in 2D and 3D and with
three seeds each, by `camaudit.testing.one_formula.groups_behind`: a group holds where all its maps agree in every one
of them, up to a positive factor and a final ReLU. Methods of one group are one piece of evidence; an audit says so
for *your* model (`Explanation.equivalent`), by looking at the maps themselves.

What can be read off: where the gradient of the logit is the same at every place of the layer, the mean over places
changes nothing, and CAM, Grad-CAM, XGrad-CAM and HiResCAM are one map. That is so behind a mean over places in a
convolutional network, and in a transformer after its last attention where the tokens are averaged. A maximum, a layer
that sees all places, or an attention between layer and logit takes it away: behind linear heads HiResCAM and
XGrad-CAM then keep the sum of the evidence, and Grad-CAM does not. Normalisation and attention *before* the layer
change nothing in this; what mixes places *behind* it does.
"""


_COSTS = """## What LRP and DeepLIFT cost

Multiply-adds for one map on networks of MONAI, random weights, in multiples of a plain forward's; 1.0 of each is the
forward that all methods of a call share. A layer is run once forward, for z+ and gamma once more (twice more where
values of both signs enter it, as at the image), and once backward (twice under gamma where more than a ReLU reads what
it returns). A batch normalisation behind it costs nothing. DeepLIFT runs image and reference, and back the image alone.
"""


def seen_behind() -> Mapping[str, HeadGroups]:
    """Try every method that lies at a layer behind every head."""
    methods = [name for name, method in METHODS.items() if method.at == "layer"]
    return {head: groups_behind(head, methods) for head in HEADS}


def cards_document(behind: Mapping[str, HeadGroups], costs: str) -> str:
    """Return the table of all cards, the table of ``costs``, and then each card."""
    cards = [method_card(name, behind) for name in METHODS]
    rows = [f"| [`{card.name}`](#{card.name}) | {' | '.join(_figures(card))} |" for card in cards]
    head = "| name | repeats | weights re-drawn | images shown | multiply-adds | memory | exact behind |"
    head += "\n|---|---|---|---|---|---|---|"
    return "\n".join([_CARDS, head, *rows, "", _COSTS, costs, "", *map(_card, cards)])


def heads_document(behind: Mapping[str, HeadGroups]) -> str:
    """Return, head by head, which methods are one map and which keep the sum of the evidence."""
    head = "| what follows the layer | one and the same map | sum is the logit | refused |\n|---|---|---|---|"
    rows = [
        f"| {name} | {'<br>'.join(' = '.join(map(_code, group)) for group in found.same) or 'none'} "
        f"| {_names(found.exact)} | {_names(found.refused)} |"
        for name, found in behind.items()
    ]
    return "\n".join([_HEADS, head, *rows, ""])


def _figures(card: MethodCard) -> list[str]:
    # a hundredth is what another order of summation changes; memory and counts are whole or nearly so
    randomised = "no order" if card.randomised is None else f"{card.randomised + 0.0:.1f}".replace("-0.0", "0.0")
    return [
        "yes" if card.repeats else "no",
        randomised,
        str(card.shown),
        _times(card.multiply_adds),
        _times(card.memory),
        "; ".join(card.exact) or "none",
    ]


def _card(card: MethodCard) -> str:
    method = METHODS[card.name]
    same = "; ".join(f"{_names(others)} behind {head}" for head, others in card.same.items())
    moved = ", ".join(f"`{name}` {_share(change)}" for name, change in card.options.items())
    lines = [
        f"## {card.name}",
        "",
        f"{method.title}. Tried behind: {card.network}.",
        "",
        f"- Map: {method.formula}",
        f"- The same map as: {same or 'no other method behind any of the heads'}",
        f"- Doubling an option moves the map by: {moved or 'there is none that is a number'}",
        f"- Declared cost: {method.cost}",
        *([f"- Differs from the authors' code: {method.differs}"] if method.differs else []),
        "",
    ]
    return "\n".join(lines)


def _times(number: float) -> str:
    return f"{number:.2g}" if number < 100 else f"{number:.0f}"


def _share(change: float) -> str:
    return "nothing" if change < 1e-9 else f"{change:.0%}" if change >= 0.01 else "less than 1%"


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(map(_code, names)) or "none"


def _code(name: str) -> str:
    return f"`{name}`"
