"""What the attentions of a transformer looked at.

An attention module keeps its weights to itself, and its fast paths never form them. So they are computed a second time
from the module's own input and parameters, and the module's output is replaced by what these weights give: the weights
then lie on the path to the logits, and have a gradient. The two outputs must agree, so that no mask, bias or variant
that is not known here can go unnoticed. So it is for torch's and MONAI's modules; the attentions of all others (Hugging
Face, timm, hand-written) are traced where they form their weights (``cam.procedures.attention_tracing``).
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from cam.layers.hooks import hookable
from cam.layers.tokens import TokenGrid, measured
from cam.procedures.attention_tracing import Tracer
from cam.request import ExplanationRequest

__all__ = ["Attended", "attended", "columns_onto_grid", "image_attentions", "onto_grid", "tokens_read"]

_KNOWN = (
    "nn.MultiheadAttention without masks, and modules that multiply a softmax with values, of one sequence to itself"
)
_Recomputed = tuple[Tensor, Callable[[Tensor], Tensor], tuple[Tensor, Tensor]]
"""Weights (B, heads, N, N), weights to output, and queries and keys (B, heads, N, d)."""


@dataclass(frozen=True)
class Attended:
    """The attention weights of one forward, (B, heads, N, N) each, in the order of the calls, and the logits (B, K).

    ``pooling`` counts the attentions with one query that were passed over: they pool the tokens; ``of_words`` those of
    a text, or from a text to the image. ``only`` names those that were not, where some were. ``queries`` holds queries
    and keys (B, heads, N, d) of the last attention, where it tells them.
    """

    names: tuple[str, ...]
    weights: tuple[Tensor, ...]
    logits: Tensor
    pooling: int = 0
    of_words: int = 0
    only: frozenset[str] | None = None
    queries: tuple[Tensor, Tensor] | None = None


def attended(model: nn.Module, x: Tensor, *, differentiable: bool, only: frozenset[str] | None = None) -> Attended:
    """Run ``model`` on ``x`` (B, C, *S) and return every attention's weights.

    ``differentiable`` keeps the graph from the first attention to the logits, by which the logits have a gradient with
    respect to every one of the weights. ``only`` names the attentions that are traced, all where it is None
    (``image_attentions``). The model is left as it was found, also when the forward raises.

    Raises:
        ValueError: when the model has no attention that is known here, has another kind beside, attends with masks or
            across sequences, or its attentions do not all see the same tokens of each sample.
    """
    calls: list[tuple[str, Tensor]] = []

    def replace(name: str, weights: Tensor) -> Tensor:
        if differentiable:
            torch.set_grad_enabled(True)  # the caller's no_grad block restores the mode
            weights = weights if weights.requires_grad else weights.detach().requires_grad_()
        calls.append((name, weights))
        return weights

    tracer = Tracer(replace, len(x), only)
    with _replacing(model, replace, tracer), torch.inference_mode(False), torch.no_grad(), tracer:
        logits = model(x)
    tracer.check()
    if not calls:
        raise ValueError(f"{type(model).__name__} uses no attention that can be explained; supported are {_KNOWN}")
    names, weights = zip(*calls, strict=True)
    shapes = {(len(weight), *weight.shape[2:]) for weight in weights}
    if len(shapes) != 1 or shapes.pop()[0] != len(x):
        seen = {tuple(weight.shape): name for name, weight in reversed(calls)}
        shown = ", ".join(f"{shape} at {name!r}" for shape, name in list(reversed(seen.items()))[:4])
        raise ValueError(
            f"every attention must see the same tokens of {len(x)} samples; those of windows, stages or parts do not: "
            f"weights are {shown}"
        )
    last = tracer.queries if tracer.queries and tracer.queries[0] == names[-1] else None
    return Attended(
        names, weights, logits, tracer.pooling, len(tracer.passed_over), only, None if last is None else last[1:]
    )


def image_attentions(request: ExplanationRequest) -> frozenset[str] | None:
    """Return the names of the attentions among the image's tokens, in a network that answers it in words.

    They are those of the first stack of attentions (names that differ in their numbers alone) whose tokens have places
    in the image. None for every other network: all of its attentions are.

    Raises:
        ValueError: when there are none.
    """
    if request.logits.ndim != 3 or request.x.ndim < 4:
        return None
    tracer = Tracer(lambda _name, weights: weights, 1, frozenset())
    replacing = _replacing(request.model, lambda _name, weights: weights, tracer)
    with replacing, torch.inference_mode(False), torch.no_grad(), tracer:
        request.model(request.x[:1])
    stacks: dict[tuple[str, int], list[str]] = {}
    for name, shape in tracer.passed_over:
        if shape[-1] == shape[-2]:
            stacks.setdefault((re.sub(r"\d+", "#", name), shape[-1]), []).append(name)
    for (_, tokens), names in stacks.items():
        if _known_grid(request, names, tokens) is not None:
            return frozenset(names)
    raise ValueError(
        f"{type(request.model).__name__} answers in words and has no attention among tokens whose places in the image "
        "are known: take gradcam or xgradcam, or state them by the attention's name, grids={name: TokenGrid(...)}"
    )


def onto_grid(request: ExplanationRequest, passed: Attended, relevance: Tensor) -> tuple[Tensor, str]:
    """Return the map (B, *S) of a relevance (B, N, N), from row to column, and whose rows it shows.

    The rows are those of the tokens that the classifier reads after the last attention: the class token's alone, or
    the mean over all where it pools. Which they are is measured by the gradient.

    Raises:
        ValueError: when the places of the tokens in the image are not known.
    """
    grid = _grid(request, passed.names, relevance.shape[2])
    read = tokens_read(request.model, request.x[:1], passed)
    rows = relevance[:, read].mean(dim=1)
    whose = f"mean over the rows of {len(read)} tokens" if len(read) > 1 else "row of the class token"
    if passed.pooling:
        count = "one attention that pools is" if passed.pooling == 1 else f"{passed.pooling} attentions that pool are"
        whose += f"; {count} passed over"
    if passed.of_words:
        whose += f"; {passed.of_words} attentions of words are passed over"
    return rows[:, grid.prefix :].reshape(-1, *grid.shape), whose


def columns_onto_grid(request: ExplanationRequest, passed: Attended, values: Tensor) -> Tensor:
    """Return the map (..., *S) of values (..., N), one for each token; those in front of the patches are left out.

    Raises:
        ValueError: when the places of the tokens in the image are not known.
    """
    grid = _grid(request, passed.names, values.shape[-1])
    return values[..., grid.prefix :].reshape(*values.shape[:-1], *grid.shape)


def _grid(request: ExplanationRequest, names: Sequence[str], tokens: int) -> TokenGrid:
    grid = _known_grid(request, names, tokens)
    if grid is None:
        raise ValueError(
            f"layer {names[-1]!r} attends to {tokens} tokens whose places in the image are not known; state them: "
            f"grids={{{names[-1]!r}: TokenGrid(spatial shape of the patches, tokens in front of them)}}"
        )
    return grid


def _known_grid(request: ExplanationRequest, names: Sequence[str], tokens: int) -> TokenGrid | None:
    """Return where so many tokens of these attentions lie: as stated, or as it is measured."""
    grids = request.capture.grids
    grid = next((grid for name in names if isinstance(grid := grids.get(name), TokenGrid)), None)
    grid = grid or measured(request.model, request.x, tokens, request.memory)
    return grid if grid is not None and grid.fits((1, tokens, 1)) else None


def tokens_read(model: nn.Module, x: Tensor, whole: Attended) -> Tensor:
    """Return the numbers of the tokens of the last attention's output that the logits of one sample depend on."""
    name = whole.names[-1]
    passed = attended(model, x, differentiable=True, only=whole.only)
    with torch.inference_mode(False), torch.enable_grad():
        weights = torch.arange(1, 1 + passed.logits[0].numel(), device=x.device)  # a plain sum may depend on nothing
        (gradient,) = torch.autograd.grad((passed.logits.flatten() * weights).sum(), passed.weights[-1])
    read = (gradient != 0).any(dim=3).flatten(0, 1).any(dim=0).nonzero()[:, 0]
    if not len(read):
        raise ValueError(f"the logits do not depend on the last attention {name!r}")
    return read


