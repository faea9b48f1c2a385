"""Concept relevance propagation."""

from cam.methods.lrp import Composite, propagation
from cam.procedures.relevance import channel_relevance
from cam.registry import procedure
from cam.request import ExplanationRequest, RawMaps


@procedure(
    "concept_relevance",
    title="Concept relevance propagation (one channel)",
    paper="Achtibat et al., Nature Machine Intelligence 5, 2023, arXiv:2206.03208",
    formula="LRP's relevance that passes one channel of the layer, on the image's grid",
    limits="One channel, of largest relevance unless stated: what the others, or paths beside the layer, carry is left "
    "out. What a channel stands for is not told. Else as lrp. Lies on the input's grid.",
    signed=True,
    at="layer",
    cost="1 that keeps its graph, and a backward for each target",
    forwards=lambda work, _given: work.samples * (1 + 2 * work.targets),
    differs="which channel is the caller's choice alone.",
)
def concept_relevance(
    request: ExplanationRequest,
    *,
    channel: int | None = None,
    composite: Composite = "epsilon_plus",
    epsilon: float = 1e-6,
    gamma: float = 0.25,
) -> RawMaps:
    """Return sum_c R_c(x | channel), LRP with the relevance of every other channel of the layer set to 0: (T, B, *S).

    ``channel`` is the layer's, the same for all; without it each sample and target has that of largest relevance, which
    the note names. The maps of all channels of a layer that everything passes sum to LRP's. The rules are those of
    ``lrp``.

    Raises:
        ValueError: when the layer is called more than once or has no channels on a grid; or as ``lrp``.
    """
    way = propagation("concept_relevance", composite, epsilon, gamma)
    values, channels = channel_relevance(request, way, channel)
    shown = "; ".join(", ".join(map(str, row)) for row in channels)
    return RawMaps(values.sum(dim=2), f"channels by target and sample: {shown}")
