"""What two runs do otherwise besides the numbers: named always, and where it would make a margin's answer void, why."""

from collections.abc import Iterable

from pipeline.evidence.comparison.pairing import RunRecords
from pipeline.findings.results import Results

__all__ = ["differing", "looked_at_again", "not_compared", "withheld_margin"]

_MASKS = "the two runs read masks or reference labels otherwise"
_RULE = "the two runs cut a map's region by other rules"


def differing(a: RunRecords, b: RunRecords) -> tuple[str, ...]:
    """Return what the runs do otherwise, in a sentence each."""
    before, after = a.results, b.results
    facts = (
        (before.model.sha256 != after.model.sha256, "the weights of the two runs differ"),
        (before.lock.code != after.lock.code, "the code that builds the model differs"),
        (before.model.threshold != after.model.threshold, "the two models call a label above other thresholds"),
        (_layers(before) != _layers(after), "the two runs take maps from other layers"),
        (before.preparation != after.preparation, "the two runs prepare the images otherwise"),
        (_methods(before) != _methods(after), "the two runs make maps by other methods or options"),
        (before.overlap_rule != after.overlap_rule, _RULE),
        (a.masks_recipe != b.masks_recipe, _MASKS),
        (before.provenance.camaudit != after.provenance.camaudit, "other versions of camaudit made the two runs"),
        (
            before.lock.program != after.lock.program and before.provenance.camaudit == after.provenance.camaudit,
            "other sources of camaudit made the two runs",
        ),
        (before.lock.criteria != after.lock.criteria, "the two runs have other criteria"),
    )
    return tuple(sentence for differs, sentence in facts if differs)


def _layers(results: Results) -> tuple[str, ...]:
    return tuple(layer.name for layer in results.model.layers)


def _methods(results: Results) -> tuple[object, ...]:
    return tuple((facts.name, tuple(sorted(facts.options.items())), facts.source_sha256) for facts in results.methods)


def not_compared(a: Results, b: Results) -> tuple[str, ...]:
    """Return what is not compared, and why."""
    alike = {facts.name for facts in a.metrics if facts in b.metrics}
    both = {facts.name for facts in a.metrics} & {facts.name for facts in b.metrics}
    single = ({facts.name for facts in a.metrics} | {facts.name for facts in b.metrics}) - both
    labels = frozenset(a.model.labels) ^ frozenset(b.model.labels)
    sentences = []
    if both - alike:
        sentences.append(f"the two runs do not define alike (version or range): {_listed(both - alike)}")
    if single:
        sentences.append(f"one run alone measures: {_listed(single)}")
    if labels:
        sentences.append(f"one model alone has the labels: {_listed(labels)}")
    if any(estimate.metric == "auroc" for estimate in b.classification):
        sentences.append("AUROC: there is no exact test of a difference of two; each run has its own")
    return tuple(sentences)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def withheld_margin(a: RunRecords, b: RunRecords) -> str | None:
    """Return why no margin of a map can be answered: its difference would be that of another yardstick."""
    if a.masks_recipe != b.masks_recipe:
        return _MASKS
    return _RULE if a.results.overlap_rule != b.results.overlap_rule else None


def looked_at_again(results: Results) -> str | None:
    """Return why no locked margin can be answered: the run's cohort grows while it is looked at, and each look errs."""
    if not results.lock.open_cohort:
        return None
    return "a margin is answered once, and this cohort was locked as one that grows: it is looked at again and again"
