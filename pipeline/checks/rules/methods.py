"""Methods with their options, metrics, and margins of change."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pipeline.checks.names import KnownNames, installed_metric_names, known_names
from pipeline.checks.rules.rule import Rule, fault_at
from pipeline.config import AuditConfig
from pipeline.config_file import Fault, Key
from pipeline.errors import closest
from pipeline.extensions import names_of
from pipeline.vocabulary import AVOID

__all__ = ["METHOD_RULES"]

_MOST_REPEATS = 1_000_000  # a method's own samples, masks or steps: beyond it one map takes days


def _doubled(config: AuditConfig, _: Path) -> Iterator[Fault]:
    listed: Mapping[Key, Sequence[str]] = {
        ("explain", "methods"): config.explain.methods,
        ("explain", "targets"): config.explain.targets,
        ("model", "layers"): config.model.layers,
        ("overlap", "metrics"): config.overlap.metrics,
    }
    for key, names in listed.items():
        if len(set(names)) < len(names):
            yield fault_at(*key, says=f"must differ from each other, not {list(names)}")


def _methods(config: AuditConfig, _: Path) -> Iterator[Fault]:
    known, offered = known_names(), names_of("camaudit.methods")  # what the latter declare shows when they are loaded
    for name in config.explain.methods:
        if name not in known.methods and name not in offered:
            hint = closest(name, [*known.methods, *offered])
            yield fault_at("explain", "methods", says=f"unknown method {name!r}; {hint}")
    for name, given in config.explain.options.items():
        if name not in config.explain.methods:
            says = f"{name!r} is not among explain.methods {list(config.explain.methods)}"
            yield fault_at("explain", "options", name, says=says)
        elif name not in offered:
            yield from _options(known, name, given)


def _options(known: KnownNames, method: str, given: Mapping[str, object]) -> Iterator[Fault]:
    defaults = known.options.get(method, {})
    for option, value in given.items():
        key = ("explain", "options", method, option)
        if option not in defaults:
            yield fault_at(*key, says=f"unknown option {option!r}; {closest(option, defaults) if defaults else 'none'}")
            continue
        default = defaults[option]
        if not _fits(value, default):
            yield fault_at(
                *key, says=f"must be a {type(default).__name__} as its default {default!r}, not {value!r:.60}"
            )
        elif isinstance(default, int) and option != "seed" and not 1 <= int(str(value)) <= _MOST_REPEATS:
            yield fault_at(*key, says=f"must lie within 1 and {_MOST_REPEATS}, not {value!r:.60}")


def _fits(value: object, default: object) -> bool:
    """Tell whether an option's value is of its default's kind; a default of None says nothing."""
    if default is None:
        return True
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(value, bool) and isinstance(default, bool)
    if isinstance(default, float):
        return isinstance(value, (int, float)) and float("-inf") < value < float("inf")
    return isinstance(value, type(default))


def _metrics(config: AuditConfig, _: Path) -> Iterator[Fault]:
    own = known_names().metrics
    unknown = [name for name in config.overlap.metrics if name not in own and not name.startswith(AVOID)]
    installed = installed_metric_names() if unknown else ()
    for name in unknown:
        if name not in installed:
            yield fault_at("overlap", "metrics", says=f"unknown name {name!r}; {closest(name, [*own, *installed])}")


def _margins(config: AuditConfig, _: Path) -> Iterator[Fault]:
    """Refuse a margin of what the run does not measure, of what has no valid test, or as wide as the whole scale."""
    known = known_names()
    measured = [*config.overlap.metrics, *(part.metric for part in config.metric_criteria if part.method is not None)]
    testable = [name for name in known.classifier_metrics if name != "auroc"]
    for metric, margin in config.change.margins.items():
        if metric not in (*measured, *testable):
            says = f"{metric!r} is not measured, so no margin can be held; {closest(metric, [*measured, *testable])}"
            yield fault_at("change", "margins", metric, says=says)
            continue
        low, high = known.metrics[metric].range if metric in known.metrics else (0.0, 1.0)
        if low is None or high is None:
            says = "has no upper end, so no test of its mean difference is valid; name a metric with two ends"
            yield fault_at("change", "margins", metric, says=says)
        elif margin >= high - low:
            says = f"must be less than the whole scale, {high - low:g}, not {margin:g}"
            yield fault_at("change", "margins", metric, says=says)


METHOD_RULES = (
    Rule(("explain.methods", "explain.targets", "model.layers", "overlap.metrics"), _doubled),
    Rule(("explain.methods", "explain.options"), _methods),
    Rule(("overlap.metrics",), _metrics),
    Rule(("change.margins", "overlap.metrics", "criteria"), _margins),
)
