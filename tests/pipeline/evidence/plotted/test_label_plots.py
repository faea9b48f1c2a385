"""What is drawn of a label agrees with its estimates, and counts every study once."""

import numpy as np
import pytest

from pipeline.evidence.cohort.classifier import classification
from pipeline.evidence.cohort.units import units_of
from pipeline.evidence.plotted.answer_kinds import AnswerKinds
from pipeline.evidence.plotted.label_plots import ONE_CLASS, CellMap, label_plots
from pipeline.findings.study_audit import StudyAudit
from tests.pipeline.evidence.records import BOOTSTRAP, SCALES, entry, not_analysed, study


def hit(number, value, **facts):
    return study(number, entry("gradcam", "a", value, metric="hit_rate").model_copy(update={"map": "m"}), **facts)


def cohort():
    """Nine found, three missed, two false alarms, four silent; one patient has three studies."""
    found = [hit(n, float(n % 3 > 0), probability=0.6 + 0.03 * n) for n in range(9)]
    missed = [hit(20 + n, 0.0, predicted=(), probability=0.1 + 0.1 * n) for n in range(3)]
    alarms = [study(30 + n, reference=(), probability=0.55 + 0.2 * n) for n in range(2)]
    silent = [study(40 + n, reference=(), predicted=(), probability=0.05 + 0.1 * n, patient="P-silent" if n else None)
              for n in range(4)]  # fmt: skip
    return [*found, *missed, *alarms, *silent]


def plots_of(audits, shown=(), labels=("nodule",)):
    units = units_of(audits, ["hit_rate"], labels)
    return label_plots(audits, units, labels, CellMap("gradcam", SCALES["hit_rate"], frozenset(shown)), BOOTSTRAP)


def test_cells_add_up_and_tell_where_the_map_peaks():
    (plots,) = plots_of(cohort())
    assert [cell.studies for cell in plots.cells] == [9, 3, 2, 4]
    assert [cell.patients for cell in plots.cells] == [9, 3, 2, 2]
    assert sum(cell.studies for cell in plots.cells) == plots.studies == 18
    assert (plots.positives, plots.negatives, plots.missing) == (12, 6, 0)
    assert plots.cells[0].hit_rate.value == pytest.approx(6 / 9)
    assert plots.cells[1].hit_rate.value == 0
    assert [cell.hit_rate for cell in plots.cells[2:]] == [None, None], "without a map there is nothing to hit"


def test_the_area_below_the_curve_is_the_auroc_that_is_printed():
    audits = cohort()
    (plots,) = plots_of(audits)
    auroc = next(estimate for estimate in classification(audits, ["nodule"], BOOTSTRAP) if estimate.metric == "auroc")
    assert np.trapezoid(plots.roc.sensitivity, plots.roc.false_positive_rate) == pytest.approx(auroc.value)


def test_the_typical_case_is_the_shown_one_nearest_to_the_median():
    shown = ["S-0", "S-5", "S-8", "S-20", "S-22", "S-40"]
    (plots,) = plots_of(cohort(), shown)
    assert plots.cells[0].median_probability == pytest.approx(0.72)
    assert [cell.typical for cell in plots.cells] == ["S-5", "S-20", None, None]
    assert [cell.typical for cell in plots_of(cohort())[0].cells] == [None] * 4


def test_studies_that_failed_are_missing_and_those_without_a_reference_are_no_part():
    audits = [study(90, reference=None), not_analysed(1), *cohort()]
    (plots,) = plots_of(audits)
    assert (plots.studies, plots.missing) == (18, 1)
    assert plots.cells == plots_of(cohort())[0].cells, "and what hits in a cell is that of its own studies"


def test_one_class_alone_has_no_curve_and_says_why():
    (plots,) = plots_of([row for row in cohort() if row.reference])
    assert (plots.roc, plots.precision_recall, plots.calibration, plots.reason) == (None, None, None, ONE_CLASS)
    assert [cell.studies for cell in plots.cells] == [9, 3, 0, 0]


def test_answers_are_counted_once_each_and_add_up_to_the_analysed():
    rows = [*cohort(), not_analysed(1), study(90, reference=None, predicted=())]
    counts = AnswerKinds.of(rows).counts()
    assert [(count.reference, count.answered, count.studies) for count in counts] == [
        (("nodule",), ("nodule",), 9),
        ((), (), 4),
        (("nodule",), (), 3),
        ((), ("nodule",), 2),
        (None, (), 1),
    ]
    assert counts[1].patients == 2
    assert sum(count.studies for count in counts) == sum(row.status == "analysed" for row in rows)


