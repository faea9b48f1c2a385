"""All methods, targets and layers of a batch from one forward."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

import cam.methods  # noqa: F401 - fills the registry
from cam.capture import capture
from cam.layers import choose_layer
from cam.registry import METHODS
from cam.targets import Target

__all__ = ["Explanation", "explain"]


@dataclass(frozen=True)
class Explanation:
    """The maps of one batch, raw, at the layer's own resolution.

    ``maps`` goes from (method, layer, number of the target) to a detached tensor (B, *S).
    ``logits`` is (B, K).
    """

    logits: Tensor
    maps: Mapping[tuple[str, str, int], Tensor]

    def __iter__(self) -> Iterator[tuple[tuple[str, str, int], Tensor]]:
        return iter(self.maps.items())


def explain(
    model: nn.Module,
    x: Tensor,
    targets: Sequence[Target | int],
    *,
    methods: Sequence[str] = ("gradcam",),
    layers: Sequence[str] = ("auto",),
) -> Explanation:
    """Explain ``model`` on ``x`` (B, C, *S) with every method, target and layer from one forward.

    Raises:
        ValueError: for an unknown method, a layer that does not do, a target out of range (see ``capture``).
    """
    unknown = [name for name in methods if name not in METHODS]
    if unknown:
        raise ValueError(f"methods must be among {sorted(METHODS)}, not {unknown}")
    wanted = [target if isinstance(target, Target) else Target(target) for target in targets]
    names = list(dict.fromkeys(choose_layer(model, x) if name == "auto" else name for name in layers))
    passed = capture(model, x, names)
    gradients = passed.gradients(wanted) if wanted else {}
    maps = {
        (method, layer, number): METHODS[method].function(passed.activations[layer].detach(), gradient)
        for layer in gradients
        for number, gradient in enumerate(gradients[layer])
        for method in methods
    }
    return Explanation(passed.logits.detach(), maps)
