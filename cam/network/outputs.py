"""What a model returns, as logits: which tensor it is, in which shape, and whether it is a logit at all."""

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import fields, is_dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node

from cam.inputs.targets import Scalar
from cam.network.graph import Vertex, inputs_of, kind_of, vertex_of

__all__ = [
    "Output",
    "OutputKind",
    "adapted",
    "as_logits",
    "eagerly",
    "plain",
    "refuse_squashed",
    "saturated",
    "squashing",
]

Output = str | int | None
"""Names the logits in what a model returns: a key or field, a position, or None for the obvious one."""

OutputKind = Literal["logits", "probability", "regression"]

_NAMES = ("logits", "logit", "out", "output", "pred", "prediction", "y_hat", "scores")
_SQUASHING = {
    "Sigmoid": "sigmoid",
    "Softmax": "softmax",
    "SafeSoftmax": "softmax",
    "LogSoftmax": "log-softmax",
    "LogSigmoid": "log-sigmoid",
    "LogSigmoidForward": "log-sigmoid",
    "Tanh": "tanh",
    "Hardsigmoid": "hard sigmoid",
    "Hardtanh": "hard tanh",
    "Softsign": "softsign",
    "Erf": "erf",
    "Atan": "atan",
}
# A value that was squashed before is so still, up to a factor or shift:
_UNCHANGED = (
    "View UnsafeView ReshapeAlias Reshape Squeeze Unsqueeze Permute Transpose T Clone ToCopy Expand "
    "Alias Select Slice Split Unbind Index Gather IndexSelect Repeat Cat Stack Add Sub Rsub Neg Mul Div "
    "Mean Sum Exp Log ClampMin ClampMax AsStrided Log1P Logaddexp Copy"
)


def plain(x: Tensor) -> Tensor:
    """Return ``x`` as a plain tensor: a subclass (MONAI's MetaTensor) would hand its affine on to maps of other cells.

    It shares the memory, unless it was made in inference mode, whose tensors cannot enter a graph.

    Raises:
        ValueError: when it is no tensor of real numbers with a batch, a channel and at least one spatial axis.
    """
    if not isinstance(x, Tensor):
        raise ValueError(f"x must be a tensor (batch, channels, ...), not {type(x).__name__}{_as_tensor(x)}")  # noqa: TRY004 - callers expect one error type for an unfit input
    if not x.is_floating_point():
        raise ValueError(f"x must be floating point, as the model was trained on, not {x.dtype}: x.float(), and scaled")
    if x.ndim < 3 or not x.numel() or x.is_sparse:
        what = f"sparse {tuple(x.shape)}" if x.is_sparse else tuple(x.shape)
        raise ValueError(f"x must have shape (batch, channels, spatial axes), none of them 0, not {what}")
    values = _stripped(x)
    with torch.inference_mode(False):
        return values.clone() if values.is_inference() else values


def _as_tensor(x: object) -> str:
    return ": torch.from_numpy(x)" if type(x).__module__ == "numpy" else ""


def as_logits(returned: object, batch: int | None = None, output: Output = None) -> Tensor:
    """Return the logits (B, K) or (B, K, *S) in what a model returned for ``batch`` samples (None: not checked).

    A tensor is taken as it is, but for axes of 1: (B,) and (B, 1, 1, 1) are (B, 1), (B, K, 1, 1) is (B, K). In a dict,
    a dataclass or a tuple, ``output`` names it, by key or position; else it is what is called ``logits`` (or one of
    the other usual names), the only tensor, or the only one of shape (B, K).

    Raises:
        ValueError: when there is none, more than one, or its first axis is not the batch.
    """
    given = _stripped(_named(returned, output, batch))
    value = given.view(1) if given.ndim == 0 and batch in (None, 1) else given
    value = value[:, None] if value.ndim == 1 else value
    if value.ndim < 2 or (batch is not None and len(value) != batch) or not value.is_floating_point():
        rows = "batch" if batch is None else batch
        raise ValueError(
            f"the model's output must have shape ({rows}, labels), not {tuple(given.shape)} of {given.dtype}"
        )
    return value.flatten(1) if value.ndim > 2 and all(size == 1 for size in value.shape[2:]) else value


def _stripped(value: Tensor) -> Tensor:
    """Return a tensor without its subclass; one that stands for others (a trace's, a distributed one's) stays."""
    stands_for_others = type(value).__torch_dispatch__ is not Tensor.__torch_dispatch__
    if type(value) is Tensor or stands_for_others:
        return value
    with torch._C.DisableTorchFunctionSubclass():  # noqa: SLF001 - the subclass would make more of its kind
        return value.as_subclass(Tensor)


