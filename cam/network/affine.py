"""Whether what follows a layer is an affine function of it, read from autograd's record of the tail."""

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


def affine_by_record(logits: Tensor, activation: Tensor) -> bool | None:
    """Tell whether ``logits`` are an affine function of ``activation``, or None where the record does not tell.

    It does not where there is none, or where it holds an operation that is not known here.
    """
    end, start = vertex_of(logits), vertex_of(activation)
    if end is None or start is None:
        return None
    record = Record(end, start)
    if not record.connected:
        return None
    verdicts = [_affine(node, record) for node in {vertex[0] for vertex in record.between} - {start[0]}]
    if any(verdict is False for verdict in verdicts):
        return False
    return True if all(verdicts) else None


def _affine(node: Node, record: Record) -> bool | None:
    kind = kind_of(node)
    changing: list[Vertex] = [vertex for vertex in inputs_of(node) if record.lies_between(vertex)]
    if kind in _LINEAR.split():
        return True
    if kind in _BILINEAR:
        return len(changing) < 2
    if kind == "Div":
        return len(changing) < 2 and record.lies_between(inputs_of(node)[0])
    if kind in ("NativeBatchNorm", "CudnnBatchNorm", "MiopenBatchNorm"):
        return not getattr(node, "_saved_training", True)
    return False if kind in _BENT.split() else None
