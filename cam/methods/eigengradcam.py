"""EigenGrad-CAM."""

from torch import Tensor

from cam.methods.eigencam import first_component
from cam.registry import method


@method(
    "eigengradcam",
    title="EigenGrad-CAM",
    paper="no paper; defined by the package grad-cam 1.5 (EigenGradCAM), there centred and of arbitrary sign",
    formula="G x A projected on its first right singular vector over channels, not centred; sign as HiResCAM",
    limits="Shows one pattern of the evidence, its strongest, and its sum is not the score. Arbitrary where the two "
    "largest singular values are equal.",
    signed=True,
)
def eigengradcam(A: Tensor, G: Tensor) -> Tensor:
    """Return ``first_component`` of G x A: A and G are (B, C, *S), the map is (B, *S).

    Its sign is the one with which the inner product with the sum over channels of G x A, HiResCAM, is positive.
    """
    return first_component(G * A)
