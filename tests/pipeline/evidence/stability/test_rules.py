"""The rules of the family ``stability``: one bound, on the studies whose answer stays, and figures."""

import pytest

from pipeline.config_experiments import StabilityConfig
from pipeline.evidence.stability.rules import stability_findings
from pipeline.findings.experiments.stability import PICTURE_CHANGES, StabilityRow, StabilityRows

STUDIES = tuple(f"S-{number}" for number in range(5))
SETTINGS = StabilityConfig(studies=5)


def rows_of(change, values, same=(True,) * 5, logit=0.1):
    return [
        StabilityRow(study=study, patient=f"P{study}", label="lesion", method="gradcam", change=change,
                     outcome="no_map" if value is None else "compared", similarity=value, logit=logit, same_answer=kept)
        for study, value, kept in zip(STUDIES, values, same, strict=True)
    ]  # fmt: skip


def findings_of(rows, **changes):
    content = {"methods": ("gradcam",), "rows": tuple(rows)}
    return stability_findings(StabilityRows(**{**content, **changes}), SETTINGS, STUDIES)


@pytest.mark.parametrize(("value", "answer"), [(0.5, "MET"), (0.49, "NOT MET"), (1.0, "MET"), (-0.2, "NOT MET")])
def test_noise_has_a_bound(value, answer):
    (check,) = findings_of(rows_of("noise", [value] * 5)).checks
    assert (check.check, check.answer, check.value, check.strikes) == (
        "noise_stability", answer, pytest.approx(value), False,
    )  # fmt: skip


def test_nothing_else_has_a_bound():
    others = [row for change in PICTURE_CHANGES if change != "noise" for row in rows_of(change, [-0.9] * 5)]
    (check,) = findings_of([*rows_of("noise", [0.9] * 5), *others]).checks
    assert check.answer == "MET"


def test_a_study_whose_answer_changes_is_not_judged_and_is_counted():
    values, same = [0.9, 0.9, 0.9, 0.9, -1.0], (True, True, True, True, False)
    findings = findings_of(rows_of("noise", values, same))
    assert (findings.checks[0].value, findings.checks[0].studies) == (pytest.approx(0.9), 4)
    figure = findings.figures[0]
    assert (figure.value, figure.lowest, figure.same, figure.studies) == (pytest.approx(0.52), -1.0, 4, 5)
    few = findings_of(rows_of("noise", values, (True, True, True, False, False))).checks[0]
    assert (few.answer, few.value) == ("INCONCLUSIVE", None)
    assert few.reason == "not done: 3 chosen studies have a map and keep their answer; fewer than 4 tell nothing"


def test_a_study_without_a_map_is_counted():
    figure = findings_of(rows_of("noise", [None, 1.0, 1.0, 1.0, 1.0])).figures[0]
    assert (figure.without_map, figure.value, figure.studies) == (1, 1.0, 5)


def test_the_answer_moves_by_its_magnitude():
    rows = [*rows_of("noise", [1.0] * 5, logit=-0.3)]
    assert findings_of(rows).figures[0].logit == pytest.approx(0.3)


def test_what_was_broken_off_says_why():
    (check,) = findings_of([], not_done={"gradcam": "the model or a map raised ValueError"}).checks
    assert (check.answer, check.reason) == ("INCONCLUSIVE", "not done: the model or a map raised ValueError")


@pytest.mark.parametrize(
    ("rows", "changes"),
    [
        (rows_of("noise", [1.0] * 5)[:-1], {}),
        ([*rows_of("noise", [1.0] * 5), rows_of("noise", [1.0] * 5)[0]], {}),
        (rows_of("noise", [1.0] * 5), {"methods": ("hirescam",)}),
        (rows_of("noise", [1.0] * 5), {"failures": {"S-77": "truncated"}}),
        (rows_of("noise", [1.0] * 5), {"failures": {"S-1": "truncated"}}),
    ],
    ids=range(5),
)
def test_rows_that_no_run_writes_are_refused(rows, changes):
    with pytest.raises(ValueError, match="chosen"):
        findings_of(rows, **changes)
