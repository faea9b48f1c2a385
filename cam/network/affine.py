"""Whether what follows a layer is an affine function of it, read from autograd's record of the tail."""

from collections.abc import Set

from torch import Tensor
from torch.autograd.graph import Node

from cam.network.graph import Record, Vertex, inputs_of, kind_of, vertex_of

__all__ = ["affine_by_record"]

# As autograd calls them. Linear in whatever changes, however many of their inputs do:
_LINEAR = (
    "View UnsafeView ReshapeAlias Reshape Squeeze Unsqueeze Permute Transpose T Clone ToCopy Expand "
    "Alias Select Slice Split SplitWithSizes Unbind Index IndexSelect Gather Repeat Cat Stack Add Sub "
    "Rsub Neg Mean Sum Flip Roll ConstantPadNd ReflectionPad1D ReflectionPad2D ReflectionPad3D "
    "ReplicationPad1D ReplicationPad2D ReplicationPad3D AvgPool2D AvgPool3D AdaptiveAvgPool2D "
    "AdaptiveAvgPool3D UpsampleNearest1D UpsampleNearest2D UpsampleNearest3D UpsampleLinear1D "
    "UpsampleBilinear2D UpsampleTrilinear3D UpsampleBicubic2D PixelShuffle AsStrided Unfold SqueezeDims"
)
# Linear in each of their inputs: affine as long as only one of them changes.
_BILINEAR = frozenset(
    ("Mul Mm Mv Bmm Baddbmm Addmm Addmv Addbmm Dot Linear Convolution MkldnnConvolution Einsum").split()  # noqa: SIM905 - a list of words, as autograd has them
)
_BENT = (
    "Relu LeakyRelu Gelu Silu Elu Celu Selu Mish Softplus Hardswish Hardsigmoid Hardtanh Sigmoid Tanh "
    "Softmax LogSoftmax Exp Log Pow Abs Sqrt Rsqrt MaxPool2DWithIndices MaxPool3DWithIndices "
    "AdaptiveMaxPool2D AdaptiveMaxPool3D Max Amax Clamp ClampMin ClampMax Threshold Prelu "
    "NativeLayerNorm NativeGroupNorm FusedRmsNorm ScaledDotProductFlashAttentionForCpu "
    "ScaledDotProductEfficientAttention ScaledDotProductFlashAttention Reciprocal Logsumexp "
    "LinalgVectorNorm"
)


def affine_by_record(logits: Tensor, *activations: Tensor) -> bool | None:
    """Tell whether ``logits`` are an affine function of all ``activations`` together, or None where it is not told.

    It does not where there is none, or where it holds an operation that is not known here.
    """
    end, starts = vertex_of(logits), [vertex_of(activation) for activation in activations]
    if end is None or None in starts:
        return None
    changing = frozenset[Vertex]().union(*(Record(end, start).between for start in starts))
    if not changing:
        return None
    nodes = {vertex[0] for vertex in changing} - {start[0] for start in starts if start}
    verdicts = [_affine(node, changing) for node in nodes]
    if any(verdict is False for verdict in verdicts):
        return False
    return True if all(verdicts) else None


def _affine(node: Node, changing: Set[Vertex]) -> bool | None:
    kind, given = kind_of(node), inputs_of(node)
    changed = [vertex for vertex in given if vertex in changing]
    if kind in _LINEAR.split():
        return True
    if kind in _BILINEAR:
        return len(changed) < 2
    if kind == "Div":
        return len(changed) < 2 and given[0] in changing
    if kind in ("NativeBatchNorm", "CudnnBatchNorm", "MiopenBatchNorm"):
        return not getattr(node, "_saved_training", True)
    return False if kind in _BENT.split() else None