@contextmanager
def _replacing(model: nn.Module, replace: Callable[[str, Tensor], Tensor], tracer: Tracer) -> Iterator[None]:
    """Hand the weights of torch's and MONAI's attentions to ``replace``, and let the model go on with what it returns.

    Meanwhile ``tracer`` looks away; of all other modules it is told the names.
    """

    def hook_for(name: str) -> Callable[..., object]:
        def hook(module: nn.Module, given: tuple[Tensor, ...], named: dict[str, Tensor], output: object) -> object:
            if tracer.only is not None and name not in tracer.only:
                tracer.passed_over.append((name, _shape_of(module, given, named)))
                tracer.is_paused -= 1
                return output
            if _pools(module, given, named):
                tracer.pooling += 1
                tracer.is_paused -= 1
                return output
            weights, answer, (query, key) = _recompute(name, module, given, named)
            tracer.queries = (name, query.detach(), key.detach())
            first = output if isinstance(output, Tensor) else output[0]  # type: ignore[index]
            recomputed = answer(replace(name, weights)).to(first.dtype)
            tracer.compare(name, recomputed, first)
            tracer.is_paused -= 1
            return recomputed if isinstance(output, Tensor) else (recomputed, *output[1:])  # type: ignore[index]

        return hook

    def pause(_module: nn.Module, _given: object) -> None:
        tracer.is_paused += 1

    hooks = []
    try:
        for name, module in hookable(model):
            if _is_known(module):
                hooks.append(module.register_forward_pre_hook(pause))
                hooks.append(module.register_forward_hook(hook_for(name), with_kwargs=True, prepend=True))
            else:
                hooks += _naming(name, module, tracer)
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _naming(name: str, module: nn.Module, tracer: Tracer) -> list[torch.utils.hooks.RemovableHandle]:
    """Tell the tracer when a module begins and ends; what is called an attention must have been traced by then."""
    before: list[int] = []

    def enter(_module: nn.Module, _given: object) -> None:
        tracer.modules.append(name)
        before.append(tracer.seen)

    def leave(_module: nn.Module, _given: object, _output: object) -> None:
        tracer.modules.pop()
        if before.pop() == tracer.seen and _is_other(module):
            tracer.check()
            raise ValueError(f"attention of type {type(module).__name__} forms no weights; known are {_KNOWN}")

    return [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]


