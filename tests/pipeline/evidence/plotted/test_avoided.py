"""Evidence in regions that must not be leaned on, over a cohort: means over patients, by hand."""

import pytest

from pipeline.evidence.plotted.avoided_shares import avoided_shares
from pipeline.findings.scores import AvoidedRegion
from tests.pipeline.evidence.records import entry, not_analysed, study


def shown(*regions, method="gradcam", reader="a", target="nodule"):
    """Return a map with what it shows of regions: (name, evidence, area), or (name, reason)."""
    avoided = tuple(
        AvoidedRegion(name=region[0], evidence=region[1], area=region[2])
        if len(region) == 3
        else AvoidedRegion(name=region[0], reason=region[1])
        for region in regions
    )
    return entry(method, reader, 0.5, target=target).model_copy(update={"avoided": avoided})


def only(audits, region="tube", method="gradcam"):
    (shares,) = [part for part in avoided_shares(audits) if (part.region, part.method) == (region, method)]
    return shares


def test_shares_are_means_over_patients_and_each_map_counts_once():
    """P has .2 and .6 of area .1 and .3: .4 of .2; Q has .1 of .1, no more than its area: means .25 and .15."""
    rows = [
        study(0, shown(("tube", 0.2, 0.1)), patient="P"),
        study(1, shown(("tube", 0.6, 0.3)), shown(("tube", 0.6, 0.3), reader="b"), patient="P"),
        study(2, shown(("tube", 0.1, 0.1)), shown(("tube", 0.9, 0.1), method="random_map"), patient="Q"),
    ]
    shares = only(rows)
    assert (shares.evidence, shares.area) == pytest.approx((0.25, 0.15))
    assert (shares.studies, shares.patients, shares.above) == (3, 2, 1)
    assert (shares.without_region, shares.unknown) == (0, 0)
    assert [part.method for part in avoided_shares(rows)] == ["gradcam"], "a baseline says nothing of the model"


def test_readers_of_one_study_do_not_weigh_more_than_those_of_another():
    """P's first study was read by two: its share counts once, or the mean were .4 x 2/3 + .1 / 3 = .3."""
    twice = [shown(("tube", 0.4, 0.1), reader=reader) for reader in "ab"]
    rows = [study(0, *twice, patient="P"), study(1, shown(("tube", 0.1, 0.1)), patient="P")]
    assert only(rows).evidence == pytest.approx(0.25)


def test_maps_of_several_labels_are_maps_of_their_own():
    rows = [study(0, shown(("tube", 0.4, 0.1)), shown(("tube", 0.2, 0.1), target="oedema"))]
    shares = only(rows)
    assert (shares.evidence, shares.studies, shares.patients) == (pytest.approx(0.3), 1, 1)


def test_studies_without_the_region_and_those_of_which_nothing_is_known_are_counted_apart():
    rows = [
        study(0, shown(("tube", 0.4, 0.1), ("marker", 0.2, 0.1))),
        study(1, shown(("tube", "no_region"))),
        study(2, shown(("tube", "region_not_seen"))),
        study(3, shown(("tube", "constant_map"))),
        study(4, shown(("tube", "unreadable"))),
        study(5, shown(("marker", 0.3, 0.2))),
        not_analysed(6),
    ]
    shares = only(rows)
    assert (shares.studies, shares.without_region, shares.unknown) == (1, 3, 2), "one does not speak of a tube at all"
    marker = only(rows, "marker")
    assert (marker.studies, marker.without_region, marker.unknown) == (2, 4, 0)
    assert [part.region for part in avoided_shares(rows)] == ["tube", "marker"]


def test_a_study_without_the_region_in_one_label_is_not_unknown_for_the_other():
    rows = [
        study(0, shown(("tube", "no_region")), shown(("tube", "constant_map"), target="oedema")),
        study(1, shown(("tube", 0.4, 0.1))),
    ]
    shares = only(rows)
    assert (shares.studies, shares.without_region, shares.unknown) == (1, 1, 0)


def test_of_a_region_that_is_named_twice_the_first_counts():
    assert only([study(0, shown(("tube", 0.4, 0.1), ("tube", 0.8, 0.1)))]).evidence == pytest.approx(0.4)


def test_a_region_of_which_nothing_is_known_has_no_share():
    shares = only([study(0, shown(("tube", "constant_map")))])
    assert (shares.evidence, shares.area, shares.studies, shares.unknown) == (None, None, 0, 1)
