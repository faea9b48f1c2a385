"""Cells of the confusion matrix: whom each counts, what is missing from it, and what stays out of the strata."""

import pytest

from pipeline.evidence.cohort.classifier import classification
from pipeline.evidence.cohort.confusion import cells_of, confusion_matrix
from pipeline.evidence.cohort.summary import estimates, mean_estimate
from pipeline.evidence.cohort.units import units_of
from pipeline.findings.scores import MapPlacement
from pipeline.vocabulary import NOTHING, ConfusionCell
from tests.pipeline.evidence.records import BOOTSTRAP, SCALES, entry, not_analysed, study

LABELS = ("clear", "benign", "malignant")
IOU = SCALES["iou"]


def pairs(*cells):
    return [(cell.reference, cell.answered) for cell in cells]


EXCLUSIVE = [
    (("benign",), ("benign",), [("benign", "benign")]),
    (("benign",), ("malignant",), [("benign", "malignant")]),
    (("benign",), (), [("benign", "clear")]),
    ((), ("benign",), [("clear", "benign")]),
    ((), (), [("clear", "clear")]),
    (("benign", "malignant"), ("malignant",), [("benign", "malignant"), ("malignant", "malignant")]),
]


@pytest.mark.parametrize(("reference", "called", "expected"), EXCLUSIVE)
def test_a_study_is_in_a_cell_for_each_finding(reference, called, expected):
    assert pairs(*cells_of(reference, called, LABELS, "clear")) == expected


def test_of_independent_labels_each_has_its_cell():
    cells = cells_of(("clear", "benign"), ("benign", "malignant"), LABELS, None)
    assert pairs(*cells) == [("clear", NOTHING), ("benign", "benign"), (NOTHING, "malignant")]
    assert [cell.words for cell in cells] == [
        "clear not called",
        "benign called benign",
        "malignant called where it is not",
    ]


def answered(*given, place=None, **more):
    return entry(*given, **more).model_copy(update={"target_role": "answered", "placement": place})


def called(number, reference, answer, own=0.2, other=0.9, patient=None):
    """A finding with its own map's score, and that of the label which was called instead."""
    place = MapPlacement(peak=(0.5, 0.5), energy_in_body=0.5, peak_in_body=1.0, body_share=0.25)
    rows = [entry("gradcam", "a", own, target=reference)] if reference else []
    if reference != answer:
        score = other if reference else "no_finding"
        rows.append(answered("gradcam", "a" if reference else None, score, target=answer or "clear", place=place))
    probabilities = dict.fromkeys(LABELS, 0.3)
    base = study(number, *rows, reference=(reference,) if reference else (), predicted=(answer,) if answer else (),
                 patient=patient, masks=1)  # fmt: skip
    return base.model_copy(update={"probabilities": probabilities})


ROWS = [
    *(called(n, "benign", "benign", own=0.6) for n in range(4)),
    *(called(10 + n, "benign", "malignant") for n in range(3)),
    called(20, "malignant", ""),
    *(called(30 + n, "", "malignant") for n in range(2)),
    called(40, "", ""),
]


def matrix(rows=ROWS, labels=LABELS, negative="clear"):
    findings = [label for label in labels if label != negative]
    return confusion_matrix(rows, units_of(rows, ("iou",), findings), [IOU], labels, negative, BOOTSTRAP)


def part(confusion, reference, answer):
    return next(cell for cell in confusion.cells if cell.cell == ConfusionCell(reference, answer))


def test_cells_count_every_study_with_a_reference():
    confusion = matrix()
    assert [(*pairs(cell.cell)[0], cell.studies) for cell in confusion.cells] == [
        ("clear", "clear", 1), ("clear", "malignant", 2), ("benign", "benign", 4), ("benign", "malignant", 3),
        ("malignant", "clear", 1),
    ]  # fmt: skip
    assert (confusion.studies, confusion.unanswered) == (len(ROWS), 0)


def test_each_role_has_its_own_estimate_with_its_bound():
    wrong = part(matrix(), "benign", "malignant")
    (own,), (other,) = wrong.reference_map, wrong.answered_map
    assert (own.value, other.value) == (pytest.approx(0.2), pytest.approx(0.9))
    assert (own.target_role, other.target_role) == ("reference", "answered")
    assert own.among == other.among == ConfusionCell("benign", "malignant")
    assert other.low < 0.9 < other.high
    assert [(part.metric, part.value, part.chance) for part in wrong.placement] == [
        ("energy_in_body", 0.5, 0.25),
        ("peak_in_body", 1.0, 0.25),
    ]


def test_a_false_alarm_has_a_place_and_no_overlap():
    alarm = part(matrix(), "clear", "malignant")
    (overlap,) = alarm.answered_map
    assert (overlap.value, overlap.undefined, overlap.studies) == (None, {"no_finding": 2}, 0)
    assert alarm.reference_map == ()
    assert alarm.placement[0].studies == 2


def test_nobody_is_missing_from_the_overlap_of_false_alarms():
    """There is no finding that their maps could be held against: the claim is not about them."""
    (overlap,) = part(matrix(), "clear", "malignant").answered_map
    assert (overlap.reason, overlap.missing_studies, overlap.missing_patients) == ("undefined for every study", 0, 0)


def test_what_was_called_wrongly_is_in_no_stratum():
    """Maps of wrong answers that hit everything must not lift a number of the reference's labels."""
    units = units_of(ROWS, ("iou",), LABELS[1:])
    bare = [
        row.model_copy(update={"map_scores": tuple(e for e in row.map_scores if e.target_role == "reference")})
        for row in ROWS
    ]
    without = units_of(bare, ("iou",), LABELS[1:])
    assert estimates(units, [IOU], BOOTSTRAP) == estimates(without, [IOU], BOOTSTRAP)
    for among in ("all", "reference_positive", "true_positive", "false_negative"):
        assert mean_estimate(units, IOU, "gradcam", among, BOOTSTRAP) == mean_estimate(
            without, IOU, "gradcam", among, BOOTSTRAP
        )


