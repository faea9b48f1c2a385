"""What every metric has to keep, tried on scenes: its declaration, its range, its direction, its level of chance."""

from collections.abc import Callable
from dataclasses import replace
from math import isclose, isfinite, sqrt

import numpy as np

from pipeline.evidence.metrics.declaration import Metric
from pipeline.evidence.metrics.invariances import CHANGES, Scene, odd_scenes, scenes
from pipeline.evidence.metrics.map_evidence import Undefined

__all__ = ["metric_fault"]

Outcome = float | str
"""A value, or the reason code of an undefined one."""

_RANDOM_MAPS = 200


class _Broken(Exception):  # noqa: N818 - what is broken is the metric
    """The sentence that says what a metric does not keep."""


def metric_fault(candidate: object) -> str | None:
    """Return the first thing that a metric does not keep as one sentence, or None for a sound one."""
    if not isinstance(candidate, Metric):
        name = getattr(candidate, "__name__", type(candidate).__name__)
        return f"{name} lacks a declaration: put @metric(...) on it"
    try:
        for check in _CHECKS:
            check(candidate)
    except _Broken as broken:
        return f"metric {candidate.name!r} {broken}"
    return None


def _outcome(metric: Metric, scene: Scene) -> Outcome:
    """Return a metric's answer for a scene; refuse one that is neither a number in its range nor undefined."""
    try:
        with np.errstate(all="ignore"):  # what overflows shows in the value
            value = metric.function(scene.overlap())
    except Undefined as undefined:
        return undefined.code
    except Exception as error:  # a third party's function may raise anything
        raise _Broken(f"raises {type(error).__name__} on {scene.about}: return a number, or raise Undefined") from error
    return _number(metric, value, scene)


def _number(metric: Metric, value: object, scene: Scene) -> float:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (float, int, np.floating, np.integer)):
        raise _Broken(f"returns a {type(value).__name__} on {scene.about}, not a number")
    number, (low, high) = float(value), metric.bounds
    if not isfinite(number):
        raise _Broken(f"returns {number} on {scene.about}: raise Undefined with a reason")
    slack = 1e-9 * max(1.0, abs(number))
    if not low - slack <= number <= high + slack:
        raise _Broken(f"returns {number:g} on {scene.about}, outside of its range {metric.range}")
    return number


def _keeps_its_range(metric: Metric) -> None:
    for scene in (*scenes(), *odd_scenes()):
        if not _same(_outcome(metric, scene), _outcome(metric, scene)):
            raise _Broken(f"gives two answers on {scene.about}, asked twice")
        if metric.chance is not None:
            _chance(metric, scene)


def _chance(metric: Metric, scene: Scene) -> float | None:
    """Return the level of chance for a scene, None where the metric or the level is undefined."""
    assert metric.chance is not None
    if isinstance(_outcome(metric, scene), str):
        return None
    try:
        return _number(metric, metric.chance(scene.overlap()), replace(scene, about=f"{scene.about} (chance)"))
    except Undefined:
        return None


def _is_ever_defined(metric: Metric) -> None:
    outcomes = [_outcome(metric, scene) for scene in scenes()]
    values = [outcome for outcome in outcomes if not isinstance(outcome, str)]
    if not values:
        raise _Broken(f"is undefined on every ordinary scene ({outcomes[0]})")
    if len(set(values)) < 2:
        raise _Broken(f"is {values[0]:g} on every ordinary scene: it measures nothing")


def _needs_no_unseen_voxel(metric: Metric) -> None:
    for scene in scenes():
        seen = scene.seen.copy()
        seen[: scene.mask.shape[0] // 3] = False
        hidden = replace(scene, seen=seen)
        loud = replace(hidden, values=np.where(seen, scene.values, np.float32(99)))
        if not _same(_outcome(metric, hidden), _outcome(metric, loud)):
            raise _Broken(f"depends on values of the map where the model saw nothing ({scene.about})")


def _keeps_its_invariances(metric: Metric) -> None:
    for name in metric.invariant:
        for scene in scenes():
            before = _outcome(metric, scene)
            for changed in CHANGES[name](scene):
                after = _outcome(metric, changed)
                if not _same(before, after):
                    raise _Broken(f"declares {name!r}, but {_shown(before)} becomes {_shown(after)} on {scene.about}")


def _keeps_its_direction(metric: Metric) -> None:
    """Hold the mask itself, as a map, against the same map moved away from it: it must not be the worse one."""
    sign = 1 if metric.better == "higher" else -1
    gains = []
    for scene in scenes():
        shape = scene.mask.shape
        own = replace(scene, values=scene.mask.astype(np.float32))
        away = np.roll(own.values, [size // 2 for size in shape], tuple(range(len(shape))))
        best, other = _outcome(metric, own), _outcome(metric, replace(scene, values=away))
        if not isinstance(best, str) and not isinstance(other, str):
            gains.append(sign * (best - other))
    if not gains or min(gains) < 0 or max(gains) == 0:
        raise _Broken(f"declares that {metric.better} is better, but a map equal to the mask does not score better")


def _keeps_its_chance(metric: Metric) -> None:
    """Hold the level of chance against the mean score of maps of noise, within four standard errors of it."""
    if metric.chance is None:
        return
    for scene in list(scenes())[::6]:
        level = _chance(metric, scene)
        if level is None:
            continue
        generator = np.random.Generator(np.random.PCG64(11))
        noise = (generator.random(scene.mask.shape, dtype=np.float32) for _ in range(_RANDOM_MAPS))
        outcomes = [_outcome(metric, replace(scene, values=values)) for values in noise]
        values = [outcome for outcome in outcomes if not isinstance(outcome, str)]
        mean, error = float(np.mean(values)), float(np.std(values)) / sqrt(max(1, len(values)))
        if abs(mean - level) > 4 * error + 0.05 * abs(level):
            raise _Broken(f"declares a chance of {level:g} on {scene.about}, but maps of noise score {mean:g}")


def _same(first: Outcome, second: Outcome) -> bool:
    if isinstance(first, str) or isinstance(second, str):
        return first == second
    return isclose(first, second, rel_tol=1e-6, abs_tol=1e-9)


def _shown(outcome: Outcome) -> str:
    return outcome if isinstance(outcome, str) else f"{outcome:.6g}"


_CHECKS: tuple[Callable[[Metric], None], ...] = (
    _keeps_its_range,
    _is_ever_defined,
    _needs_no_unseen_voxel,
    _keeps_its_invariances,
    _keeps_its_direction,
    _keeps_its_chance,
)
