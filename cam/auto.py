"""Which layer ``auto`` stands for."""

from collections.abc import Mapping, Sequence
from weakref import WeakKeyDictionary, ref

import torch
from torch import Tensor, nn

from cam.capture import capture
from cam.layers import readable, refuse_training
from cam.tokens import TokenGrid

__all__ = ["choose_layer"]

_Modules = tuple["ref[nn.Module]", ...]
_chosen: "WeakKeyDictionary[nn.Module, dict[object, tuple[_Modules, str]]]" = WeakKeyDictionary()


def choose_layer(model: nn.Module, x: Tensor, grids: Mapping[str, TokenGrid] | None = None) -> str:
    """Return the layer that ``auto`` stands for: the last to finish that still has spatial extent.

    Behind the last attention of a transformer with a class token, only that token reaches the output: no evidence
    lies at the patches any more. There ``auto`` is the last normalisation whose patches the output depends on, which
    is what the last attention reads (the last such layer of any kind where no normalisation is).

    ``x`` has shape (B, C, *S); its first sample suffices. The choice is remembered for as long as the model lives and
    consists of the same modules, by the shape of ``x`` and ``grids``.

    Raises:
        ValueError: when no layer has spatial extent, or as ``spatial_layers``.
    """
    refuse_training(model)
    modules = tuple(model.modules())
    asked = (tuple(x.shape[1:]), tuple(sorted((grids or {}).items(), key=lambda item: item[0])))
    known, name = _chosen.get(model, {}).get(asked, ((), ""))
    if len(known) == len(modules) and all(one() is module for one, module in zip(known, modules, strict=True)):
        return name
    name = _choose(model, x[:1], grids)
    _chosen.setdefault(model, {})[asked] = (tuple(map(ref, modules)), name)
    return name


def _choose(model: nn.Module, x: Tensor, grids: Mapping[str, TokenGrid] | None) -> str:
    layers = readable(model, x, grids)
    if not layers:
        raise ValueError(f"layer 'auto' found no layer with spatial extent in {type(model).__name__}")
    names = list(reversed(layers))
    if not layers[names[0]].prefix:
        return names[0]
    norms = [name for name in names if isinstance(model.get_submodule(name), nn.LayerNorm | nn.RMSNorm)]
    found = _last_read(model, x, [*norms, *names], grids)
    if found is None:
        raise ValueError(f"layer 'auto' found no layer in {type(model).__name__} whose patches reach the output")
    return found


def _last_read(model: nn.Module, x: Tensor, names: Sequence[str], grids: Mapping[str, TokenGrid] | None) -> str | None:
    return next((name for name in names if _is_read(model, x, name, grids)), None)


def _is_read(model: nn.Module, x: Tensor, name: str, grids: Mapping[str, TokenGrid] | None) -> bool:
    passed = capture(model, x, [name], grids=grids)
    logits = passed.logits
    if not logits.requires_grad:
        return False
    weights = torch.arange(1, 1 + logits[0].numel(), device=logits.device)  # a plain sum may not depend on anything
    with torch.inference_mode(False), torch.enable_grad():
        score = (logits[0].flatten() * weights).sum()
        (gradient,) = torch.autograd.grad(score, passed.activations[name], allow_unused=True)
    return gradient is not None and bool(gradient.any())
