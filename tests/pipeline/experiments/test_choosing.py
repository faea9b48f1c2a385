"""On which studies the model is tried: a choice that no score and no other study has a part in."""

from pathlib import Path

import pytest

from pipeline.config import AuditConfig
from pipeline.experiments.choosing import chosen_studies
from pipeline.studies.listing.study_row import MaskSource, StudyRow
from pipeline.walk.sources import StudySource


def config_of(studies, seed=0, labels=("clear", "lesion"), output="softmax"):
    return AuditConfig.model_validate(
        {
            "name": "a",
            "archive": {"path": "."},
            "model": {"name": "m", "factory": "a:b", "labels": list(labels), "output": output},
            "prepare": [{"_target_": "Orientation"}],
            "experiments": {"sanity": {"studies": studies}},
            "run": {"seed": seed},
        }
    )


def source(number, reference, patient=None, masks=()):
    who = f"P-{number if patient is None else patient}"
    listed = tuple(MaskSource("anna", label, Path("mask")) for label in masks)
    row = StudyRow(f"name{number}", who, Path("image"), listed, reference, {})
    return StudySource(row, f"S-{number}", who, "0" * 64)


def chosen(sources, studies=4, **given):
    return chosen_studies(config_of(studies, **given), sources)["sanity"]


def test_nothing_is_chosen_where_nothing_is_asked():
    config = config_of(4).model_copy(update={"experiments": type(config_of(4).experiments)()})
    assert chosen_studies(config, [source(1, ("lesion",))]) == {}


def test_one_a_patient():
    sources = [source(number, ("lesion",), patient=number // 3) for number in range(30)]
    picked = chosen(sources, 8)
    assert len({int(study[2:]) // 3 for study in picked}) == len(picked) == 8


def test_of_a_patient_the_first_study_in_the_drawn_order_is_taken():
    apart, together = ([source(n, ("lesion",), patient=who and n) for n in range(10)] for who in (1, 0))
    assert chosen(together, 4) == chosen(apart, 10)[:1]


def test_labels_have_their_turn():
    rare = [source(number, ("benign",)) for number in range(2)]
    frequent = [source(number, ("malignant",)) for number in range(10, 60)]
    picked = chosen([*frequent, *rare], 8, labels=("clear", "benign", "malignant"))
    assert sum(int(study[2:]) < 10 for study in picked) == 2
    assert len(picked) == 8
    assert [int(study[2:]) < 10 for study in picked[:4]] == [True, False, True, False]


def test_findings_come_first_and_the_rest_fills_up():
    sources = [
        *(source(number, ()) for number in range(20)),
        *(source(number, ("lesion",)) for number in range(20, 23)),
    ]
    picked = chosen(sources, 5)
    assert sorted(int(study[2:]) >= 20 for study in picked) == [False, False, True, True, True]
    assert all(int(study[2:]) >= 20 for study in picked[:3])


def test_the_label_of_nothing_found_is_no_finding():
    sources = [*(source(number, ("clear",)) for number in range(20)), source(20, ("lesion",))]
    assert chosen(sources, 4)[0] == "S-20"


def test_a_listing_that_says_that_nothing_is_there_is_believed_more_than_masks():
    sources = [*(source(number, (), masks=("lesion",)) for number in range(9)), source(9, ("lesion",))]
    assert chosen(sources, 4)[0] == "S-9"


def test_a_study_of_two_findings_counts_for_the_one_that_the_model_has_first():
    labels = ("clear", "benign", "malignant")
    both = [source(number, ("malignant", "benign")) for number in range(9)]
    picked = chosen([*both, *(source(number, ("malignant",)) for number in (9, 10))], 4, labels=labels)
    assert {picked[1], picked[3]} == {"S-9", "S-10"}, "the second label has no other study"


def test_no_label_has_its_turn_beyond_the_number_that_is_asked():
    labels = ("clear", "benign", "malignant", "cyst")
    sources = [source(3 * number + place, (label,)) for number in range(5) for place, label in enumerate(labels[1:])]
    assert len(chosen(sources, 4, labels=labels)) == 4


def test_where_both_classes_are_needed_those_without_a_finding_have_their_turn_too():
    config = config_of(4).model_copy(deep=True)
    experiments = type(config.experiments).model_validate({"shortcuts": {"studies": 10}, "sanity": {"studies": 10}})
    sources = [source(number, ("lesion",) if number < 20 else ()) for number in range(40)]
    picked = chosen_studies(config.model_copy(update={"experiments": experiments}), sources)
    with_finding = {family: sum(int(study[2:]) < 20 for study in studies) for family, studies in picked.items()}
    assert with_finding == {"shortcuts": 5, "sanity": 10}


def test_masks_tell_the_label_where_the_listing_says_nothing():
    sources = [*(source(number, None) for number in range(9)), source(9, None, masks=("lesion",))]
    assert chosen(sources, 4)[0] == "S-9"


def test_too_few_patients_are_all_taken():
    assert len(chosen([source(number, ("lesion",), patient=number % 3) for number in range(9)], 8)) == 3


def test_the_order_of_the_listing_has_no_part_in_it():
    sources = [source(number, ("lesion",) if number % 2 else ()) for number in range(40)]
    assert chosen(sources, 8) == chosen(sources[::-1], 8)
    assert chosen(sources, 8) != tuple(sorted(chosen(sources, 8))), "nor has the alphabet"


def test_the_seed_has():
    sources = [source(number, ("lesion",)) for number in range(40)]
    assert chosen(sources, 8, seed=1) != chosen(sources, 8, seed=2)


@pytest.mark.parametrize("more", [1, 5])
def test_a_cohort_that_grows_keeps_most_of_its_choice(more):
    sources = [source(number, ("lesion",)) for number in range(100)]
    before = chosen(sources[: 100 - more], 8)
    assert len(set(before) & set(chosen(sources, 8))) >= 8 - more
