"""Which models a self-test trains: in every role, 2D and 3D, in an order in which each part of it is a fair sample."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, cycle, islice, zip_longest
from typing import Literal

from flows.selftest.networks import HEADS, Head
from flows.selftest.phantom import SHORTCUT_KINDS, ShortcutKind
from flows.selftest.recipes import Recipe

__all__ = ["ModelPlan", "full_plan", "quick_plan"]

Dimensions = Literal[2, 3]

_STRENGTHS = (0.8, 0.6, 0.3)
_NUISANCE_HEADS: tuple[Head, ...] = ("gmp", "res")
"""The mean over all places does not learn the lesion among six nuisances."""
_POSITION_HEADS: tuple[Head, ...] = ("gap", "res")
"""The maximum over all places is the same wherever the body lies: such a model cannot lean on it in 2D."""


@dataclass(frozen=True)
class ModelPlan:
    """One model to train and audit."""

    dimensions: Dimensions
    recipe: Recipe
    head: Head


def quick_plan() -> tuple[ModelPlan, ...]:
    """Return a plan of a few minutes: each kind of model, too few for the bounds of the full test."""
    return (
        *_whole(2, 1),
        *_sound(2, 2),
        *_fooled(1),
        *_two_causes(1),
        *islice(_whole(3, 1), 2),
        *_sound(3, 1),
    )


def full_plan() -> tuple[ModelPlan, ...]:
    """Return the plan that the bounds need, its parts interleaved: any beginning of it holds every kind of model."""
    parts = (
        _whole(2, 8),
        _sound(2, 14),
        _partial(2),
        _whole(3, 4),
        _sound(3, 8),
        (*_fooled(3), *_two_causes(4)),
    )
    return tuple(plan for plan in chain.from_iterable(zip_longest(*parts)) if plan is not None)


def _whole(dimensions: Dimensions, rounds: int) -> tuple[ModelPlan, ...]:
    recipes = [Recipe("whole", (kind,)) for _ in range(rounds) for kind in SHORTCUT_KINDS]
    return _with_heads(dimensions, recipes)


def _sound(dimensions: Dimensions, pairs: int) -> tuple[ModelPlan, ...]:
    """Return pairs of a clean and a nuisance model."""
    clean = _with_heads(dimensions, [Recipe("clean")] * pairs)
    nuisance = (
        ModelPlan(dimensions, Recipe("nuisance"), head) for head, _ in zip(cycle(_NUISANCE_HEADS), clean, strict=False)
    )
    return tuple(chain.from_iterable(zip(clean, nuisance, strict=True)))


def _partial(dimensions: Dimensions) -> tuple[ModelPlan, ...]:
    return _with_heads(
        dimensions, [Recipe("partial", (kind,), share) for share in _STRENGTHS for kind in SHORTCUT_KINDS]
    )


def _fooled(number: int) -> tuple[ModelPlan, ...]:
    return _with_heads(2, [Recipe("fooled", ("marker",))] * number)


def _two_causes(number: int) -> tuple[ModelPlan, ...]:
    pairs: tuple[tuple[ShortcutKind, ShortcutKind], ...] = (
        ("marker", "contrast"),
        ("frame", "tube"),
        ("marker", "noise"),
        ("tube", "contrast"),
    )
    return _with_heads(2, [Recipe("two causes", pair) for pair in pairs[:number]])


def _with_heads(dimensions: Dimensions, recipes: Iterable[Recipe]) -> tuple[ModelPlan, ...]:
    """Give each recipe a head, in turn by round of the kinds, so that each kind meets each head."""
    plans: list[ModelPlan] = []
    for recipe in recipes:
        before = sum(plan.recipe == recipe for plan in plans)
        heads = _POSITION_HEADS if "position" in recipe.kinds and dimensions == 2 else HEADS
        plans.append(ModelPlan(dimensions, recipe, heads[before % len(heads)]))
    return tuple(plans)
