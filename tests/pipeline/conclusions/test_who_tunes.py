"""Who tunes a run's thresholds: patients of whom the list says so, and nobody else's records."""

from types import SimpleNamespace

from pipeline.conclusions.tuned import rules_of, tuned_of, who_tunes
from pipeline.config import OverlapConfig
from pipeline.findings.localisation.curves import CURVE_SHARES
from tests.pipeline.evidence.localisation.test_tuning import PLACE, peaked


def members(*tuning):
    """Return the studies 0 to 5 of three patients, of whom some tune."""
    return [
        SimpleNamespace(study=f"S-{number}", patient=f"P-{number // 2}", tuning=f"P-{number // 2}" in tuning)
        for number in range(6)
    ]


SPEC = SimpleNamespace(
    config=SimpleNamespace(
        model=SimpleNamespace(labels=("clear", "nodule"), negative_label="clear"),
        overlap=OverlapConfig(threshold={"tuned": "dice", "column": "split", "fewest": 1}),
    ),
    recipes=SimpleNamespace(maps={PLACE: "recipe"}),
)


def test_patients_tune_whose_studies_are_listed_so():
    assert who_tunes(members("P-0", "P-2")) == {"P-0", "P-2"}


def test_only_the_tuning_patients_records_choose_and_only_for_findings():
    """P-1's maps are best at the 4th threshold, the others' at the 9th."""
    audits = [peaked(number, 4 if number // 2 == 1 else 9, patient=f"P-{number // 2}") for number in range(6)]
    (threshold,) = tuned_of(SPEC, members("P-1"), audits)
    assert (threshold.label, threshold.share) == ("nodule", CURVE_SHARES[4])
    (other,) = tuned_of(SPEC, members("P-0", "P-2"), audits)
    assert other.share == CURVE_SHARES[9]
    assert rules_of(SPEC, members("P-1"), [threshold]).tuning == {"P-1"}
