"""A card for each method: what was measured of it on small networks, beside what it says of itself."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cam import METHODS, Memory, Method, Target, explain
from cam.registry import Workload
from camaudit.testing.heads import head_trial
from camaudit.testing.memory import peak_bytes
from camaudit.testing.methods import Trial
from camaudit.testing.multiply_adds import multiply_adds
from camaudit.testing.one_formula import HeadGroups

__all__ = ["MethodCard", "method_card"]

_HEAD, _DRAWS = "mean, linear", 5


@dataclass(frozen=True)
class MethodCard:
    """What was measured of a method, on a network of 2 axes and one of 3 unless said.

    Attributes:
        name: as in ``METHODS``.
        network: the head, one of ``HEADS``, that it was tried behind.
        repeats: whether two calls gave the same map, bit for bit.
        randomised: Spearman's correlation of the map's cells with those after all weights were drawn anew, mean over
            5 draws; None where a map has no order (all values equal).
        options: for each numeric option, the largest change of the map when the option is doubled, as a share of the
            map's largest value.
        shown: images that the model was shown for one sample and one target in 2D, the first forward included, a
            backward through the whole model counted as two.
        declared: the most that the method's own estimate says for it.
        multiply_adds: those of convolutions and matrix products for that map, in multiples of a plain forward's, the
            first forward included.
        memory: the most bytes that tensors held at once, in multiples of what a plain forward holds.
        exact: heads behind which the map's sum is the logit less the head's constant, up to one factor.
        same: by head, the methods that give the same map behind it.
    """

    name: str
    network: str
    repeats: bool
    randomised: float | None
    options: Mapping[str, float]
    shown: int
    declared: int
    multiply_adds: float
    memory: float
    exact: tuple[str, ...]
    same: Mapping[str, tuple[str, ...]]


def method_card(name: str, behind: Mapping[str, HeadGroups]) -> MethodCard:
    """Measure a method; ``behind`` holds what ``groups_behind`` found for each head.

    Raises:
        KeyError: when there is no such method.
        ValueError: when none of the networks is one that the method is for.
    """
    method = METHODS[name]
    head = _fitting(method)
    flat, deep = (head_trial(head, axes, 0) for axes in (2, 3))
    groups = {key: next((group for group in seen.same if name in group), ()) for key, seen in behind.items()}
    return MethodCard(
        name,
        head,
        all(torch.equal(_map(method, trial), _map(method, trial)) for trial in (flat, deep)),
        _mean([_randomised(method, trial) for trial in (flat, deep)]),
        _moved(method, flat),
        _shown(method, flat),
        _declared(method, flat),
        _multiply_adds(method, flat),
        peak_bytes(lambda: _map(method, flat, rows=1)) / peak_bytes(lambda: _forward(flat)),
        tuple(key for key, seen in behind.items() if name in seen.exact),
        {key: tuple(other for other in group if other != name) for key, group in groups.items() if group},
    )


def _fitting(method: Method) -> str:
    """Return the first head behind which the method can be computed."""
    for head in (_HEAD, "tokens, mean", "class token"):
        try:
            _map(method, head_trial(head, 2, 0), rows=1)
        except ValueError as error:
            fault = error
        else:
            return head
    raise ValueError(f"method {method.name!r} refuses every small network: {fault}")


def _map(
    method: Method,
    trial: Trial,
    rows: int = 2,
    options: Mapping[str, object] | None = None,
    memory: Memory | None = None,
) -> Tensor:
    layers = {"input": (), "layers": trial.layers, "layer": trial.layers[-1:]}[method.at]
    explanation = explain(
        trial.model,
        trial.x[:rows],
        [Target(1)],
        methods=[method.name],
        layers=layers or ("auto",),
        options={method.name: options or {}},
        rectify=False,
        memory=memory or Memory(),
    )
    (values,) = explanation.maps.values()
    return values.detach()


def _forward(trial: Trial) -> Tensor:
    with torch.no_grad():
        logits: Tensor = trial.model(trial.x[:1])
    return logits


def _randomised(method: Method, trial: Trial) -> float | None:
    before = _map(method, trial)
    return _mean([_spearman(before, _map(method, _redrawn(trial, seed))) for seed in range(_DRAWS)])


def _redrawn(trial: Trial, seed: int) -> Trial:
    model = deepcopy(trial.model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1000 + seed)
        for module in model.modules():
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()
    return Trial(model.eval(), trial.x, trial.layers)


def _spearman(before: Tensor, after: Tensor) -> float | None:
    ranks = [values.flatten(1).argsort(dim=1).argsort(dim=1).double() for values in (before, after)]
    if not all(bool((values.flatten(1).std(dim=1) > 0).all()) for values in (before, after)):
        return None
    first, second = (rank - rank.mean(dim=1, keepdim=True) for rank in ranks)
    correlation = (first * second).sum(dim=1) / (first.norm(dim=1) * second.norm(dim=1))
    return float(correlation.mean())


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _moved(method: Method, trial: Trial) -> dict[str, float]:
    """Return how far each numeric option moves the map when it is doubled; what refuses the double is left out."""
    before = _map(method, trial)
    moved = {}
    for name, default in method.options.items():
        if isinstance(default, bool) or not isinstance(default, int | float) or name == "seed":
            continue
        try:
            after = _map(method, trial, options={name: default * 2 or 1})
        except ValueError:
            continue
        moved[name] = float((after - before).abs().max() / before.abs().max())
    return moved


@contextmanager
def _counted(model: nn.Module) -> Iterator[list[int]]:
    """Count the images that the model is shown, and a backward that reaches its first module as two more."""
    images: list[int] = []

    def shown(_module: nn.Module, given: tuple[Tensor, ...]) -> None:
        images.append(len(given[0]))
        if given[0].requires_grad:
            given[0].register_hook(lambda gradient: images.append(2 * len(gradient)))  # type: ignore[no-untyped-call]

    hook = model.register_forward_pre_hook(shown)
    try:
        yield images
    finally:
        hook.remove()


def _shown(method: Method, trial: Trial) -> int:
    memory = Memory()
    _map(method, trial, rows=1, memory=memory)  # what is measured of a network once is no cost of a map
    with _counted(trial.model) as images:
        _map(method, trial, rows=1, memory=memory)
    return sum(images)


def _multiply_adds(method: Method, trial: Trial) -> float:
    memory = Memory()
    _map(method, trial, rows=1, memory=memory)
    forward = multiply_adds(lambda: _forward(trial))
    return multiply_adds(lambda: _map(method, trial, rows=1, memory=memory)) / forward


def _declared(method: Method, trial: Trial) -> int:
    activation = _activation(trial)
    shape = tuple(trial.x.shape[2:])
    work = Workload(1, 1, activation.shape[1], activation[0, 0].numel(), shape)
    return method.forwards(work, method.options)


def _activation(trial: Trial) -> Tensor:
    kept: list[Tensor] = []
    hook = trial.model.get_submodule(trial.layers[-1]).register_forward_hook(lambda _m, _i, output: kept.append(output))
    try:
        _forward(trial)
    finally:
        hook.remove()
    return kept[0]
