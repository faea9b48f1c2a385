"""From rows to the answer of a criterion: what may be MET, what is NOT MET, and what nothing can be said of."""

import pytest

from pipeline.conclusions.needed_masks import with_overlap
from pipeline.config_experiments import ShortcutsConfig
from pipeline.evidence.shortcuts.rules import shortcut_findings
from pipeline.findings.experiments.bundle import ExperimentFindings
from pipeline.findings.experiments.shortcuts import CAUSES, LabelRows, ShortcutRow, ShortcutRows
from pipeline.findings.scores import MapScores, Score
from pipeline.findings.study_audit import StudyAudit
from tests.pipeline.evidence.shortcuts.test_rule import rows_of

CONFIG = ShortcutsConfig(studies=20)
STUDIES = tuple(f"S-{number}" for number in range(20))
NOTHING = dict.fromkeys(CAUSES, 0.0)


def findings_of(*effects, rows=None, **more):
    labels = tuple(
        LabelRows(label=f"label {number}", studies=STUDIES, rows=tuple(rows_of(each)))
        for number, each in enumerate(effects)
    )
    if rows is not None:
        labels = (LabelRows(label="lesion", studies=STUDIES, rows=tuple(rows)),)
    return shortcut_findings(ShortcutRows(seed=0, labels=labels, **more), CONFIG, STUDIES)


def answer_of(*effects, **more):
    return findings_of(*effects, **more).checks[0]


def lesion_rows(moved):
    """The lesion painted over in the ten positives; ``moved`` is the change of the score, of a distance of 6."""
    return [
        ShortcutRow(study=number, patient=f"p{number}", positive=True, test="lesion", plain=3.0, changed=3.0 - moved,
                    control=3.0)
        for number in range(0, 20, 2)
    ]  # fmt: skip


def test_a_named_cause_is_not_met_with_the_sentence_that_names_it():
    check = answer_of({**NOTHING, "border": 0.9})
    assert (check.answer, check.value, check.bound, check.side) == ("NOT MET", pytest.approx(0.9), 0.15, "at_most")
    assert check.reason.startswith("named: the border of the picture; giving studies the border of studies")
    assert (check.patients, check.studies, check.method, check.strikes) == (20, 20, None, False)


def test_the_value_is_the_effect_of_the_cause_that_is_named():
    """What lies outside the body moves the score more, and is named only where nothing more specific is."""
    check = answer_of({**NOTHING, "outside": 0.9, "air_marks": 0.6})
    assert check.reason.startswith("named: small bright marks outside the body; ")
    assert check.value == pytest.approx(0.6)
    assert "by 60 % of the distance" in check.reason


def test_of_two_labels_the_one_decides_whose_named_cause_is_the_larger():
    check = answer_of({**NOTHING, "outside": 0.9, "air_marks": 0.3}, {**NOTHING, "border": 0.5})
    assert check.reason.startswith("named for 'label 1': the border of the picture")
    assert check.value == pytest.approx(0.5)


def test_no_cause_found_is_met_and_says_what_could_have_been_found():
    check = answer_of(rows=[*rows_of(NOTHING), *lesion_rows(5.0)])
    assert check.answer == "MET"
    assert check.reason.startswith("no reliance above 15 % of the distance between the classes was found for the 7")
    assert "shortcut" not in check.reason


def test_answers_that_stay_without_the_lesion_and_that_no_cause_explains_are_not_met_nor_refuted():
    check = answer_of(rows=[*rows_of(NOTHING), *lesion_rows(0.1)])
    assert (check.answer, check.value) == ("INCONCLUSIVE", None)
    assert check.reason == "10 of 10 positive answers stayed without the lesion, and no tested cause explains it"


def test_without_any_positive_answer_it_is_the_score_that_the_lesion_has_to_move():
    """A model that never crosses its threshold: everything lies below 0."""
    below = [row.model_copy(update={"plain": row.plain - 9, "changed": row.changed - 9, "control": row.control - 9})
             for row in [*rows_of(NOTHING), *lesion_rows(0.1)]]  # fmt: skip
    assert answer_of(rows=below).reason.startswith("painting over the lesion hardly moves the score")
    moved = [row if row.test != "lesion" else row.model_copy(update={"changed": row.changed - 4}) for row in below]
    assert answer_of(rows=moved).answer == "MET"