def test_a_study_that_nobody_answered_may_be_in_any_cell_of_its_label():
    rows = [*ROWS, not_analysed(0, reference=("benign",)), not_analysed(1, reference=("malignant",))]
    confusion = matrix(rows)
    assert confusion.unanswered == 2
    wrong = part(confusion, "benign", "malignant")
    assert wrong.studies == 3
    for estimate in (*wrong.reference_map, *wrong.answered_map):
        assert (estimate.missing_studies, estimate.undefined) == (1, {"not_analysed": 1})
        assert estimate.low < part(matrix(), "benign", "malignant").reference_map[0].high


def test_an_answered_map_that_was_not_made_is_missing_from_its_cell():
    bare = called(50, "benign", "malignant")
    bare = bare.model_copy(update={"map_scores": bare.map_scores[:1]})
    units = units_of([*ROWS, bare], ("iou",), LABELS[1:], lambda row: ("malignant",) if row is bare else ())
    confusion = confusion_matrix([*ROWS, bare], units, [IOU], LABELS, "clear", BOOTSTRAP)
    wrong = part(confusion, "benign", "malignant")
    assert wrong.answered_map[0].undefined == {"no_map": 1}
    assert wrong.answered_map[0].missing_studies == 1
    assert wrong.placement[0].undefined == {"no_map": 1}


def test_a_map_that_was_not_made_lies_nowhere():
    """The first study of a cell and its last one are without a map: where the other three lie is all that is known."""
    first, last = (
        row.model_copy(update={"map_scores": row.map_scores[:1]})
        for row in (called(50, "benign", "malignant"), called(51, "benign", "malignant"))
    )
    energy, peak = part(matrix([first, *ROWS, last]), "benign", "malignant").placement
    assert (energy.value, peak.value) == (0.5, 1.0)
    for known in (energy, peak):
        assert (known.studies, known.missing_studies, known.missing_patients) == (3, 2, 2)
        assert (known.chance, known.undefined) == (0.25, {"no_map": 2})


def test_two_findings_of_which_one_is_called_are_a_miss_of_the_other():
    both = study(
        60, entry("gradcam", "a", 0.3, target="benign"), entry("gradcam", "a", 0.7, target="malignant"),
        reference=("benign", "malignant"), predicted=("malignant",), masks=2,
    )  # fmt: skip
    confusion = matrix([both])
    assert pairs(*(cell.cell for cell in confusion.cells)) == [("benign", "malignant"), ("malignant", "malignant")]
    missed = part(confusion, "benign", "malignant")
    assert missed.reference_map[0].value == pytest.approx(0.3)
    assert missed.answered_map == ()  # the label that was called is there: no answer is wrong


def test_independent_labels_that_are_all_wrong():
    row = study(
        70, entry("gradcam", "a", 0.1, target="clear"), entry("gradcam", "a", 0.2, target="benign"),
        answered("gradcam", "a", 0.8, target="malignant"),
        reference=("clear", "benign"), predicted=("malignant",), masks=2,
    )  # fmt: skip
    confusion = matrix([row], negative=None)
    assert pairs(*(cell.cell for cell in confusion.cells)) == [
        ("clear", NOTHING), ("benign", NOTHING), (NOTHING, "malignant"),
    ]  # fmt: skip
    clear, benign, alarm = confusion.cells
    assert [part.value for part in clear.reference_map] == [pytest.approx(0.1)]
    assert [part.value for part in benign.reference_map] == [pytest.approx(0.2)]
    assert (clear.answered_map, alarm.reference_map) == ((), ())
    assert [part.value for part in alarm.answered_map] == [pytest.approx(0.8)]


@pytest.mark.parametrize("masks", ["none", "refused", "empty"])
def test_the_classifier_and_the_cells_count_studies_whatever_their_masks(masks):
    fault = {"mask_faults": ({"reader": "a", "label": "benign", "reason": "mask_empty_for_positive", "message": "m"},)}
    more = {"none": {"masks": 0}, "refused": {"masks": 0, **fault}, "empty": {"masks": 0, **fault}}[masks]
    plain = [row.model_copy(update={"map_scores": ()}) for row in ROWS]
    bare = [type(row).model_validate({**row.model_dump(), **more}) for row in plain]
    assert classification(bare, LABELS[1:], BOOTSTRAP) == classification(ROWS, LABELS[1:], BOOTSTRAP)
    counted = [(cell.cell, cell.studies) for cell in matrix(bare).cells]
    assert counted == [(cell.cell, cell.studies) for cell in matrix().cells]


def test_a_label_with_maps_of_both_roles_has_a_unit_for_each():
    both = study(0, entry("gradcam", "a", 0.2), answered("gradcam", "a", 0.9), reference=("nodule",))
    own, other = units_of([both])
    assert (own.role, own.scores["gradcam", "iou"]) == ("reference", 0.2)
    assert (other.role, other.scores["gradcam", "iou"]) == ("answered", 0.9)


def test_maps_of_wrong_answers_alone_are_no_rows_of_the_estimates():
    """Every study is normal and called: there is no finding whose map could be estimated."""
    units = units_of([called(number, None, "malignant") for number in range(3)])
    assert len(units) == 3
    assert estimates(units, [IOU], BOOTSTRAP) == ()
