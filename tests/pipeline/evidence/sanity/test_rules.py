"""The rules of the family ``sanity``: each bound, what is not done, and rows that no run writes."""

import pytest

from pipeline.config_experiments import SanityConfig
from pipeline.evidence.sanity.rules import map_plan, sanity_findings
from pipeline.findings.experiments.sanity import MapPlan, RedrawnWeights, SanityRow, SanityRows

STUDIES = ("S-1", "S-2", "S-3", "S-4")
SETTINGS = SanityConfig(studies=4, draws=3)
WHOLE = RedrawnWeights(values=10, redrawn=10)


def rows_of(check, value, draws=1, studies=STUDIES, method="gradcam"):
    """Return a row for each study and draw; ``value`` is a similarity, ``none`` or ``empty``."""
    outcome = {"none": "no_map", "empty": "empty_after"}.get(value, "compared")
    similarity = {"none": None, "empty": 0.0}.get(value, value)
    return [
        SanityRow(study=study, patient=f"P{study}", label="lesion", method=method, check=check, draw=draw,
                  outcome=outcome, similarity=similarity)
        for draw in range(draws)
        for study in studies
    ]  # fmt: skip


def sound(repeats=1.0, shuffled=0.1, weights=0.1):
    return [
        *rows_of("repeatability", repeats),
        *rows_of("shuffled_picture", shuffled),
        *rows_of("weight_randomisation", weights, draws=3),
    ]


def bundle(rows, **changes):
    content = {"plans": {"gradcam": MapPlan(studies=4, draws=3)}, "rows": tuple(rows), "weights": WHOLE}
    return SanityRows(**{**content, **changes})


def answers(rows, chosen=STUDIES, settings=SETTINGS, **changes):
    findings = sanity_findings(bundle(rows, **changes), settings, chosen)
    return {check.check: check for check in findings.checks}


@pytest.mark.parametrize(
    ("check", "value", "answer"),
    [
        ("repeatability", 1.0, "MET"),
        ("repeatability", 0.99, "MET"),
        ("shuffled_picture", -1.0, "MET"),
        ("shuffled_picture", 0.95, "MET"),
        ("shuffled_picture", 0.951, "NOT MET"),
        ("weight_randomisation", 0.0, "MET"),
        ("weight_randomisation", 0.85, "MET"),
        ("weight_randomisation", 0.851, "NOT MET"),
    ],
)
def test_each_bound(check, value, answer):
    key = {"repeatability": "repeats", "shuffled_picture": "shuffled", "weight_randomisation": "weights"}[check]
    finding = answers(sound(**{key: value}))[check]
    assert (finding.answer, finding.value, finding.strikes) == (answer, pytest.approx(value), answer == "NOT MET")
    assert (finding.studies, finding.patients) == (4, 4)


def test_a_map_that_does_not_repeat_is_struck_and_tried_no_further():
    checks = answers(rows_of("repeatability", 0.989))
    assert (checks["repeatability"].answer, checks["repeatability"].strikes) == ("NOT MET", True)
    for check in ("shuffled_picture", "weight_randomisation"):
        assert (checks[check].answer, checks[check].strikes, checks[check].value) == ("INCONCLUSIVE", False, None)
        assert checks[check].reason.startswith("not done: the map does not come out the same twice")


@pytest.mark.parametrize(("value", "partly"), [(0.59, False), (0.6, True), (0.85, True), (0.86, False)])
def test_partly_is_said_and_not_judged(value, partly):
    findings = sanity_findings(bundle(sound(weights=value)), SETTINGS, STUDIES)
    figure = findings.figures[2]
    assert (figure.check, figure.partly) == ("weight_randomisation", partly)
    assert ("partly" in findings.checks[2].reason) == partly


def test_the_mean_is_over_studies_and_then_over_draws():
    rows = sound()[:8]
    for draw, values in enumerate([(0.0, 0.0, 0.0, 0.4), (0.2,) * 4, (0.9,) * 4]):
        for study, value in zip(STUDIES, values, strict=True):
            (row,) = rows_of("weight_randomisation", value, studies=(study,))
            rows.append(row.model_copy(update={"draw": draw}))
    findings = sanity_findings(bundle(rows), SETTINGS, STUDIES)
    assert findings.figures[2].by_draw == pytest.approx((0.1, 0.2, 0.9))
    assert findings.checks[2].value == pytest.approx(0.4)


