"""Control charts of growing cohorts: whose scores count in which run, and when a chart alarms."""

import pytest

from pipeline.evidence.exact.cusum import average_run_length, cusum_of
from tests.pipeline.evidence.records import not_analysed
from tests.pipeline.evidence.verdicts.test_open_cohort import hit, judged, nights


def test_each_run_counts_the_patients_whom_it_saw_first():
    rows = [hit(n, n % 4 > 0) for n in range(40)] + [hit(100 + n, 0) for n in range(20)]
    seen = nights(rows, 20)
    chart = judged(rows, seen, at_least=0.6).control
    assert [(row.run, row.patients, row.value) for row in chart.arrivals] == [
        ("run-0000", 20, 0.75), ("run-0001", 20, 0.75), ("run-0002", 20, 0.0),
    ]  # fmt: skip
    totals = [row.total for row in chart.arrivals]
    assert totals == pytest.approx([0, 0, 20 * (1 - chart.allowance)])
    assert chart.alarm == ("run-0002" if totals[2] >= chart.limit else None)
    assert judged(rows[:40], seen, at_least=0.6).control.alarm is None
    rule = cusum_of(0.6, chart.accepted)
    assert (chart.reference, chart.per_run, chart.limit) == (0.6, 20, rule.limit)
    assert chart.in_control_runs == average_run_length(rule, 0.6, 20)
    assert [delay.runs for delay in chart.delays] == [average_run_length(rule, mean, 20) for mean in (0.5, 0.4)]


def test_a_patient_with_several_studies_weighs_as_one_in_his_run():
    rows = [hit(n, 1) for n in range(19)] + [hit(100 + n, 0, patient="often") for n in range(4)]
    (row,) = judged(rows, nights(rows, len(rows)), at_least=0.6).control.arrivals
    assert (row.patients, row.value) == (20, pytest.approx(0.95))


def test_a_fall_is_seen_and_named_by_its_run():
    rows = [hit(n, n < 60 or n % 2) for n in range(120)]
    seen = nights(rows, 10)
    chart = judged(rows, seen, at_least=0.8).control
    assert "run-0006" <= chart.alarm <= "run-0010"


def test_where_lower_is_better_a_rise_is_seen():
    rows = [hit(n, n >= 60) for n in range(90)]
    chart = judged(rows, nights(rows, 10), at_most=0.3, reversed=True).control
    assert (chart.side, chart.reference) == ("at_most", 0.3)
    assert chart.alarm in ("run-0006", "run-0007")
    assert chart.in_control_runs == average_run_length(cusum_of(0.7, chart.accepted), 0.7, 10)


def test_later_studies_of_a_patient_and_studies_without_a_score_count_for_no_run():
    rows = [hit(n, 1, patient=f"P{n}") for n in range(20)]
    seen = nights(rows, 10)
    later = [hit(100 + n, 0, patient=f"P{n}") for n in range(20)] + [not_analysed(300 + n) for n in range(3)]
    chart = judged(rows + later, seen | {row.study: "run-9999" for row in later}, at_least=0.5).control
    assert [(row.run, row.patients) for row in chart.arrivals] == [("run-0000", 10), ("run-0001", 10)]


def test_the_first_run_does_not_set_how_many_patients_a_run_has():
    """50 patients, then 2, then 4."""
    rows = [hit(n, 1) for n in range(56)]
    seen = {row.study: f"run-{(number >= 50) + (number >= 52)}" for number, row in enumerate(rows)}
    assert judged(rows, seen, at_least=0.5).control.per_run == 2


def test_without_a_growing_cohort_or_a_bound_within_reach_there_is_no_chart():
    rows = [hit(n, 1) for n in range(20)]
    assert judged(rows, None, at_least=0.5).control is None
    assert judged(rows, nights(rows, 5), at_least=1.0).control is None
    chart = judged(rows, nights(rows, 5), at_least=0.15).control
    assert [delay.runs is None for delay in chart.delays] == [False, True]
