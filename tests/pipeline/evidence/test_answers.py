"""Which labels are called wrongly, and whose maps a study needs: decided in one place."""

import pytest

from pipeline.config import AuditConfig, ModelConfig
from pipeline.evidence.answers import answered_wrongly, missed, roles_of, why_answers_are_not_judged

LABELS = ("clear", "benign", "malignant")
REFERENCE, ANSWERED, BOTH = ("reference",), ("answered",), ("reference", "answered")


def config(targets=("reference",), **model):
    given = {"name": "m", "factory": "a:b", "labels": LABELS, **model}
    return AuditConfig.model_validate(
        {"name": "a", "archive": {"path": "."}, "model": given, "prepare": [{"_target_": "Identity"}],
         "explain": {"targets": targets}}
    )  # fmt: skip


CASES = [
    # reference, called, roles
    (("benign",), ("benign",), {"benign": REFERENCE}),
    (("benign",), ("malignant",), {"benign": REFERENCE, "malignant": ANSWERED}),
    (("benign",), (), {"benign": REFERENCE, "clear": ANSWERED}),
    ((), ("benign",), {"benign": ANSWERED}),
    (("clear",), ("benign",), {"benign": ANSWERED}),  # the negative label by name
    ((), (), {}),
    (("clear",), (), {}),
    (None, ("benign",), {}),  # nobody knows whether it is wrong
    (None, (), {}),
    (("benign", "malignant"), ("malignant",), {"benign": REFERENCE, "malignant": REFERENCE}),
    (("benign", "malignant"), (), {"benign": REFERENCE, "malignant": REFERENCE, "clear": ANSWERED}),
]


@pytest.mark.parametrize(("reference", "called", "expected"), CASES)
def test_of_labels_that_exclude_each_other_the_answer_is_one(reference, called, expected):
    assert roles_of(config(), reference, called) == expected


INDEPENDENT = [
    (("benign",), ("benign",), {"benign": REFERENCE}),
    (("benign",), ("malignant",), {"benign": REFERENCE, "malignant": ANSWERED}),
    (("benign",), (), {"benign": REFERENCE}),  # a miss is its own map
    ((), ("benign", "clear"), {"benign": ANSWERED, "clear": ANSWERED}),
    (("clear", "benign"), ("malignant",), {"clear": REFERENCE, "benign": REFERENCE, "malignant": ANSWERED}),
    ((), (), {}),
    (None, ("benign",), {}),
]


@pytest.mark.parametrize(("reference", "called", "expected"), INDEPENDENT)
def test_of_independent_labels_each_is_an_answer(reference, called, expected):
    assert roles_of(config(output="sigmoid"), reference, called) == expected


BY_PREDICTION = [
    (("benign",), ("benign",), {"benign": REFERENCE}),
    (("benign",), ("malignant",), {"malignant": BOTH, "benign": REFERENCE}),
    (("benign",), (), {"benign": REFERENCE, "clear": ANSWERED}),
    ((), ("benign",), {"benign": BOTH}),
    (None, ("benign",), {"benign": REFERENCE}),
]


@pytest.mark.parametrize(("reference", "called", "expected"), BY_PREDICTION)
def test_what_is_asked_for_stays_asked_for(reference, called, expected):
    """A map that the configuration asks for anyway keeps its rows: one map, scored in both roles."""
    assert roles_of(config(("predicted",)), reference, called) == expected


BY_NAME = [
    (("benign",), ("malignant",), {"benign": REFERENCE, "malignant": ANSWERED}),
    (("malignant",), (), {"benign": REFERENCE}),  # not the matter of who asks for benign
    (("malignant",), ("benign",), {"benign": BOTH}),
    ((), ("malignant",), {"benign": REFERENCE}),
]


@pytest.mark.parametrize(("reference", "called", "expected"), BY_NAME)
def test_labels_by_name_ask_for_no_others(reference, called, expected):
    assert roles_of(config(("benign",)), reference, called) == expected


def test_the_negative_label_by_name_is_explained_always_and_answered_where_it_is_called():
    named = config(("clear",))
    assert roles_of(named, (), ()) == {"clear": REFERENCE}
    assert roles_of(named, ("benign",), ()) == {"clear": BOTH}
    assert roles_of(config(("reference", "clear")), ("benign",), ()) == {"benign": REFERENCE, "clear": BOTH}


@pytest.mark.parametrize(
    ("model", "word"), [({"output": "regression"}, "regression"), ({"segmentation": True}, "every voxel")]
)
def test_a_model_without_an_answer_about_a_study_has_none_that_is_wrong(model, word):
    given = ModelConfig.model_validate({"name": "m", "factory": "a:b", "labels": LABELS, **model})
    assert word in why_answers_are_not_judged(given)
    assert answered_wrongly(given, ("benign",), ("malignant",)) == missed(given, ("benign",), ()) == ()
    assert roles_of(config(**model), ("benign",), ("malignant",)) == {"benign": REFERENCE}


def test_of_independent_labels_by_name_no_other_is_explained():
    """A label that is called beside a missed one is an answer of its own, and nobody asked for it."""
    assert roles_of(config(("benign",), output="sigmoid"), ("benign",), ("malignant",)) == {"benign": REFERENCE}