def test_an_empty_map_counts_as_nothing_alike_and_no_map_not_at_all():
    empty = answers(sound(weights="empty"))["weight_randomisation"]
    assert (empty.answer, empty.value) == ("MET", 0.0)
    findings = sanity_findings(bundle(sound(weights="empty")), SETTINGS, STUDIES)
    assert (findings.figures[2].empty, findings.figures[2].compared) == (12, 12)
    checks = answers(rows_of("repeatability", "none"))
    assert {check.answer for check in checks.values()} == {"INCONCLUSIVE"}
    assert "0 of the chosen studies have a map" in checks["repeatability"].reason


def test_fewer_than_four_studies_tell_nothing():
    few = dict.fromkeys(STUDIES[3:], "truncated")
    rows = rows_of("repeatability", 1.0, studies=STUDIES[:3])
    checks = answers(rows, failures=few)
    assert {check.answer for check in checks.values()} == {"INCONCLUSIVE"}
    assert checks["repeatability"].reason == (
        "not done: 3 of the chosen studies have a map, and fewer than 4 tell nothing"
    )


def test_weights_that_were_not_all_drawn_are_no_pass():
    kept = RedrawnWeights(values=1000, redrawn=988, left=("VisionTransformer",))
    weights = answers(sound()[:8], weights=kept)["weight_randomisation"]
    assert (weights.answer, weights.value) == ("INCONCLUSIVE", None)
    assert "only 98.8 %" in weights.reason
    assert "12 of 1000" in weights.reason
    assert "VisionTransformer" in weights.reason
    none = answers(sound()[:8], weights=RedrawnWeights(values=0, redrawn=0))["weight_randomisation"]
    assert none.reason == "not done: the model has no learnt numbers that could be drawn anew"


def test_what_was_broken_off_says_why():
    checks = answers(rows_of("repeatability", 1.0), not_done={"gradcam": "the model or a map raised ValueError"})
    assert checks["repeatability"].answer == "MET"
    assert checks["shuffled_picture"].reason == "not done: the model or a map raised ValueError"


def test_a_costly_map_has_fewer_studies_and_draws():
    assert map_plan(SanityConfig(), is_costly=False) == MapPlan(studies=8, draws=5)
    assert map_plan(SanityConfig(), is_costly=True) == MapPlan(studies=4, draws=3)
    assert map_plan(SanityConfig(studies=20), is_costly=True) == MapPlan(studies=10, draws=3)


@pytest.mark.parametrize(
    ("rows", "changes"),
    [
        (sound()[:-1], {}),  # a study less in one draw
        (sound()[:-4], {}),  # a draw less
        (sound()[:8] + sound()[12:], {}),  # the first draw less
        (sound()[1:], {}),  # a study less in repeatability
        (sound()[4:], {}),  # no repeatability at all
        (sound()[4:], {"not_done": {"gradcam": "lost"}}),
        ([*sound(), sound()[-1]], {}),  # a row twice
        (sound(repeats=0.5), {}),  # tried further although it does not repeat
        ([*sound(), *rows_of("repeatability", 1.0, method="other")], {}),  # a map that nobody asked for
        (sound(), {"plans": {"gradcam": MapPlan(studies=4, draws=2)}}),
        (sound(), {"plans": {"gradcam": MapPlan(studies=3, draws=3)}}),
        (sound(), {"failures": {"S-9": "truncated"}}),
        (sound(), {"weights": RedrawnWeights(values=10, redrawn=9)}),
        (sound()[:4] + sound()[8:], {}),  # the shuffled picture left out, and nothing says why
        (sound()[:8], {}),  # no draw at all
        ([*sound()[:7], sound()[7].model_copy(update={"check": "noise_stability"})], {}),
    ],
    ids=range(16),
)
def test_rows_that_no_run_writes_are_refused(rows, changes):
    with pytest.raises(ValueError, match=r"[a-z]"):
        sanity_findings(bundle(rows, **changes), SETTINGS, STUDIES)


def test_rows_of_other_studies_are_refused():
    with pytest.raises(ValueError, match="chosen"):
        sanity_findings(bundle(sound()), SETTINGS, ("S-1", "S-2", "S-3", "S-5"))


@pytest.mark.parametrize(
    "changes",
    [{"outcome": "no_map"}, {"similarity": None}, {"outcome": "empty_after"}, {"similarity": 1.01}, {"draw": -1},
     {"similarity": float("nan")}],
)  # fmt: skip
def test_a_row_contradicts_itself_nowhere(changes):
    with pytest.raises(ValueError, match=r"."):
        SanityRow.model_validate(sound()[0].model_dump() | changes)