def test_a_lesion_that_could_nowhere_be_tried_leaves_it_open():
    rows = [row.model_copy(update={"changed": None, "control": None, "reason": "no place"}) for row in lesion_rows(1.0)]
    assert "could not be tried: no place" in answer_of(rows=[*rows_of(NOTHING), *rows]).reason


def test_a_cause_that_occurs_and_could_not_be_tested_bars_met():
    rows = [row for row in rows_of(NOTHING) if row.test != "body_marks"]
    rows += [
        ShortcutRow(study=n, patient=f"p{n}", positive=n % 2 == 0, test="body_marks", plain=3.0 if n % 2 == 0 else -3.0,
                    reason="nobody outlined the lesion, which could be taken for a mark or for noise")
        for n in range(20)
    ]  # fmt: skip
    check = answer_of(rows=rows)
    assert check.answer == "INCONCLUSIVE"
    assert "not every cause could be tested: small bright marks in the body" in check.reason


def test_a_cause_that_does_not_occur_bars_nothing():
    rows = [row for row in rows_of(NOTHING) if row.test != "air_marks"]
    rows += [
        ShortcutRow(study=n, patient=f"p{n}", positive=n % 2 == 0, test="air_marks", plain=3.0 if n % 2 == 0 else -3.0,
                    reason="nothing of this kind in the picture")
        for n in range(20)
    ]  # fmt: skip
    assert answer_of(rows=rows).answer == "MET"


def test_studies_that_differ_too_much_leave_it_open():
    check = answer_of(rows=rows_of(NOTHING, spread=1.0))
    assert check.answer == "INCONCLUSIVE"
    assert "could have been found" in check.reason


def test_a_model_below_the_bound_of_auroc_leaves_it_open():
    rows = [row.model_copy(update={"plain": float(row.study % 3)}) for row in rows_of({**NOTHING, "border": 0.9})]
    check = answer_of(rows=rows)
    assert (check.answer, check.value) == ("INCONCLUSIVE", None)
    assert "AUROC" in check.reason


def test_one_label_of_several_decides():
    assert answer_of(NOTHING, NOTHING).answer == "MET"
    check = answer_of(NOTHING, {**NOTHING, "texture": 0.8})
    assert check.answer == "NOT MET"
    assert check.reason.startswith("named for 'label 1': the noise texture")


def test_a_battery_that_was_broken_off_is_not_done():
    check = answer_of(not_done="model_failed")
    assert (check.answer, check.reason) == ("INCONCLUSIVE", "not done: model_failed")
    named = answer_of({**NOTHING, "border": 0.9}, not_done="model_failed")
    assert named.answer == "NOT MET"


def test_masks_that_the_model_does_not_need_are_listed():
    rows = [*rows_of(NOTHING), *lesion_rows(5.0)[:6], *lesion_rows(0.5)[6:]]
    own = findings_of(rows=rows).labels[0]
    assert own.needed == ("S-0", "S-2", "S-4", "S-6", "S-8", "S-10")
    assert own.not_needed == ("S-12", "S-14", "S-16", "S-18")


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"failures": {"S-foreign": "truncated"}}, "not chosen"),
        ({"failures": {"S-1": "truncated"}}, "not of the studies"),
        ({"rows": rows_of(NOTHING)[:-7]}, "do not hold every study"),
        ({"rows": rows_of(NOTHING) + rows_of({"border": 0.9})}, "twice"),
    ],
)
def test_rows_that_no_run_writes_are_refused(more, says):
    with pytest.raises(ValueError, match=says):
        findings_of(NOTHING, **more)


def test_more_studies_than_the_configuration_says_are_refused():
    with pytest.raises(ValueError, match="more studies"):
        shortcut_findings(ShortcutRows(seed=0, labels=()), ShortcutsConfig(studies=10), STUDIES)


