"""Units in columns: what was written comes back, and a selection is that of its units one by one."""

import numpy as np
import pytest

from pipeline.evidence.cohort.units import units_of
from pipeline.evidence.columns.unit import in_stratum
from tests.pipeline.evidence.records import entry, not_analysed, studies, study

ROWS = [
    *studies(5),
    study(20, entry("gradcam", "a", "constant_map"), entry("hirescam", "consensus:staple", 0.7)),
    study(21, entry("gradcam", "a", 0.2), reference=(), predicted=("nodule",), patient="P-1"),
    study(22, reference=("nodule",), masks=1),
    not_analysed(30),
]


def table(**changes):
    return units_of(ROWS, ("iou",), ["nodule"], **changes)


def test_a_unit_comes_back_as_it_was_written():
    unit = table()[0]
    assert (unit.study, unit.patient, unit.target, unit.positive, unit.predicted) == (
        "S-0",
        "P-0",
        "nodule",
        True,
        False,
    )
    assert unit.scores == {("gradcam", "iou"): 0.5, ("centre_prior", "iou"): 0.1}
    assert unit.by_reader["gradcam", "iou"] == {"a": 0.4, "b": 0.6}
    assert unit.strata == {"site": "B"}
    of_study = {unit.study: unit for unit in table()}
    assert of_study["S-20"].scores == {("gradcam", "iou"): "constant_map", ("hirescam", "iou"): 0.7}
    assert (of_study["S-22"].absent, of_study["S-22"].called) == ("no_map", ("nodule",))
    assert (of_study["F-30"].absent, of_study["F-30"].predicted, of_study["F-30"].called) == (
        "not_analysed",
        None,
        None,
    )


@pytest.mark.parametrize("among", ["all", "reference_positive", "true_positive", "false_negative"])
def test_a_stratum_is_that_of_the_units_one_by_one(among):
    every = table()
    assert [unit.study for unit in every.among(among)] == [unit.study for unit in every if in_stratum(unit, among)]


def test_scores_in_columns_are_those_of_the_units():
    for units in (table(), table(tuning=(["P-1"], ["iou"]))):
        for name in ("gradcam", "hirescam", "layercam"):
            scored = units.score(name, "iou")
            said = [
                units.reasons[code] if code else value
                for code, value in zip(scored.codes.tolist(), scored.values.tolist(), strict=True)
            ]
            assert said == [unit.score(name, "iou") for unit in units]


def test_a_kind_is_asked_once_of_all_that_are_alike():
    asked = []

    def is_missed(unit):
        asked.append(unit.study)
        return unit.positive and unit.predicted is False

    every = table()
    chosen = [unit.study for unit in every.of_kind(is_missed)]
    assert chosen == [unit.study for unit in every if unit.positive and unit.predicted is False] == ["S-0", "S-4"]
    assert len(asked) < len(every)


def test_targets_of_one_study_are_of_different_kinds():
    given = [entry("gradcam", "a", 0.5, target=target) for target in ("nodule", "mass", "cyst")]
    rows = [study(0, *given, reference=("nodule", "mass"), predicted=("nodule", "cyst"))]
    every = units_of(rows, ("iou",))
    assert [unit.target for unit in every.of_kind(lambda unit: unit.target == "mass")] == ["mass"]
    assert [unit.target for unit in every.of_kind(lambda unit: unit.positive)] == ["nodule", "mass"]
    assert [unit.target for unit in every.of_kind(lambda unit: unit.predicted)] == ["nodule", "cyst"]


def test_a_level_of_chance_is_only_where_there_is_one():
    rows = [study(0, entry("gradcam", "a", 0.5, chance=0.2)), study(1, entry("gradcam", "a", 0.5))]
    assert [unit.chances for unit in units_of(rows, ("iou",))] == [{("gradcam", "iou"): 0.2}, {}]


def test_maps_and_groups_come_in_the_order_of_the_units():
    every = table()
    assert every.map_names == ("gradcam", "centre_prior", "hirescam")
    assert every.of_studies({"S-20"}).map_names == ("gradcam", "hirescam")
    assert {name: [unit.study for unit in part] for name, part in every.groups()["site"].items()} == {
        "site=B": ["S-0", "S-2", "S-4"],
        "site=A": ["S-1", "S-3"],
    }


def test_maps_of_selections_that_are_joined_come_in_their_new_order():
    every = table()
    turned = every.joined([every.of_studies({"S-20"}), every.of_studies({"S-0"})])
    assert [unit.study for unit in turned] == ["S-20", "S-0"]
    assert turned.map_names == ("gradcam", "hirescam", "centre_prior")


def test_what_a_reader_did_not_read_has_no_score():
    read = table().as_read_by("b")
    assert [unit.scores.get(("gradcam", "iou")) for unit in read][:2] == [0.6, pytest.approx(0.61)]
    of_study = {unit.study: unit for unit in read}
    assert of_study["S-21"].scores["gradcam", "iou"] == "not_read"
    assert of_study["S-20"].scores["hirescam", "iou"] == 0.7  # held against a consensus alone
    assert table().readers_named == ("a", "b")


def test_a_map_that_no_reader_was_held_against_stays_as_it_is():
    """Of one map there is a study with two readers, one with their consensus alone, and one without the map."""
    rows = [
        study(0, entry("gradcam", "a", 0.4), entry("gradcam", "b", 0.6)),
        study(1, entry("gradcam", "consensus:staple", 0.7)),
        study(2, entry("hirescam", "b", 0.3)),
    ]
    for reader, score in (("a", 0.4), ("b", 0.6), ("c", "not_read")):
        read = units_of(rows, ("iou",)).as_read_by(reader)
        assert [unit.score("gradcam", "iou") for unit in read] == [score, 0.7, "no_map"]
        assert read.reasons[read.score("gradcam", "iou").codes[2]] == "no_map"


def test_more_reasons_than_a_code_can_hold_are_refused():
    rows = [study(number, entry("gradcam", "a", f"reason {number}")) for number in range(70_000)]
    with pytest.raises(ValueError, match="different reasons"):
        units_of(rows, ("iou",))


def test_a_cohort_without_a_unit_has_no_score():
    units = units_of([], ("iou",))
    assert (len(units), units.map_names, units.score("gradcam", "iou").values.tolist()) == (0, (), [])
    assert np.array_equal(units.positive, np.empty(0, dtype=bool))
