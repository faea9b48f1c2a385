"""The items that reviewers look for: taken from the results as they are, and what is missing is said."""

import json

import pytest

from pipeline.conclusions.reporting_items import ReportingItems, reporting_items
from pipeline.findings.experiments.bundle import ExperimentFindings
from pipeline.findings.experiments.check import CheckFinding
from pipeline.findings.experiments.sanity import SanityFindings
from pipeline.vocabulary import CHECKS
from tests.reports.example import BASELINES, METHODS, results

STRUCK = CheckFinding(
    check="weight_randomisation", method="layercam", answer="NOT MET", reason="from picture and architecture",
    value=0.9, bound=0.85, side="at_most", patients=8, studies=8, strikes=True,
)  # fmt: skip
UNDONE = CheckFinding(check="repeatability", method="gradcam", answer="INCONCLUSIVE", reason="not done: out of memory")


def with_checks(*checks, **changes):
    sanity = SanityFindings.model_construct(checks=checks)
    return results(experiments=ExperimentFindings.model_construct(sanity=sanity), **changes)


@pytest.fixture(scope="module")
def items():
    return reporting_items(with_checks(STRUCK, UNDONE))


def test_every_number_is_that_of_the_results(items):
    held = results()
    assert (items.run, items.audit, items.model["weights_sha256"]) == (held.run, held.audit, held.model.sha256)
    assert [method.name for method in items.methods] == [method.name for method in held.methods]
    whole = [estimate for estimate in held.estimates if estimate.group is None]
    shown = [(item.metric, item.method, item.among, item.value, item.low, item.patients) for item in items.localisation]
    assert shown == [(e.metric, e.method, e.among, e.value, e.low, e.patients) for e in whole]
    assert 0 < len(whole) < len(held.estimates)  # subgroups are left to the results
    assert {item.method for item in items.localisation if item.is_baseline} == set(BASELINES)
    assert {item.method for item in items.localisation if not item.is_baseline} == set(METHODS)
    assert [said.answer for said in items.interpretation] == [verdict.answer for verdict in held.verdicts]


def test_the_flow_adds_up_and_the_level_is_the_cohorts(items):
    assert items.flow["found"] == items.flow["analysed"] + items.flow["excluded"] + items.flow["failed"]
    assert sum(items.left_out.values()) == items.flow["excluded"] + items.flow["failed"]
    assert items.level == "cohort"
    assert items.examples == results().case_rule


def test_a_check_that_was_not_done_is_never_reported_as_passed(items):
    by_check = {check.check: check for check in items.checks}
    assert set(by_check) == set(CHECKS)
    assert (by_check["weight_randomisation"].answer, by_check["weight_randomisation"].value) == ("NOT MET", 0.9)
    assert by_check["repeatability"].answer is None
    assert by_check["shortcuts"].answer is None
    assert items.not_reported["checks.repeatability"] == "not done: out of memory"
    assert items.not_reported["checks.shortcuts"] == "experiments.shortcuts was not asked for"
    assert "checks.weight_randomisation" not in items.not_reported
    assert set(items.struck) == {"layercam"}


def test_what_a_run_lacks_is_said():
    bare = reporting_items(results(estimates=(), agreements=(), verdicts=(), answers={}, intended_use=""))
    assert {"localisation", "localisation.baseline", "reader_agreement", "interpretation", "intended_use"} <= set(
        bare.not_reported
    )
    whole = reporting_items(results())
    assert not {"localisation", "localisation.baseline", "interpretation"} & set(whole.not_reported)


def test_it_is_json_and_comes_back(items):
    content = json.loads(items.model_dump_json())
    assert content["schema_version"] == 1
    assert ReportingItems.model_validate(content) == items


def test_criteria_that_were_not_fixed_beforehand_are_said_to_be_so(items):
    later = reporting_items(results(exploratory=("the lock was set after the first run",)))
    assert (items.locked, later.locked) == (True, False)
    assert later.exploratory == ("the lock was set after the first run",)