def test_overlap_is_the_mean_over_readers_then_over_the_studies_of_each_group():
    """By hand: needed (.8 + .6) / 2 = .7 and .5: mean .6; not needed .1; a baseline and another label are left out."""
    rows = [*rows_of(NOTHING), *lesion_rows(5.0)[:6], *lesion_rows(0.5)[6:]]
    findings = ExperimentFindings(shortcuts=findings_of(rows=rows))

    def audit(study, *values, method="gradcam", target="lesion"):
        maps = tuple(
            MapScores(target=target, method=method, layer="l", reader=f"r{number}",
                      scores=(Score(name="energy_in_mask", value=value),))
            for number, value in enumerate(values)
        )  # fmt: skip
        return StudyAudit(study=study, patient="p", source_sha256="0" * 64, status="analysed", map_scores=maps)

    audits = [
        audit("S-0", 0.8, 0.6), audit("S-2", 0.5), audit("S-12", 0.1), audit("S-14", 0.9, method="random_map"),
        audit("S-16", 0.9, target="other"), audit("S-1", 0.9),
    ]  # fmt: skip
    overlap = with_overlap(findings, audits, ("energy_in_mask",)).shortcuts.labels[0].overlap
    assert [each.model_dump() for each in overlap] == [
        {"method": "gradcam", "metric": "energy_in_mask", "needed": pytest.approx(0.6), "needed_studies": 2,
         "not_needed": pytest.approx(0.1), "not_needed_studies": 1}
    ]  # fmt: skip
    assert with_overlap(ExperimentFindings(), audits, ("energy_in_mask",)) == ExperimentFindings()


def test_overlap_is_told_of_the_maps_of_the_label_that_is_there_with_their_layers():
    """By hand: .4 at one layer and .2 at another; medians and maps of wrong answers are something else."""
    rows = [*rows_of(NOTHING), *lesion_rows(5.0)[:6], *lesion_rows(0.5)[6:]]
    findings = ExperimentFindings(shortcuts=findings_of(rows=rows))

    def scores(value, metric="energy_in_mask", **more):
        of = {"target": "lesion", "method": "gradcam", "layer": "l", "reader": "r", **more}
        score = Score(name=metric, value=value) if value is not None else Score(name=metric, reason="empty_mask")
        return MapScores(**of, scores=(score,))

    def audit(study, *maps):
        return StudyAudit(study=study, patient="p", source_sha256="0" * 64, status="analysed", map_scores=maps)

    audits = [
        audit("S-0", scores(0.4), scores(0.2, layer="m"), scores(0.9, target_role="answered"), scores(0.9, "iou")),
        audit("S-2", scores(0.1), scores(0.9, target="other", method="layercam")),
        audit("S-4", scores(0.1)),
        audit("S-6", scores(None)),
        audit("S-12", scores(None, layer="m")),
    ]
    overlap = with_overlap(findings, audits, ("energy_in_mask",)).shortcuts.labels[0].overlap
    assert [each.model_dump() for each in overlap] == [
        {"method": "gradcam@l", "metric": "energy_in_mask", "needed": pytest.approx(0.2), "needed_studies": 3,
         "not_needed": None, "not_needed_studies": 0},
        {"method": "gradcam@m", "metric": "energy_in_mask", "needed": pytest.approx(0.2), "needed_studies": 1,
         "not_needed": None, "not_needed_studies": 0},
    ]  # fmt: skip


def test_of_several_labels_the_largest_effect_is_met_and_of_the_gaps_in_the_evidence_the_label_is_named():
    rows = {"border": 0.05}
    check = answer_of({**NOTHING, **rows}, NOTHING)
    assert (check.answer, check.value) == ("MET", pytest.approx(0.05))
    lost = {**NOTHING, "border": 0.2}
    first = answer_of(rows=rows_of(lost, spread=1.0))
    assert not first.reason.startswith("lesion: "), "one label alone need not be named"
    both = tuple(
        LabelRows(label=f"label {number}", studies=STUDIES, rows=tuple(rows_of(NOTHING, spread=spread)))
        for number, spread in enumerate((0.0, 1.0))
    )
    (check,) = shortcut_findings(ShortcutRows(seed=0, labels=both), CONFIG, STUDIES).checks
    assert check.reason.startswith("label 1: the studies differ too much")


