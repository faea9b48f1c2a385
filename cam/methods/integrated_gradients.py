"""Integrated gradients."""

from torch import Tensor

from cam.extra import methods_extra
from cam.procedures.attribution import Score, attributed
from cam.registry import procedure
from cam.request import ExplanationRequest, RawMaps


@procedure(
    "integrated_gradients",
    title="Integrated gradients",
    paper="Sundararajan, Taly and Yan, ICML 2017, arXiv:1703.01365",
    formula="sum over the input's channels of (x - baseline) x mean gradient on the line from baseline to x",
    limits="Sums to the score's change from the baseline (so far as the steps go): the baseline decides what can be "
    "marked, and a voxel of the baseline's value gets nothing.",
    signed=True,
    at="input",
    cost="3 x steps (50) a target: forwards and backwards through the whole model",
    forwards=lambda work, given: 3 * work.samples * work.targets * given["steps"],
)
def integrated_gradients(request: ExplanationRequest, *, steps: int = 50, baseline: float = 0.0) -> RawMaps:
    """Return sum_c (x_c - b) * integral over a in 0..1 of dy/dx_c (b + a (x - b)); b is ``baseline`` everywhere.

    The integral is Gauss and Legendre's of ``steps`` points, whose weights captum rounds to float32.

    Raises:
        ValueError: when there are no steps.
    """
    with methods_extra("integrated_gradients"):
        from captum.attr import IntegratedGradients  # loads matplotlib, which nothing else here needs

    if steps < 1:
        raise ValueError(f"integrated_gradients.steps must be at least 1, not {steps}")

    def attribute(score: Score, x: Tensor, samples: Tensor, rows: int) -> Tensor:
        attributions = IntegratedGradients(score).attribute(
            x,
            baselines=float(baseline),
            additional_forward_args=(samples,),
            n_steps=steps,
            internal_batch_size=rows,
        )
        assert isinstance(attributions, Tensor)
        return attributions.sum(dim=1)

    return RawMaps(attributed(request, attribute))
