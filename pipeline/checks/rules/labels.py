"""Labels, and what asks for them: the archive's own label, targets, experiments."""

from collections.abc import Iterator
from pathlib import Path

from pipeline.checks.rules.rule import Rule, fault_at, numbered_criteria
from pipeline.config import AuditConfig
from pipeline.config_file import Fault
from pipeline.errors import closest
from pipeline.vocabulary import NOTHING, STRATA_BY_PREDICTION

__all__ = ["LABEL_RULES"]


def _labels(config: AuditConfig, _: Path) -> Iterator[Fault]:
    reserved = sorted({"reference", "predicted"} & set(config.model.labels))
    if reserved:
        says = f"{reserved[0]!r} is a word with its own meaning in explain.targets; rename the label"
        yield fault_at("model", "labels", says=says)
    if config.model.has_independent_labels and NOTHING in config.model.labels:
        says = f"{NOTHING!r} means that a label is not there, or not called, where each is called by itself; rename it"
        yield fault_at("model", "labels", says=says)


def _archive_label(config: AuditConfig, _: Path) -> Iterator[Fault]:
    label = config.archive.label
    if label is not None and label not in config.model.labels:
        says = f"must be one of model.labels, not {label!r}; {closest(label, config.model.labels)}"
        yield fault_at("archive", "label", says=says)
    if label is not None and config.archive.manifest is not None:
        yield fault_at(
            "archive",
            "label",
            says="must not be given with a manifest, whose column 'label' says it for each study; remove one of them",
        )


def _targets(config: AuditConfig, _: Path) -> Iterator[Fault]:
    known = ("reference", "predicted", *config.model.labels)
    for target in config.explain.targets:
        if target not in known:
            yield fault_at("explain", "targets", says=f"must be among {', '.join(known)}, not {target!r}")


def _regression(config: AuditConfig, _: Path) -> Iterator[Fault]:
    """Refuse what asks for a called label of a model that calls none."""
    if config.model.kind != "regression":
        return
    if "predicted" in config.explain.targets:
        says = f"a regression calls no label, so nothing is 'predicted'; name outputs: {', '.join(config.model.labels)}"
        yield fault_at("explain", "targets", says=says)
    for number, criterion in numbered_criteria(config):
        if criterion.method is None:
            says = f"a regression calls no label, so it has no {criterion.metric}; add 'method:', the map to judge"
            yield fault_at("criteria", number, "metric", says=says)
        elif criterion.among in STRATA_BY_PREDICTION:
            says = f"a regression calls no label, so no study is {criterion.among}; write reference_positive or all"
            yield fault_at("criteria", number, "among", says=says)


def _shortcuts(config: AuditConfig, _: Path) -> Iterator[Fault]:
    """Refuse to look for what a classifier leans on in a model that is none."""
    if config.experiments.shortcuts is not None and (config.model.segmentation or config.model.kind == "regression"):
        kind = "regression" if config.model.kind == "regression" else "segmentation"
        says = f"asks what moves a study's answer from one label to another, and a {kind} has none; leave it out"
        yield fault_at("experiments", "shortcuts", says=says)


LABEL_RULES = (
    Rule(("model.labels",), _labels),
    Rule(("archive.label", "archive.manifest", "model.labels"), _archive_label),
    Rule(("explain.targets", "model.labels"), _targets),
    Rule(("explain.targets", "model.output", "model.labels"), _regression),
    Rule(("experiments.shortcuts", "model.output", "model.segmentation"), _shortcuts),
)