def test_the_studies_of_a_check_are_those_of_both_classes_and_of_refused_ones_no_mask_is_needed_or_not():
    assert answer_of(NOTHING).studies == 20
    below = [row.model_copy(update={"plain": float(row.study % 3)}) for row in [*rows_of(NOTHING), *lesion_rows(5.0)]]
    own = findings_of(rows=below).labels[0]
    assert own.finding.refused is not None
    assert (own.needed, own.not_needed) == ((), ())


def test_a_mask_is_needed_from_the_locked_share_on_and_the_control_is_where_it_is_measured_from():
    """The classes lie 6 apart: 0.9 is 15 % of it. Measured from the study as it is, all would be needed."""
    rows = [row.model_copy(update={"control": 2.0, "changed": 2.0 - moved})
            for row, moved in zip(lesion_rows(0.0), [0.9] * 3 + [0.89] * 7, strict=True)]  # fmt: skip
    own = findings_of(rows=[*rows_of(NOTHING), *rows]).labels[0]
    assert (len(own.needed), len(own.not_needed)) == (3, 7)


@pytest.mark.parametrize(("tested", "answer"), [(4, "MET"), (5, "INCONCLUSIVE")])
def test_a_cause_bars_met_from_five_studies_on_in_which_it_occurs(tested, answer):
    """Two were tested, the others of them could not be; where nothing is there it does not occur."""
    rows = [row for row in rows_of(NOTHING) if row.test != "body_marks" or row.study < 2]
    for n in range(2, 20):
        reason = "no place" if n < tested else "nothing of this kind in the picture"
        rows.append(ShortcutRow(study=n, patient=f"p{n}", positive=n % 2 == 0, test="body_marks",
                                plain=3.0 if n % 2 == 0 else -3.0, reason=reason))  # fmt: skip
    assert answer_of(rows=rows).answer == answer


def test_a_large_effect_that_is_not_shown_leaves_it_open_and_names_the_coarsest_test():
    effects = {**NOTHING, "border": 0.2}
    rows = [row for row in rows_of(effects, spread=0.0) if row.test not in ("border", "texture")]
    rows += [row for row in rows_of({"border": 0.2}, spread=0.9) if row.test == "border"]
    rows += [row for row in rows_of({"texture": 0.0}, spread=2.0) if row.test == "texture"]
    check = answer_of(rows=rows)
    assert check.answer == "INCONCLUSIVE"
    assert "of the noise texture only an effect above" in check.reason


def test_as_many_studies_as_the_configuration_says_may_be_chosen_and_unlabelled_ones_have_no_rows():
    assert findings_of(NOTHING).asked == 20
    silent = (*STUDIES, "S-unlabelled")
    rows = ShortcutRows(
        seed=0, labels=(LabelRows(label="lesion", studies=STUDIES, rows=tuple(rows_of(NOTHING))),),
        unlabelled=("S-unlabelled",),
    )  # fmt: skip
    assert shortcut_findings(rows, ShortcutsConfig(studies=21), silent).unlabelled == 1


def test_answers_that_stay_are_counted_and_a_score_that_moves_by_the_share_is_moved():
    rows = [*rows_of(NOTHING), *lesion_rows(5.0)[:3], *lesion_rows(0.1)[3:]]
    assert answer_of(rows=rows).reason.startswith("7 of 10 positive answers stayed without the lesion")
    moved = [*rows_of(NOTHING), *(row.model_copy(update={"control": 0.75, "changed": 0.0}) for row in lesion_rows(0.0))]
    silent = [row.model_copy(update={"plain": -2.5 if row.positive else -7.5}) for row in moved]
    own = findings_of(rows=silent)
    assert (own.labels[0].finding.gap, own.labels[0].finding.lesion.effect) == (5, 0.15)
    assert own.checks[0].answer == "MET"


def test_a_large_effect_that_few_patients_cannot_show_leaves_it_open():
    """Six patients: 1/64 times seven tests is above 5 %, though nobody differs from anybody."""
    rows = tuple(rows_of({**NOTHING, "border": 0.2}, n=6))
    labels = (LabelRows(label="lesion", studies=STUDIES[:6], rows=rows),)
    (check,) = shortcut_findings(ShortcutRows(seed=0, labels=labels), CONFIG, STUDIES[:6]).checks
    assert check.answer == "INCONCLUSIVE"
    assert "could have been found" in check.reason