def _is_monai(module: nn.Module) -> bool:  # by name: MONAI is not needed to explain models without it
    return type(module).__name__ == "SABlock" and type(module).__module__.startswith("monai.")


def _is_known(module: nn.Module) -> bool:
    return isinstance(module, nn.MultiheadAttention) or _is_monai(module)


def _is_other(module: nn.Module) -> bool:
    named = re.search("attention|attn|sablock", type(module).__name__, re.IGNORECASE)
    return bool(named) and not any(_is_known(submodule) for submodule in module.modules())


def _shape_of(module: nn.Module, given: Sequence[Tensor], named: Mapping[str, Tensor]) -> tuple[int, ...]:
    """Return the numbers of queries and keys of torch's or MONAI's attention."""
    several = [*given, *(named[role] for role in ("query", "key") if role in named)]
    query, key = several[:2] if isinstance(module, nn.MultiheadAttention) else (several[0], several[0])
    axis = 0 if isinstance(module, nn.MultiheadAttention) and not module.batch_first else 1
    return query.shape[axis], key.shape[axis]


def _pools(module: nn.Module, given: Sequence[Tensor], named: Mapping[str, Tensor]) -> bool:
    """Tell whether torch's attention has one query, of another sequence than its keys."""
    if not isinstance(module, nn.MultiheadAttention):
        return False
    query, key = [*given, *(named[role] for role in ("query", "key") if role in named)][:2]
    return query is not key and query.ndim == 3 and query.shape[1 if module.batch_first else 0] == 1


def _recompute(name: str, module: nn.Module, given: Sequence[Tensor], named: Mapping[str, Tensor]) -> _Recomputed:
    if _is_monai(module):
        return _of_monai(module, given[0] if given else named["x"])
    query, key, value = [*given, *(named[role] for role in ("query", "key", "value") if role in named)][:3]
    if query is not key or key is not value:
        raise ValueError(f"attention {name!r} attends from one sequence to another; supported are {_KNOWN}")
    assert isinstance(module, nn.MultiheadAttention)
    return _of_torch(name, module, query)


def _of_monai(block: nn.Module, x: Tensor) -> _Recomputed:
    if block.use_combined_linear:
        query, key, value = block.input_rearrange(block.qkv(x))  # type: ignore[operator]
    else:
        projections = (block.to_q, block.to_k, block.to_v)
        query, key, value = (block.input_rearrange(project(x)) for project in projections)  # type: ignore[operator]
    scores = query @ key.transpose(-2, -1) * block.scale
    if block.rel_positional_embedding is not None:
        scores = block.rel_positional_embedding(x, scores, query)  # type: ignore[operator]

    def answer(weights: Tensor) -> Tensor:
        output: Tensor = block.out_proj(block.out_rearrange(weights.to(value) @ value))  # type: ignore[operator]
        return output

    return scores.softmax(dim=-1), answer, (query, key)


def _of_torch(name: str, block: nn.MultiheadAttention, x: Tensor) -> _Recomputed:
    if block.in_proj_weight is None or x.ndim != 3:
        raise ValueError(f"attention {name!r} has query, key and value of different sizes; supported are {_KNOWN}")
    tokens = x if block.batch_first else x.transpose(0, 1)
    projected = functional.linear(tokens, block.in_proj_weight, block.in_proj_bias)
    query, key, value = projected.reshape(*tokens.shape[:2], 3, block.num_heads, block.head_dim).permute(2, 0, 3, 1, 4)

    def answer(weights: Tensor) -> Tensor:
        heads = (weights.to(value) @ value).transpose(1, 2).flatten(2)
        mixed = functional.linear(heads, block.out_proj.weight, block.out_proj.bias)
        return mixed if block.batch_first else mixed.transpose(0, 1)

    return (query @ key.transpose(-2, -1) * block.head_dim**-0.5).softmax(dim=-1), answer, (query, key)
