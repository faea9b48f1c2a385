"""Which methods are one map behind which head, found on the maps themselves (``Explanation.equivalent``)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from torch import Tensor

from cam import Target, explain
from cam.outcome.equivalence import same_evidence
from camaudit.testing.heads import head_trial
from camaudit.testing.methods import Trial

__all__ = ["HeadGroups", "groups_behind", "maps_behind"]

_SEEDS = (0, 1, 2)
_OPTIONS: Mapping[str, Mapping[str, object]] = {"faster_scorecam": {"count": 2}}  # of 4 channels or more: not all


@dataclass(frozen=True)
class HeadGroups:
    """What was seen of the methods behind one head.

    ``same`` holds groups of methods that gave one map up to a positive factor and a final ReLU, in 2D and 3D and for
    every seed; ``refused`` those that say that they need another head; ``exact`` those whose map's sum is the logit
    less the head's bias, up to one factor for all samples; ``empty`` those that gave nothing but zeros.
    """

    same: tuple[tuple[str, ...], ...]
    refused: tuple[str, ...]
    exact: tuple[str, ...]
    empty: tuple[str, ...]


def groups_behind(head: str, methods: Sequence[str]) -> HeadGroups:
    """Try methods at a layer behind one of ``HEADS``.

    Raises:
        KeyError: when there is no such head or method.
    """
    trials = [head_trial(head, axes, seed) for axes in (2, 3) for seed in _SEEDS]
    seen = [maps_behind(trial, methods) for trial in trials]
    given = [name for name in methods if all(name in maps for maps in seen)]
    empty = [name for name in given if not any(bool(maps[name].any()) for maps in seen)]
    alive = [name for name in given if name not in empty]
    same = {pair for pair in combinations(alive, 2) if _is_one(pair, seen)}
    tried = list(zip(trials, seen, strict=True))
    exact = tuple(name for name in alive if all(_is_complete(trial, maps[name]) for trial, maps in tried))
    refused = tuple(name for name in methods if name not in given)
    return HeadGroups(_groups(alive, same), refused, exact, tuple(empty))


def maps_behind(trial: Trial, methods: Sequence[str]) -> Mapping[str, Tensor]:
    """Return the raw maps (B, *S), before a ReLU that ends the formula, of the methods that the network allows."""
    maps = {}
    for name in methods:
        try:
            explanation = explain(
                trial.model,
                trial.x,
                [Target(1)],
                methods=[name],
                layers=trial.layers[-1:],
                options={name: dict(_OPTIONS.get(name, {}))},
                rectify=False,
            )
        except ValueError:  # a method says so where a head is not the one that it is for
            continue
        (maps[name],) = explanation.maps.values()
    return maps


def _is_one(pair: tuple[str, str], seen: Sequence[Mapping[str, Tensor]]) -> bool:
    """Tell whether two methods agree wherever either holds evidence, and somewhere at all."""
    answers = [same_evidence(maps[pair[0]], maps[pair[1]]) for maps in seen]
    return any(answers) and all(answer is not False for answer in answers)


def _is_complete(trial: Trial, maps: Tensor) -> bool:
    """Tell whether the maps' sums are the logits less what the head gives for nothing, up to one factor."""
    logits = trial.model(trial.x)[:, 1].detach()
    sums = maps.flatten(1).sum(dim=1)
    differences, changes = sums[1:] - sums[0], logits[1:] - logits[0]
    factor = (differences * changes).sum() / (changes * changes).sum()
    largest = differences.abs().max()
    return bool(largest > 0) and bool(((differences - factor * changes).abs() <= 1e-9 * largest).all())


def _groups(names: Sequence[str], same: set[tuple[str, str]]) -> tuple[tuple[str, ...], ...]:
    groups: list[list[str]] = []
    for name in names:
        home = next((group for group in groups if all((other, name) in same for other in group)), None)
        if home is None:
            groups.append([name])
        else:
            home.append(name)
    return tuple(tuple(group) for group in groups if len(group) > 1)
