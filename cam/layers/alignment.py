"""Whether a layer's cells look where they are drawn.

A map is drawn as if the layer's cells tiled the input edge to edge. Padded, strided convolutions centre their cells
elsewhere (half a cell in a ResNet), and no resize can know: it has to be measured on the network.
"""

from functools import reduce
from itertools import product
from operator import add

import torch
from torch import Tensor, nn

from cam.layers.axis_layout import Reader
from cam.layers.calls import joined, layer_call
from cam.layers.spatial import refuse_training, resolve

__all__ = ["cell_shift"]


def cell_shift(model: nn.Module, layer: str, x: Tensor) -> tuple[float, ...] | None:
    """Measure how far from its tile's centre the middle cell of ``layer`` looks, in input voxels along each axis.

    Where a cell looks is the centroid of ``|d activation / d x|`` for one input ``x`` (1, C, *S). On axes with an even
    number of cells the two middle ones are averaged, so that the border cuts both alike. Positive: towards higher
    indices. None when the middle cells do not react to this input, or are instances that are no axis of the image. Of
    the sum of several calls it is the first that is measured.

    Raises:
        ValueError: when the layer does not exist or the model is in training mode.
    """
    refuse_training(model)
    calls: list[Tensor] = []
    module, reader = resolve(model, layer, x), Reader(model, x)
    meant = layer_call(layer, dict(model.named_modules()))

    def keep(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        if not reader.busy:
            calls.append(reader.grid(meant.module, output.shape).lay_out(output).clone())

    hook = module.register_forward_hook(keep)
    try:
        with reader.watching(), torch.inference_mode(False), torch.enable_grad():
            probe = x.detach().clone().requires_grad_()
            model(probe)
    finally:
        hook.remove()
    slices = reader.slices(layer)
    if slices and slices.axis is None:
        return None
    activation = joined(calls, slices) if slices else calls[meant.number or 0]
    middles = [sorted({(size - 1) // 2, size // 2}) for size in activation.shape[2:]]
    shifts = [_shift_of(activation, cell, probe) for cell in product(*middles)]
    known = [shift for shift in shifts if shift is not None]
    if not known:
        return None
    # sum() rounds otherwise from Python 3.12 on
    totals = [reduce(add, (shift[axis] for shift in known)) for axis in range(len(middles))]
    return tuple(total / len(known) for total in totals)


def _shift_of(activation: Tensor, cell: tuple[int, ...], probe: Tensor) -> list[float] | None:
    column = activation[0].movedim(0, -1)[cell]  # all channels of one cell
    (gradient,) = torch.autograd.grad(column.sum(), probe, retain_graph=True)
    weight = gradient[0].abs().sum(dim=0).double()
    if not bool(weight.sum() > 0):
        return None
    shifts = []
    for axis, size in enumerate(weight.shape):
        profile = weight.sum(dim=[other for other in range(weight.ndim) if other != axis])
        centroid = float((profile * torch.arange(size, device=profile.device)).sum() / profile.sum())
        ratio = size / activation.shape[2 + axis]
        shifts.append(centroid - ((cell[axis] + 0.5) * ratio - 0.5))
    return shifts
