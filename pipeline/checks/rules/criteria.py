"""Criteria: what each judges, in which studies, and against what."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.checks.names import KnownMetric, KnownNames, installed_metric_names, known_names
from pipeline.checks.rules.rule import Rule, fault_at, numbered_criteria
from pipeline.config import AuditConfig, CheckCriterion, Criterion, bound_fault
from pipeline.config_file import Fault
from pipeline.errors import closest
from pipeline.evidence.answers import why_answers_are_not_judged
from pipeline.extensions import names_of
from pipeline.vocabulary import AVOID, CHECKS, NOTHING, ConfusionCell

__all__ = ["CRITERION_RULES"]


def _check_criteria(config: AuditConfig, _: Path) -> Iterator[Fault]:
    """Refuse a criterion on a check that the run will not do, or of a map that it will not have."""
    for number, criterion in enumerate(config.criteria):
        if not isinstance(criterion, CheckCriterion):
            continue
        family, maps = CHECKS[criterion.check].family, config.explain.methods
        if family not in config.experiments.families:
            says = f"{criterion.check} is one of experiments.{family}; add experiments: {{{family}: {{}}}}"
            yield fault_at("criteria", number, says=says)
        if criterion.method is not None and criterion.method.partition("@")[0] not in maps:
            says = f"{criterion.check} is done on explain.methods, not on {criterion.method!r}"
            yield fault_at("criteria", number, "method", says=f"{says}; {closest(criterion.method, maps)}")


def _criteria(config: AuditConfig, _: Path) -> Iterator[Fault]:
    known = known_names()
    for number, criterion in numbered_criteria(config):
        yield from _labels_of_a_criterion(config, number, criterion)
        yield from _cell(config, number, criterion)
        if criterion.method is None:
            yield from _of_the_classifier(known, number, criterion)
        else:
            yield from _of_a_map(config, known, number, criterion)


def _of_the_classifier(known: KnownNames, number: int, criterion: Criterion) -> Iterator[Fault]:
    if criterion.metric not in known.classifier_metrics:
        if criterion.metric in known.metrics:
            yield fault_at(
                "criteria", number, says=f"{criterion.metric} is measured on maps; add 'method:', the map to judge"
            )
        else:
            says = f"unknown name {criterion.metric!r}; {closest(criterion.metric, known.classifier_metrics)}"
            yield fault_at(
                "criteria", number, "metric", says=f"(a criterion without method judges the classifier) {says}"
            )
    for key in ("better_than", "not_worse_than", "equivalent_to"):
        if getattr(criterion, key) is not None:
            yield fault_at("criteria", number, key, says="compares two maps; add 'method:', the map to judge")
    if criterion.statistic == "median" or criterion.within is not None:
        key = "within" if criterion.within is not None else "statistic"
        yield fault_at("criteria", number, key, says="is for a metric of maps; add 'method:', the map to judge")
    if "among" in criterion.model_fields_set and criterion.among != "all":
        among = criterion.among
        population = f"{among.words!r}" if isinstance(among, ConfusionCell) else repr(among)
        says = f"the classifier is judged on all studies, not on {population}"
        yield fault_at("criteria", number, "among", says=says)
    yield from _bounds(number, criterion, KnownMetric(criterion.metric, (0.0, 1.0), "higher"))


def _of_a_map(config: AuditConfig, known: KnownNames, number: int, criterion: Criterion) -> Iterator[Fault]:
    avoided = criterion.metric.startswith(AVOID)
    own = criterion.metric in known.metrics
    installed = () if own or avoided else installed_metric_names()  # what these declare shows when they are loaded
    if not own and not avoided and criterion.metric not in installed:
        says = f"unknown name {criterion.metric!r}; {closest(criterion.metric, [*known.metrics, *installed])}"
        yield fault_at("criteria", number, "metric", says=says)
    maps = [*config.explain.methods, *known.baselines]
    yield from _opponents(maps, number, criterion)
    # a misspelt method is told by itself; then this may be the right name
    misspelt = set(config.explain.methods) - {*known.methods, *names_of("camaudit.methods")}
    if not misspelt and str(criterion.method).partition("@")[0] not in maps:
        says = f"unknown name {criterion.method!r}; {closest(str(criterion.method), maps)}"
        yield fault_at("criteria", number, "method", says=says)
    if own or avoided:
        yield from _bounds(number, criterion, _known_metric(known, criterion.metric))


def _known_metric(known: KnownNames, name: str) -> KnownMetric:
    return KnownMetric(name, (0.0, 1.0), "lower") if name.startswith(AVOID) else known.metrics[name]


def _labels_of_a_criterion(config: AuditConfig, number: int, criterion: Criterion) -> Iterator[Fault]:
    findings = [label for label in config.model.labels if label != config.model.negative_label]
    for name in criterion.label:
        if name not in (*findings, "each", "pooled"):
            yield fault_at("criteria", number, "label", says=f"unknown label {name!r}; {closest(name, findings)}")


def _cell(config: AuditConfig, number: int, criterion: Criterion) -> Iterator[Fault]:
    """Refuse a cell that no study of this model can be in, or in which no map is held against a mask."""
    cell, model = criterion.among, config.model
    if not isinstance(cell, ConfusionCell):
        return
    why = why_answers_are_not_judged(model)
    if why is not None:
        yield fault_at("criteria", number, "among", says=f"{why}; name a stratum, such as reference_positive")
        return
    words = [NOTHING] if model.has_independent_labels else []
    for key, name in (("reference", cell.reference), ("answered", cell.answered)):
        known = [*model.labels, *words]
        if name not in known:
            yield fault_at("criteria", number, "among", says=f"unknown label {name!r} in {key}; {closest(name, known)}")
            return
    if cell.reference in (model.negative_label, *words):
        says = (
            "the reference names no finding there, so no map is held against a mask; where the maps of false alarms "
            "lie is reported without a criterion"
        )
        yield fault_at("criteria", number, "among", says=says)
    elif model.has_independent_labels and cell.answered not in (cell.reference, NOTHING):
        says = f"each label is called by itself: answered is {cell.reference} or {NOTHING}, not {cell.answered}"
        yield fault_at("criteria", number, "among", says=says)
    elif criterion.target_role == "answered" and cell.answered == NOTHING:
        says = f"no label is called in {cell.words!r}, so there is no map of it; leave it out"
        yield fault_at("criteria", number, "target_role", says=says)


def _opponents(maps: Sequence[str], number: int, criterion: Criterion) -> Iterator[Fault]:
    """Refuse maps to be held against that this audit does not have, and readers where nothing compares them."""
    for key, words in (("better_than", ["baselines"]), ("not_worse_than", ["readers"]), ("equivalent_to", [])):
        for name in criterion.opponents if getattr(criterion, key) is not None else ():
            if name.partition("@")[0] not in (*maps, *words):
                says = f"unknown name {name!r}; {closest(name, [*maps, *words])}"
                yield fault_at("criteria", number, key, says=says)
            elif name == criterion.method:
                yield fault_at("criteria", number, key, says=f"{name} is held against itself; name another map")
    if criterion.not_worse_than == "readers" and criterion.metric not in ("iou", "dice"):
        says = f"readers are compared with each other by iou and dice, not by {criterion.metric}; judge one of these"
        yield fault_at("criteria", number, "metric", says=says)


def _bounds(number: int, criterion: Criterion, metric: KnownMetric) -> Iterator[Fault]:
    fault = bound_fault(criterion, metric.range, metric.better)
    if fault is not None:
        yield fault_at("criteria", number, fault[0], says=fault[1])


CRITERION_RULES = (
    Rule(("explain.methods",), _criteria),
    Rule(("explain.methods", "experiments"), _check_criteria),
)
