"""DeepLiftSHAP."""

from collections.abc import Iterator

from torch import Tensor

from cam.methods.deeplift import contributions
from cam.registry import procedure
from cam.request import ExplanationRequest, RawMaps


@procedure(
    "deeplift_shap",
    title="DeepLiftSHAP",
    paper="Lundberg and Lee, NeurIPS 2017, arXiv:1705.07874, section 4.2",
    formula="mean of DeepLIFT's maps over several references",
    limits="Sums to the score less its mean over the references. An approximation of Shapley values, which a network "
    "that is not linear between image and reference does not keep; else as deeplift.",
    signed=True,
    at="input",
    cost="2 for each reference (5 blank ones) that keep their graph, and a backward for each target",
    forwards=lambda work, given: (
        2
        * work.samples
        * (1 + 2 * work.targets)
        * (given["heights"] if given["baselines"] is None else len(given["baselines"]))
    ),
)
def deeplift_shap(request: ExplanationRequest, *, baselines: Tensor | None = None, heights: int = 5) -> RawMaps:
    """Return the mean over references b of sum_c (x_c - b_c) m_c(b), m the multipliers of DeepLIFT: maps (T, B, *S).

    The references are ``baselines`` (N, C, *S), each of them for every sample. Without any they are blank images at
    ``heights`` equal steps from the darkest to the brightest value of each channel of the sample, both included (one
    height: the middle). All are used and nothing is drawn.

    Raises:
        ValueError: when there are no references, or they have another shape than the images; or as ``deeplift``.
    """
    if heights < 1:
        raise ValueError(f"deeplift_shap.heights must be at least 1, not {heights}")
    if baselines is not None and (baselines.shape[1:] != request.x.shape[1:] or not len(baselines)):
        shapes = f"(N, {', '.join(map(str, request.x.shape[1:]))}), not {tuple(baselines.shape)}"
        raise ValueError(f"deeplift_shap.baselines must have shape {shapes}")

    def references(images: Tensor) -> Iterator[Tensor]:
        if baselines is not None:
            for baseline in baselines.to(images):
                yield baseline.expand_as(images)
            return
        low, high = (
            edge.view(*images.shape[:2], *[1] * (images.ndim - 2)) for edge in images.flatten(2).aminmax(dim=2)
        )
        for step in range(heights):
            height = (step + 0.5) / heights if heights == 1 else step / (heights - 1)
            yield (low + height * (high - low)).expand_as(images)

    return RawMaps(*contributions(request, "deeplift_shap", references))