def _named(returned: object, output: Output, batch: int | None) -> Tensor:
    if isinstance(returned, Tensor) and output is None:
        return returned
    parts = _parts(returned)
    if output in get_args(OutputKind) and output not in parts:  # it tells what the output is, not where
        return _named(returned, None, batch)
    if output is not None:
        if isinstance(returned, Tensor):
            raise ValueError(f"output={output!r} names a part, and the model returns one tensor: leave it out")
        if output not in parts:
            raise ValueError(f"output={output!r} is not in what the model returns: {_listed(parts)}")
        return parts[output]
    usual = next((parts[name] for name in _NAMES if name in parts), None)
    if usual is not None:
        return usual
    distinct = list({id(tensor): tensor for tensor in parts.values()}.values())
    likely = (
        distinct
        if len(distinct) == 1
        else [tensor for tensor in distinct if tensor.ndim == 2 and batch in (None, len(tensor))]
    )
    if len(likely) != 1:
        raise ValueError(
            f"the model returns a {type(returned).__name__} in which no logits are obvious; name them by "
            f"output=: {_listed(parts)}"
        )
    return likely[0]


def _parts(returned: object) -> dict[str | int, Tensor]:
    """Return the tensors in what was returned, by key (or field) and by position."""
    parts: dict[str | int, object] = {}
    if isinstance(returned, Mapping):
        parts |= returned
    elif is_dataclass(returned):
        parts |= ((field.name, getattr(returned, field.name)) for field in fields(returned))
    elif isinstance(returned, tuple | list):
        parts |= dict(zip(getattr(returned, "_fields", ()), returned, strict=False))
        parts |= enumerate(returned)
    elif hasattr(returned, "__dict__"):
        parts.update(vars(returned).items())
    return {name: value for name, value in parts.items() if isinstance(value, Tensor)}


def _listed(parts: Mapping[str | int, Tensor]) -> str:
    return ", ".join(f"{name!r} {tuple(tensor.shape)}" for name, tensor in parts.items()) or "no tensor"


@contextmanager
def adapted(model: nn.Module, output: Output = None, kind: OutputKind = "logits") -> Iterator[None]:
    """Let ``model`` return its logits alone, whatever it returns: for all who run it again and know of no output.

    A model that takes no hooks (TorchScript) must return a tensor (B, K) of its own accord.
    """

    def hook(_module: nn.Module, _given: object, returned: object) -> Tensor:
        logits = as_logits(returned, None, output)  # a tail that is resumed returns more rows than the trunk was shown
        return unsquashed(logits) if kind == "probability" else logits

    if isinstance(model, torch.jit.ScriptModule):
        if output is not None or kind == "probability":
            raise ValueError("the model is TorchScript, which takes no hooks; pass the nn.Module it was made from")
        yield
        return
    handle = model.register_forward_hook(hook)
    try:
        with eagerly(model):
            yield
    finally:
        handle.remove()


def eagerly(model: nn.Module) -> AbstractContextManager[object]:
    """Run what ``torch.compile`` has compiled as it was written: compiled code looks past the hooks of its parts."""
    compiled = "torch._dynamo" in sys.modules and any(  # what compiles: to ask every module takes as long as a map
        type(module).__name__ == "OptimizedModule" or getattr(module, "_compiled_call_impl", None) is not None
        for module in model.modules()
    )
    return torch.compiler.set_stance("force_eager") if compiled else nullcontext()


def squashing(logits: Tensor) -> str:
    """Return the name of the function that squashes what should be logits, or ``""``.

    Read from autograd's record where the tensor has one: the last function that is not only a view, a sum or a
    factor. Numbers tell a softmax (they sum to one) and a log-softmax (their exponentials do) without any record.
    """
    end = vertex_of(logits)
    named = _squashed(end, {}) if end is not None else ""
    return named or _by_numbers(logits.detach())


