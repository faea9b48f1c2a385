"""Maps of wrong answers through a whole run: results, verdicts, reuse, scoring again, verification."""

import json

import pytest

from pipeline.findings.pictures.panels import load_panels
from pipeline.runs.verify_archive import check_archive
from pipeline.verify.failure import FailureKind
from pipeline.verify.rows import check_roles
from pipeline.verify.run_folder import RunFolder, open_run_folder
from pipeline.verify.verify import verify_run
from pipeline.vocabulary import ConfusionCell
from tests.pipeline.conclusions.planted_answers import CASES, plant_answers
from tests.pipeline.runs.test_measure import measured
from tests.pipeline.runs.test_run import complete

CRITERIA = [
    {"metric": "hit_rate", "method": "gradcam", "at_least": 0.5},
    {"metric": "hit_rate", "method": "gradcam", "among": "all", "label": "pooled", "at_least": 0.5},
    {"metric": "hit_rate", "method": "gradcam", "at_least": 0.5,
     "among": {"reference": "malignant", "answered": "benign"}},
    {"metric": "hit_rate", "method": "gradcam", "at_least": 0.5, "target_role": "answered",
     "among": {"reference": "malignant", "answered": "benign"}},
    {"metric": "energy_in_mask", "method": "gradcam", "better_than": "centre_prior", "target_role": "answered",
     "among": {"reference": "malignant", "answered": "benign"}},
    {"metric": "accuracy", "at_least": 0.5},
]  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("answers")
    config = plant_answers(folder, (*CASES, "malignant_called_benign"), criteria=CRITERIA)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAMAUDIT_REGISTER", str(config.parent / "register"))
        return config, *complete(config)


@pytest.fixture(autouse=True)
def _the_same_register(finished, _own_register, monkeypatch):
    monkeypatch.setenv("CAMAUDIT_REGISTER", str(finished[0].parent / "register"))


def cell_of(results, reference, answered):
    return next(part for part in results.confusion.cells if part.cell == ConfusionCell(reference, answered))


def value(estimates, metric="hit_rate", method="gradcam"):
    (estimate,) = [part for part in estimates if (part.metric, part.method) == (metric, method)]
    return estimate


def test_every_answer_is_in_its_cell(finished):
    confusion = finished[2].confusion
    counted = {(part.cell.reference, part.cell.answered): part.studies for part in confusion.cells}
    assert counted == {
        ("clear", "clear"): 1,
        ("clear", "malignant"): 1,
        ("benign", "benign"): 1,
        ("benign", "malignant"): 1,
        ("malignant", "clear"): 1,
        ("malignant", "benign"): 2,
        ("malignant", "malignant"): 1,
    }
    assert confusion.studies == sum(counted.values()) == len(CASES) + 1
    assert (confusion.unanswered, confusion.reason) == (0, None)


def test_a_cell_tells_of_both_maps(finished):
    results = finished[2]
    swapped = cell_of(results, "malignant", "benign")
    assert value(swapped.reference_map).value == 0.0  # the dark artefact is not there: its map shows nothing
    assert value(swapped.answered_map).value == 1.0
    assert value(swapped.answered_map).patients == 2
    assert 0 < value(swapped.answered_map).low < value(swapped.answered_map).high == 1.0
    assert {part.target_role for part in swapped.answered_map} == {"answered"}
    confused = cell_of(results, "benign", "malignant")
    assert (value(confused.reference_map).value, value(confused.answered_map).value) == (1.0, 0.0)
    right = cell_of(results, "benign", "benign")
    assert (value(right.reference_map).value, right.answered_map, right.placement) == (1.0, (), ())


def test_a_false_alarm_is_placed_and_never_overlaps(finished):
    alarm = cell_of(finished[2], "clear", "malignant")
    assert alarm.reference_map == ()
    assert {part.value for part in alarm.answered_map} == {None}
    assert all(part.undefined == {"no_finding": 1} for part in alarm.answered_map)
    placed = value(alarm.placement, "energy_in_body")
    assert 0 <= placed.value <= 1
    assert 0 < placed.chance <= 1


