"""How much of what the logits depend on passes a layer: one forward with its graph, a backward each question."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn

from cam.layers.hooks import hookable
from cam.layers.tokens import TokenGrid
from cam.network.graph import GradThroughout, vertex_of
from cam.network.outputs import Output, as_logits

__all__ = ["Passage"]


class Passage:
    """One forward of one sample ``x`` (1, C, *S) past these layers, each laid out by its grid."""

    def __init__(self, model: nn.Module, x: Tensor, layers: Mapping[str, TokenGrid], output: Output = None) -> None:
        self._grids, self._values = layers, dict[str, Tensor]()
        with torch.inference_mode(False), torch.enable_grad(), self._keeping(model), GradThroughout():
            self._probe = x.detach().clone().requires_grad_()
            logits = as_logits(model(self._probe.clone()), 1, output).flatten()
            weights = torch.linspace(1, 2, len(logits), device=logits.device, dtype=logits.dtype)
            self._score = (logits * weights).sum()  # a plain sum may not depend on anything

    @contextmanager
    def _keeping(self, model: nn.Module) -> Iterator[None]:
        def hook_for(name: str) -> object:
            def hook(_module: nn.Module, _given: object, value: Tensor) -> Tensor:
                self._values[name] = value
                return value.clone()  # what overwrites the layer's output behind it must not overwrite what is kept

            return hook

        modules = dict(hookable(model))
        hooks = [modules[name].register_forward_hook(hook_for(name), prepend=True) for name in self._grids]  # type: ignore[arg-type]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def past(self, name: str) -> float | None:
        """Return the share of the input's gradient that does not pass the layer's cells; None where that is all 0.

        Tokens that stand for no place are not among the cells: what passes by them goes past.
        """
        whole = self._size(self._gradient(self._probe))
        return self._size(self._gradient(self._probe, without=name)) / whole if whole > 0 else None

    def reached(self, name: str, without: str | None = None) -> bool:
        """Tell whether the score depends on the layer's cells, were those of the layer ``without`` held fast."""
        gradient = self._gradient(self._values[name], without=without)
        return gradient is not None and bool(self._grids[name].lay_out(gradient).any())

    def _gradient(self, value: Tensor, without: str | None = None) -> Tensor | None:
        if not self._score.requires_grad or not value.requires_grad:
            return None
        with self._held(without) if without else nullcontext():
            return torch.autograd.grad(self._score, value, retain_graph=True, allow_unused=True)[0]

    @contextmanager
    def _held(self, name: str) -> Iterator[None]:
        vertex, grid = vertex_of(self._values[name]), self._grids[name]
        if vertex is None:
            yield
            return
        node, number = vertex

        def hold(gradients: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
            given = gradients[number]
            if given is None:
                return gradients
            held = grid.put_back(torch.zeros_like(grid.lay_out(given)), given)
            return (*gradients[:number], held, *gradients[number + 1 :])

        handle = node.register_prehook(hold)
        try:
            yield
        finally:
            handle.remove()

    @staticmethod
    def _size(gradient: Tensor | None) -> float:
        return 0.0 if gradient is None else float(gradient.double().abs().sum())