def _squashed(vertex: Vertex, known: dict[Vertex, str]) -> str:
    if vertex in known:
        return known[vertex]
    kind = kind_of(vertex[0])
    known[vertex] = _SQUASHING.get(kind, "")
    if not known[vertex] and _is_sigmoid_by_hand(vertex[0]):
        known[vertex] = "sigmoid"
    if not known[vertex] and (kind in _UNCHANGED.split() or kind == "Clamp"):
        values = [
            operand
            for operand in inputs_of(vertex[0])
            if not isinstance(getattr(operand[0], "variable", None), nn.Parameter)
        ]
        parts = [_squashed(operand, known) for operand in values]
        bounded = kind == "Clamp" and None not in (vertex[0]._saved_min, vertex[0]._saved_max)  # type: ignore[attr-defined] # noqa: SLF001
        known[vertex] = parts[0] if parts and all(parts) else "clamp" if bounded else ""
    return known[vertex]


def _is_sigmoid_by_hand(node: Node) -> bool:
    """Tell whether this is 1 / (1 + exp(-z)) or exp(z) / (1 + exp(z)), each value by itself."""
    kind, operands = kind_of(node), [operand for operand, _ in node.next_functions]
    if kind == "Div":
        numerator, denominator = operands
        if numerator is not None and kind_of(numerator) != "Exp":
            return False
    elif kind == "Reciprocal" or (kind == "Pow" and node._saved_exponent == -1):  # type: ignore[attr-defined] # noqa: SLF001
        denominator = operands[0]
    else:
        return False
    if denominator is None or kind_of(denominator) != "Add":
        return False
    return [kind_of(operand) for operand, _ in inputs_of(denominator)] == ["Exp"]


def _by_numbers(logits: Tensor) -> str:
    if logits.ndim < 2 or logits.shape[1] < 2:
        return ""
    values = logits.double()
    close = 8 * torch.finfo(logits.dtype).eps * logits.shape[1]
    softmax = (values >= 0).all() & ((values.sum(dim=1) - 1).abs() <= close).all()
    log_softmax = (values <= 0).all() & ((values.exp().sum(dim=1) - 1).abs() <= close).all()
    named = zip(("softmax", "log-softmax"), torch.stack([softmax, log_softmax]).tolist(), strict=True)  # one wait
    return next((name for name, holds in named if holds), "")


def refuse_squashed(logits: Tensor) -> None:
    """Refuse an output that is no logit.

    Raises:
        ValueError: naming the function that the model ends in.
    """
    name = squashing(logits)
    if name:
        cure = "leave it out"
        if name in ("sigmoid", "softmax"):
            cure += ", or say output='probability', which maps it back"
        raise ValueError(f"the model ends in a {name}; a map explains the logit before it: {cure}")


def unsquashed(probabilities: Tensor) -> Tensor:
    """Return log-odds of independent probabilities (B, K), or the logarithms of those that sum to one.

    The log-odds of a sigmoid are its logit. The logarithms of a softmax are its logits up to what is the same for all
    labels of a sample, so a difference between two labels is exact. A probability of 0 or 1 to its last digit is the
    largest finite logarithm of its precision, of either sign, without a gradient: ``saturated`` tells.

    Raises:
        ValueError: when they are no probabilities.
    """
    values = probabilities.detach()
    if not bool(((values >= 0) & (values <= 1)).all()):
        raise ValueError("output 'probability' needs outputs within 0 and 1; this model's are not")
    together = _by_numbers(values) == "softmax"
    low = values < torch.finfo(values.dtype).tiny
    high = (values >= 1) & (not together)
    safe = torch.where(low | high, 0.5, probabilities)
    logits = safe.log() if together else safe.log() - torch.log1p(-safe)
    limit = _limit(values.dtype)
    return torch.where(low, -limit, torch.where(high, limit, logits))


def saturated(logits: Tensor, targets: Sequence[Scalar]) -> Tensor:
    """Tell of each target and sample (T, B) whether its probability was 0 or 1 to its last digit.

    ``logits`` (B, K) or (B, K, *S) are what ``unsquashed`` made of the probabilities.
    """
    values = logits.detach()
    ends = values.abs() >= _limit(values.dtype)
    if _by_numbers(torch.where(ends, -torch.inf, values)) == "log-softmax":
        ends = ends | (values == 0)
    with torch.enable_grad():
        probe = values.clone().requires_grad_()
        scores = [target.scores(probe).sum() for target in targets]
        asked = [torch.autograd.grad(score, probe, allow_unused=True)[0] for score in scores]
    flat = [
        (ends & (gradient != 0)).flatten(1).any(dim=1) if gradient is not None else ends.new_zeros(len(values))
        for gradient in asked
    ]
    return torch.stack(flat) if flat else ends.new_zeros(0, len(values))


def _limit(kind: torch.dtype) -> float:
    return math.log(torch.finfo(kind).max)
