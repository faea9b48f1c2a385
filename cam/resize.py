"""From the layer's grid to the input's: the one place that decides how cells and voxels line up."""

from torch import Tensor
from torch.nn.functional import interpolate

__all__ = ["resize"]


def resize(maps: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Resize maps (B, *S) to spatial ``shape``, linear, in 2D or 3D.

    A layer's cells tile the input's field of view edge to edge (``align_corners=False``), so the first cell's
    centre lies half a cell inside the border, not on it.
    """
    mode = {2: "bilinear", 3: "trilinear"}[len(shape)]
    return interpolate(maps[:, None], size=shape, mode=mode, align_corners=False)[:, 0]
