"""LeGrad."""

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from cam.procedures.attention import Attended, attended, columns_onto_grid, image_attentions
from cam.procedures.perturb import exact
from cam.registry import procedure
from cam.request import ExplanationRequest, RawMaps, widened


@procedure(
    "legrad",
    title="LeGrad",
    paper="Bousselham et al., ICCV 2025, arXiv:2404.03214",
    formula="mean over the last attentions, their heads and their rows of ReLU(dA), dA the gradient of the score that "
    "the network gives to that block's tokens",
    limits="Tells where more attention would raise the score, not how much there is: A itself is no factor. Evidence "
    "against the target is dropped. Needs blocks of one width, one behind the other.",
    signed=False,
    at="input",
    cost="1 for each of the last attentions (4) that keeps its graph, with a backward for each target, and 2 more",
    forwards=lambda work, given: work.samples * (1 + given["last"] * (1 + 2 * work.targets)) + 1,
    differs="a block's score is read from the mean of its tokens, even where the network reads its class token; maps "
    "are enlarged before they are averaged over layers, and scaled to 0..1 at last.",
)
def legrad(request: ExplanationRequest, *, last: int = 4) -> RawMaps:
    """Return mean_l mean_{h, i} ReLU(ds_l / dA_l[h, i, j]) over the ``last`` attentions l; maps on the tokens' grid.

    s_l is the explained score when the blocks behind attention l hand on their tokens as they are, so that the head
    reads those of block l; where it reads a class token, the authors' code reads the mean of all instead. All
    attentions are taken where there are fewer.

    Raises:
        ValueError: when ``last`` is less than 1, an attention or where the tokens lie is not known, or the attentions
            are not those of a stack of blocks.
    """
    if last < 1:
        raise ValueError(f"legrad.last must be at least 1, not {last}")
    only = image_attentions(request)
    names = attended(request.model, request.x[:1], differentiable=False, only=only).names
    blocks = _blocks(names)
    samples = torch.split(torch.arange(len(request.x)), request.max_batch or len(request.x))
    chosen = range(max(0, len(names) - last), len(names))
    chunks = []
    for some in samples:
        layers = [_of_layer(request, some, (blocks[number + 1 :], number), only) for number in chosen]
        chunks.append(torch.stack([values for values, _ in layers]).mean(dim=0))
    maps = columns_onto_grid(request, layers[-1][1], torch.cat(chunks, dim=1))
    return RawMaps(maps, f"{len(chosen)} of {len(names)} attentions")


def _of_layer(
    request: ExplanationRequest, some: Tensor, place: tuple[Sequence[str], int], only: frozenset[str] | None
) -> tuple[Tensor, Attended]:
    """Return mean_{h, i} ReLU(ds / dA[h, i]) (T, b, N) of one attention, without the blocks behind it."""
    behind, number = place
    x = request.x[some.to(request.x.device)]
    with _handing_on(request.model, behind):
        passed = attended(request.model, x, differentiable=True, only=only)
    rows = []
    with torch.inference_mode(False), torch.enable_grad(), exact(x):
        for target in request.targets:
            score = target.select(some).scores(passed.logits).sum()
            (gradient,) = torch.autograd.grad(score, passed.weights[number], retain_graph=True)
            rows.append(widened(gradient).relu().mean(dim=(1, 2)))
    return torch.stack(rows), passed


def _blocks(names: Sequence[str]) -> list[str]:
    """Return the name of each attention's block: up to the one number in which their names differ."""
    parts = [name.split(".") for name in names]
    differ = [place for place, column in enumerate(zip(*parts, strict=False)) if len(set(column)) > 1]
    alike = {re.sub(r"\d+", "#", name) for name in names}
    if len(names) > 1 and (len(alike) > 1 or len(differ) != 1 or len(set(names)) < len(names)):
        raise ValueError(
            f"method 'legrad' needs the attentions of one stack of blocks; {names[0]!r} and {names[-1]!r} are not: "
            "take attention_relevance"
        )
    return [".".join(words[: differ[0] + 1]) if differ else name for words, name in zip(parts, names, strict=True)]


@contextmanager
def _handing_on(model: nn.Module, blocks: Sequence[str]) -> Iterator[None]:
    """Let these blocks return the tokens that they are given."""

    def hook(
        _module: nn.Module, given: tuple[Tensor, ...], named: dict[str, Tensor], output: Tensor | tuple[Tensor, ...]
    ) -> object:
        tokens = given[0] if given else next(iter(named.values()))
        first = output if isinstance(output, Tensor) else output[0]
        if tokens.shape != first.shape:
            raise ValueError(
                f"method 'legrad' needs blocks that return as many tokens as they take, not {tuple(first.shape)} for "
                f"{tuple(tokens.shape)}: take attention_relevance"
            )
        return tokens if isinstance(output, Tensor) else (tokens, *output[1:])

    with ExitStack() as hooks:
        for block in blocks:
            hooks.callback(model.get_submodule(block).register_forward_hook(hook, with_kwargs=True).remove)
        yield