def test_verdicts_are_those_of_a_record_without_answered_maps(finished):
    """Whoever adds maps of wrong answers, which hit here, changes no number of the reference's labels."""
    from pipeline.conclusions.conclude import conclude, shown_in

    folder, results = finished[1:]
    run = open_run_folder(folder)
    audits = run.records
    without = [
        audit.model_copy(
            update={"map_scores": tuple(entry for entry in audit.map_scores if entry.target_role == "reference")}
        )
        for audit in audits
    ]
    bare = conclude(run.spec, run.members, without, shown_in(results))
    assert bare.estimates == results.estimates
    assert bare.verdicts[:3] == results.verdicts[:3]
    assert bare.verdicts[5:] == results.verdicts[5:]
    assert bare.compared == results.compared
    assert results.verdicts[0].estimate.patients < len(CASES)


def test_a_criterion_names_a_cell_and_which_map(finished):
    reference, answered, better = finished[2].verdicts[2:5]
    assert reference.among == answered.among == ConfusionCell("malignant", "benign")
    assert (reference.estimate.value, answered.estimate.value) == (0.0, 1.0)
    assert (reference.estimate.patients, answered.estimate.patients) == (2, 2)
    assert answered.criterion == (
        "hit_rate of gradcam (the answered label's map) among malignant called benign: at least 0.5"
    )
    assert reference.criterion == "hit_rate of gradcam among malignant called benign: at least 0.5"
    assert better.estimate.value > 0
    assert better.estimate.patients == 2  # the baselines are measured beside the answered map, too
    written = json.loads((finished[1] / "results.json").read_text())["verdicts"][3]
    assert written["among"] == {"reference": "malignant", "answered": "benign"}
    assert written["target_role"] == "answered"


def test_both_maps_are_in_the_cases_pictures(finished):
    folder, results = finished[1:]
    run = open_run_folder(folder)
    confused = [audit for audit in run.records if audit.reference == ("benign",) and audit.predicted == ("malignant",)]
    case = next(case for case in results.cases if case.study == confused[0].study)
    panels = load_panels(folder / case.panels)
    assert panels.target == "benign"
    assert set(panels.views[0].maps) == {"gradcam", "gradcam (malignant, answered)"}
    assert set(panels.views[0].masks) == {"anna", "ben"}
    assert any("(gradcam (malignant, answered)) has its maximum" in view.caption for view in panels.views)


def test_a_run_with_wrong_answers_verifies(finished):
    assert verify_run(finished[1]).failures == ()
    assert list(check_archive(finished[1])) == []


def test_the_next_run_carries_answered_maps_over(finished):
    folder, results = complete(finished[0])
    assert results.flow.computed == 0
    assert results.confusion == finished[2].confusion
    assert verify_run(folder).failures == ()


def test_answered_maps_are_scored_again_without_the_model(finished):
    folder, results = measured(finished[1], "overlap.threshold=0.9", "overlap.metrics=[iou, hit_rate]")
    before, after = (cell_of(these, "malignant", "benign") for these in (finished[2], results))
    assert value(before.answered_map, "iou").value != value(after.answered_map, "iou").value
    assert after.placement == before.placement
    assert verify_run(folder).failures == ()


@pytest.mark.parametrize("change", ["role", "left out"])
def test_rows_in_another_role_than_the_answer_gives_are_noticed(finished, monkeypatch, change):
    run = open_run_folder(finished[1])
    assert list(check_roles(run)) == []

    def altered(audit):
        entries = audit.map_scores
        if change == "role":
            entries = tuple(entry.model_copy(update={"target_role": "reference"}) for entry in entries)
        else:
            entries = tuple(entry for entry in entries if entry.target_role == "reference")
        return audit.model_copy(update={"map_scores": entries})

    rows = [(name, altered(audit)) for name, audit in run.counting()]
    monkeypatch.setattr(RunFolder, "counting", lambda self: rows)
    failures = list(check_roles(run))
    assert {failure.kind for failure in failures} == {FailureKind.TARGET_ROLE}
    assert len(failures) == 5