def test_a_hundred_thousand_studies_leave_a_record_of_bounded_size():
    generator = np.random.default_rng(0)
    audits = []
    for number, (truth, noise) in enumerate(zip(generator.random(20_000) < 0.4, generator.random(20_000), strict=True)):
        probability = float(np.clip(0.3 * truth + 0.7 * noise, 0, 1))
        audits.append(
            StudyAudit.model_construct(
                study=f"S{number}", patient=f"P{number}", source_sha256="0", status="analysed", reason=None,
                reference=("nodule",) if truth else (), predicted=("nodule",) if probability >= 0.5 else (),
                probabilities={"nodule": probability}, map_scores=(), strata={}, masks=0, mask_faults=(),
            )
        )  # fmt: skip
    (plots,) = label_plots(audits, units_of(audits), ["nodule"], CellMap("gradcam", None), BOOTSTRAP)
    assert len(plots.model_dump_json()) < 100_000


def test_of_a_label_its_own_references_calls_probabilities_and_units_count():
    """b is present, called and probable where a is not: swapped, every cell would be another."""

    def of(number, reference, predicted, a, b, value):
        maps = [entry("gradcam", "r", value, target=label, metric="hit_rate") for label in reference]
        content = {"probabilities": {"a": a, "b": b}}
        return study(number, *maps, reference=reference, predicted=predicted).model_copy(update=content)

    rows = [
        of(0, ("a",), ("a",), 0.9, 0.2, 1.0),
        of(1, ("a",), ("b",), 0.3, 0.8, 0.0),
        of(2, ("b",), ("b",), 0.1, 0.7, 0.0),
        of(3, ("b",), (), 0.4, 0.45, 1.0),
    ]
    a, b = plots_of(rows, labels=("a", "b"))
    assert [cell.studies for cell in a.cells] == [1, 1, 0, 2]
    assert [cell.studies for cell in b.cells] == [1, 1, 1, 1]
    assert [cell.median_probability for cell in b.cells] == [0.7, 0.45, 0.8, 0.2]
    assert [cell.hit_rate and cell.hit_rate.value for cell in a.cells] == [1.0, 0.0, None, None]
    assert (a.calibration.error.group, b.calibration.error.group) == ("label=a", "label=b")
    (only,) = plots_of(cohort())
    assert only.calibration.error.group is None


def test_a_map_of_a_label_that_is_not_there_is_told_in_its_own_cell():
    """Somebody marked what the reference does not name: the false alarm's map has a mask to be held against."""
    alarms = [hit(n, float(n), reference=()) for n in range(2)]
    (plots,) = plots_of([*alarms, hit(5, 1.0)])
    assert [cell.hit_rate and cell.hit_rate.value for cell in plots.cells] == [1.0, None, 0.5, None]


def test_patients_and_medians_by_hand():
    rows = [study(n, probability=p, patient=f"P-{min(n, 2)}") for n, p in enumerate([0.6, 0.7, 0.95, 0.96])]
    healthy = [study(10 + n, reference=(), predicted=(), probability=0.3) for n in range(3)]
    (plots,) = plots_of([*rows, *healthy])
    assert (plots.patients, plots.studies, plots.negatives) == (6, 7, 3)
    assert plots.cells[0].median_probability == pytest.approx(0.825)


def test_patients_weigh_alike_on_a_curve():
    """Of the ill a patient with three studies, all above, and one below every healthy: half of the curve is 1."""
    ill = [study(n, probability=0.9, patient="P") for n in range(3)] + [study(3, probability=0.1, predicted=())]
    healthy = [study(10 + n, reference=(), predicted=(), probability=0.5) for n in range(2)]
    (plots,) = plots_of([*ill, *healthy])
    assert np.trapezoid(plots.roc.sensitivity, plots.roc.false_positive_rate) == pytest.approx(0.5)
    (healthy_only,) = plots_of(healthy)
    assert healthy_only.reason == ONE_CLASS


def test_of_equally_typical_cases_the_first_by_the_hash_of_its_files_is_shown():
    """.6 and .8 lie alike from .7; the hash of the second comes first. A third lies further below."""
    values = [(0.625, "b"), (0.875, "a"), (0.5, "0"), (0.875, "c"), (0.625, "d")]
    rows = [hit(n, 1.0, probability=p).model_copy(update={"source_sha256": sha}) for n, (p, sha) in enumerate(values)]
    rows += [hit(9, 1.0, probability=0.875)]
    (plots,) = plots_of(rows, ["S-0", "S-1", "S-2"])
    assert plots.cells[0].median_probability == 0.75
    assert plots.cells[0].typical == "S-1"
