"""What a method may use when the activation and its gradient alone do not do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn

from cam.capture import Capture
from cam.inputs.targets import Scalar
from cam.memory import Memory

__all__ = ["ExplanationRequest", "RawMaps"]


@dataclass(frozen=True)
class ExplanationRequest:
    """A model, its input and what is asked of it, with what the one forward left behind.

    ``x`` is (B, C, *S), ``logits`` (B, K). ``layers`` are those that the maps are to be taken from: one for a method
    at a layer, all of them for one across layers, none for a method at the input; ``capture`` holds their
    activations. ``max_batch`` is how many inputs the model may be shown together (None: as many as is sensible for
    their size), and ``memory`` keeps what a method finds out about the model itself. ``known_gradients`` are those of
    ``targets`` by layer, (T, B, C, *S), where they are known already: methods of one call share them.
    """

    model: nn.Module
    x: Tensor
    targets: tuple[Scalar, ...]
    logits: Tensor
    layers: tuple[str, ...]
    capture: Capture
    max_batch: int | None = None
    memory: Memory = field(default_factory=Memory)
    known_gradients: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def layer(self) -> str:
        """The one layer of a method at a layer."""
        (layer,) = self.layers
        return layer

    @property
    def A(self) -> Tensor:  # noqa: N802 - the papers' own symbol
        """The layer's activations (B, C, *S), detached, float32 or better."""
        return widened(self.capture.activations[self.layer].detach())

    def gradients(self, targets: Sequence[Scalar] | None = None) -> Tensor:
        """Return the gradients (T, B, C, *S) at the layer, for these targets or those that are asked."""
        if targets is None and self.layer in self.known_gradients:
            return widened(self.known_gradients[self.layer])
        return widened(self.capture.gradients(self.targets if targets is None else targets)[self.layer])


@dataclass(frozen=True)
class RawMaps:
    """A method's raw maps (T, B, *S), and in a few words how it got them when there was more than one way."""

    maps: Tensor
    note: str = ""


def widened(values: Tensor) -> Tensor:
    """Return half-precision values (autocast) as float32: sums over a layer lose them otherwise."""
    return values.float() if values.element_size() < 4 else values
