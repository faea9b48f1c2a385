"""What a run is going to take: how many maps, and how long they take, from the cost of one map of each method."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from cam import METHODS
from pipeline.config import AuditConfig

__all__ = ["RunCost", "expected_maps", "in_words", "run_cost", "seconds_per_map"]

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_LARGE_SHARE = 0.5


@dataclass(frozen=True)
class RunCost:
    """How long a run takes, in seconds: all of it, and each method's part; ``memory`` in bytes, if known."""

    seconds: float
    by_method: Mapping[str, float]
    memory: int | None = None


def expected_maps(config: AuditConfig, layers: Sequence[str]) -> int:
    """Return how many maps a study is expected to need before anything is known of it.

    A study whose targets follow from its reference or its prediction is taken to have one.
    """
    named = [target for target in config.explain.targets if target in config.model.labels]
    targets = len(named) + (len(named) < len(config.explain.targets))
    return targets * sum(len(METHODS[name].places(layers)) for name in config.explain.methods)


def seconds_per_map(methods: Iterable[str], make_map: Callable[[str], object]) -> dict[str, float]:
    """Return the seconds that ``make_map(method)`` takes for each method: one study, one target, all layers.

    Each is called twice and the second call counts: the first one pays for what is only done once.
    """
    seconds = {}
    for method in methods:
        make_map(method)
        start = time.perf_counter()
        make_map(method)
        seconds[method] = time.perf_counter() - start
    return seconds


def run_cost(
    seconds: Mapping[str, float],
    *,
    studies: int,
    targets: float = 1.0,
    per_study: float = 0.0,
    sample_bytes: int | None = None,
    batch_size: int = 1,
) -> RunCost:
    """Estimate a run over ``studies`` with ``targets`` each on average.

    ``seconds`` are those of one map of each method, all layers together. ``per_study`` is what a study takes besides:
    reading, preparing, measuring. ``sample_bytes`` is what one sample takes of the device's memory at its peak.

    Raises:
        ValueError: when a number is negative.
    """
    numbers = {"studies": studies, "targets": targets, "per_study": per_study, **seconds}
    negative = [name for name, value in numbers.items() if value < 0]
    if negative:
        raise ValueError(f"{negative[0]} must not be negative, but is {numbers[negative[0]]}")
    by_method = {method: one * studies * targets for method, one in seconds.items()}
    memory = None if sample_bytes is None else sample_bytes * batch_size
    return RunCost(sum(by_method.values()) + per_study * studies, by_method, memory)


def in_words(estimated: RunCost) -> str | None:
    """Return what to tell before a run that takes more than a minute; None for a shorter one."""
    if estimated.seconds <= _MINUTE:
        return None
    text = f"about {_duration(estimated.seconds)}"
    method, most = max(estimated.by_method.items(), key=lambda item: item[1], default=("", 0.0))
    share = most / estimated.seconds
    return f"{text}: {method} takes {share:.0%} of it" if share >= _LARGE_SHARE else text


def _duration(seconds: float) -> str:
    minutes = round(seconds / _MINUTE)
    if minutes < _HOUR // _MINUTE:
        return f"{minutes} min"
    if seconds < _DAY:
        return f"{minutes // 60} h {minutes % 60} min"
    hours = round(seconds / _HOUR)
    return f"{hours // 24} d {hours % 24} h"
