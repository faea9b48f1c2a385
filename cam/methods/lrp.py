"""Layer-wise relevance propagation."""

from functools import partial
from typing import Literal

from cam.procedures.linear_rules import LinearRule, Rules
from cam.procedures.relevance import Propagation, relevance
from cam.procedures.relevance_rules import relevance_rules
from cam.registry import procedure
from cam.request import ExplanationRequest, RawMaps

__all__ = ["COMPOSITES", "Composite", "propagation"]

Composite = Literal["epsilon", "zplus", "gamma", "epsilon_plus", "epsilon_plus_flat", "epsilon_gamma_box"]
COMPOSITES: dict[Composite, tuple[LinearRule, LinearRule, LinearRule | None]] = {
    "epsilon": ("epsilon", "epsilon", None),
    "zplus": ("zplus", "zplus", None),
    "gamma": ("gamma", "gamma", None),
    "epsilon_plus": ("zplus", "epsilon", None),
    "epsilon_plus_flat": ("zplus", "epsilon", "flat"),
    "epsilon_gamma_box": ("gamma", "epsilon", "box"),
}
"""The rule of convolutions, that of linear layers, and that of those which see the image itself."""
_MOST = 1000


@procedure(
    "lrp",
    title="Layer-wise relevance propagation (LRP)",
    paper="Bach et al., PLoS ONE 2015; composites as in Montavon et al., 2019, and Kohlbrenner et al., IJCNN 2020, "
    "arXiv:1910.09840",
    formula="the score, handed back from each layer's output to the terms that it is the sum of, to the image's "
    "values; summed over the input's channels",
    limits="Defined by the chosen rules: other composites give other maps. Convolutions, linear layers, batch "
    "normalisation, sums, pooling and activations that are 0 at 0 have one; a network with anything else is refused.",
    signed=True,
    at="input",
    cost="1 that keeps its graph, for z+ and gamma a second of each layer (a third where both signs enter it), and a "
    "backward for each target",
    forwards=lambda work, _given: work.samples * (1 + 2 * work.targets),
)
def lrp(
    request: ExplanationRequest, *, composite: Composite = "epsilon_plus", epsilon: float = 1e-6, gamma: float = 0.25
) -> RawMaps:
    """Return sum_c R_c, the relevance R of the image's values: maps (T, B, *S).

    ``composite`` names the rules (``COMPOSITES``): epsilon (Bach et al., equation 58), zplus (alpha 1, beta 0), gamma,
    and for layers that see the image itself flat (the same for all that a filter sees) or box (values between the
    sample's least and largest). A batch normalisation behind a convolution or linear layer is merged into it; by itself
    it is a linear layer under the epsilon rule, as are sums and means. Max-pooling hands all to the largest value, an
    activation passes on what arrives.

    Biases keep their share, so the map sums to the score without biases only; the note tells how much arrived. Where
    the score is negative so is the sum of the map.

    Raises:
        ValueError: for an epsilon or gamma out of range, or as ``relevance``: an operation without a
            rule is named.
    """
    values, note = relevance(request, propagation("lrp", composite, epsilon, gamma))
    return RawMaps(values.sum(dim=2), note)


def propagation(method: str, composite: Composite, epsilon: float, gamma: float) -> Propagation:
    """Return the rules of a composite.

    Raises:
        ValueError: for an epsilon or gamma out of range.
    """
    if not 0 < epsilon <= 1 or not 0 <= gamma <= _MOST:
        raise ValueError(
            f"{method}.epsilon must be above 0 and at most 1, gamma within 0 and {_MOST}, not {epsilon} and {gamma}"
        )
    convolution, dense, first = COMPOSITES[composite]
    return Propagation(method, partial(relevance_rules, Rules(convolution, dense, first, epsilon, gamma)))
