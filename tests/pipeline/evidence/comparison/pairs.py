"""Two runs made up of scores by study: ``run_of`` gives the records of one."""

from pipeline.evidence.comparison.pairing import RunRecords
from pipeline.evidence.metrics.registry import METRICS
from tests.pipeline.evidence.records import entry, study
from tests.reports import example

FACTS = tuple(METRICS[name].facts for name in ("iou", "hit_rate", "hd95"))


def run_of(audits, *, masks="same masks", metrics=FACTS, **changes):
    """Return a run's records; ``changes`` replace fields of its results."""
    made = example.results().provenance.model_copy(update={"replicates": 100})  # of the interval that describes
    changes = {"provenance": made, **changes}
    return RunRecords(example.results(metrics=metrics, **changes), masks, tuple(audits), "f" * 64)


def scored(values, metric="iou", *, patients=None, method="gradcam", **more):
    """Return studies with one map's scores, a value or a reason each."""
    return [
        study(
            number,
            entry(method, "a", value, metric=metric),
            patient=None if patients is None else patients[number],
            masks=1,
            **more,
        )
        for number, value in enumerate(values)
    ]


def called(answers, *, reference=("nodule",)):
    """Return studies that have no map, with what is called of each."""
    return [
        study(number, predicted=("nodule",) if yes else (), reference=reference) for number, yes in enumerate(answers)
    ]
