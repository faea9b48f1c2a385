"""A criterion names a cell of the confusion matrix: held against the model's labels, and locked."""

import pytest

from pipeline.checks.config_checks import check_names
from pipeline.config import AuditConfig
from pipeline.errors import ConfigError
from pipeline.evidence.verdicts.plans import cohort_counts, plan_criteria
from pipeline.vocabulary import ConfusionCell
from tests.pipeline.conclusions.planted_answers import LABELS, plant_answers
from tests.pipeline.evidence.records import SCALES


@pytest.fixture
def checked(tmp_path):
    def check(*settings, **criterion):
        given = {"metric": "iou", "method": "gradcam", "at_least": 0.1} | criterion
        path = plant_answers(tmp_path / "audit", ("clear",), criteria=[given])
        return check_names(path, list(settings))

    return check


SIGMOID = ("model.output=sigmoid",)


def cell(reference, answered):
    return {"reference": reference, "answered": answered}


GOOD = [
    ((), {"among": cell("malignant", "benign")}),
    ((), {"among": cell("malignant", "clear"), "target_role": "answered"}),
    ((), {"among": cell("benign", "benign")}),
    (SIGMOID, {"among": cell("clear", "nothing")}),  # of independent labels none is the negative one
    (SIGMOID, {"among": cell("benign", "benign"), "label": "benign"}),
]


@pytest.mark.parametrize(("settings", "criterion"), GOOD)
def test_a_cell_of_the_models_labels_is_taken(checked, settings, criterion):
    (read,) = checked(*settings, **criterion).criteria
    assert read.among == ConfusionCell(**criterion["among"])


BAD = [
    ((), {"among": cell("malignat", "benign")}, "among: unknown label 'malignat' in reference; did you mean 'malign"),
    ((), {"among": cell("malignant", "bening")}, "unknown label 'bening' in answered; did you mean 'benign'"),
    ((), {"among": cell("malignant", "nothing")}, "unknown label 'nothing' in answered"),
    ((), {"among": {"reference": "benign"}}, "among: must be all, .*, or a cell"),
    ((), {"among": {**cell("benign", "clear"), "label": "x"}}, "among: must be all, .*, or a cell"),
    ((), {"among": cell("clear", "malignant")}, "among: the reference names no finding there, so no map is held"),
    ((), {"among": cell("benign", "clear"), "label": "malignant"}, "label is that of the cell, 'benign': leave it out"),
    ((), {"target_role": "answered"}, "target_role goes with a cell"),
    ((), {"among": cell("benign", "benign"), "target_role": "answered"}, "this cell's is right: leave it out"),
    ((), {"among": cell("benign", "clear"), "method": None, "metric": "accuracy"}, "judged on all studies, not on "
     "'benign called clear'"),
    (SIGMOID, {"among": cell("benign", "malignant")}, "each label is called by itself: answered is benign or nothing"),
    (SIGMOID, {"among": cell("nothing", "malignant")}, "the reference names no finding there"),
    (SIGMOID, {"among": cell("benign", "nothing"), "target_role": "answered"}, "no label is called in 'benign not cal"),
    (("model.segmentation=true",), {"among": cell("benign", "clear")}, "among: the model is a segmentation: it answ"),
    (("model.output=regression",), {"among": cell("benign", "clear")}, "among: the model is a regression: it calls no"),
    ((*SIGMOID, "model.labels=[nothing, mass]"), {}, "model.labels: 'nothing' means that a label is not there"),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "criterion", "words"), BAD)
def test_a_cell_that_nothing_can_be_judged_in_is_refused_in_a_line(checked, settings, criterion, words):
    with pytest.raises(ConfigError, match=words) as caught:
        checked(*settings, **criterion)
    assert len(str(caught.value).splitlines()) == 1


def test_a_cell_and_whose_map_is_judged_are_locked():
    asked = {"metric": "iou", "method": "gradcam", "at_least": 0.1}
    others = [
        {},
        {"among": cell("malignant", "benign")},
        {"among": cell("benign", "malignant")},
        {"among": cell("malignant", "benign"), "target_role": "answered"},
    ]
    base = {"name": "a", "archive": {"path": "."}, "prepare": [{"_target_": "Identity"}],
            "model": {"name": "m", "factory": "a:b", "labels": LABELS}}  # fmt: skip
    configs = [AuditConfig.model_validate({**base, "criteria": [{**asked, **more}]}) for more in others]
    assert len({config.criteria_digest() for config in configs}) == len(others)


def test_a_plan_counts_the_patients_who_may_be_in_a_cell(checked):
    criteria = checked(among=cell("malignant", "benign"), target_role="answered").criteria
    listed = [("a", ("malignant",)), ("b", ("malignant",)), ("c", ("benign",)), ("d", ())]
    (plan,) = plan_criteria(criteria, SCALES, LABELS[1:], cohort_counts(listed, LABELS, "clear"))
    assert plan.group == "patients with malignant, of whom the model calls benign some"
    assert plan.plan.n_patients == 2
    assert plan.criterion.startswith("iou of gradcam (the answered label's map) among malignant called benign")
