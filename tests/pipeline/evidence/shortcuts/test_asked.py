"""What a battery asks of a model: who gives, what is painted over and where, which answer goes into which column."""

import numpy as np
import pytest

from pipeline.evidence.shortcuts import battery, change, lesion
from pipeline.evidence.shortcuts.change import NOTHING_THERE, ChangedStudy, generator_of, painted_over
from pipeline.evidence.shortcuts.lesion import BACKGROUND, BOTH, LESION, PASTED, lesion_changes
from pipeline.evidence.shortcuts.parts import UNKNOWN_LESION, Levels, StudyParts, grown
from pipeline.evidence.shortcuts.study import BatterySettings, BatteryStudy, Ruler
from pipeline.evidence.shortcuts.transplants import NO_OUTSIDE, DissectedStudy
from pipeline.vocabulary import AVOID

SHAPE = (16, 16)
RULER = Ruler((1.0, 1.0))
NOWHERE = np.zeros(SHAPE, bool)
BODY = NOWHERE.copy()
BODY[4:, 4:12] = True  # it reaches the field's lower end
BAND = np.ones(SHAPE, bool)
BAND[2:-2, 2:-2] = False


def rng_of(seed):
    return np.random.Generator(np.random.PCG64(seed))


def region(rows, columns):
    where = NOWHERE.copy()
    where[rows, columns] = True
    return where


def own(x=0.0, *, positive=True, found=None, patient="p", avoid=None, low=0.0, high=1.0, **parts):
    """Return a study of 16 x 16 with its parts as they are given: a body, a band of two voxels, no marks."""
    levels = Levels("air and body", np.array([low]), np.array([high]))
    known = {
        "body": BODY, "band": BAND, "air_marks": NOWHERE, "body_marks": NOWHERE, "levels": levels,
        "body_levels": levels, "air_noise": np.zeros(1), "centre": None,
    }  # fmt: skip
    image = np.full((1, *SHAPE), x, np.float32) if np.ndim(x) == 0 else np.asarray(x, np.float32)[None]
    study = BatteryStudy(image, found, positive, patient, None, avoid or {})
    return DissectedStudy(study, StudyParts(**{**known, **parts}))


class Painter:
    """Stands for ``fill``: notes what it is asked, and returns a constant picture or what ``gives`` says."""

    def __init__(self, gives=None):
        self.holes, self.tissues, self.drawn, self._gives = [], [], [], gives

    def __call__(self, x, hole, tissue, _, rng):
        self.holes.append(hole)
        self.tissues.append(tissue)
        self.drawn.append(rng.random())
        return np.full_like(x, len(self.holes)) if self._gives is None else self._gives(x, hole)


# A region and its control.


def test_a_region_is_painted_over_and_its_control_elsewhere_with_the_same_numbers(monkeypatch):
    painter = Painter()
    monkeypatch.setattr(change, "fill", painter)
    where = region(slice(6, 8), slice(5, 7))
    changed = painted_over("body_marks", own(), (where, BODY), generator_of(1, 2, "body_marks"))
    assert (changed.changed.max(), changed.control.max()) == (1, 2)
    np.testing.assert_array_equal(painter.holes[0], where)
    assert painter.holes[1].sum() == 4
    assert not (painter.holes[1] & ~BODY).any()
    assert not (painter.holes[1] & where).any()
    for tissue in painter.tissues:
        np.testing.assert_array_equal(tissue, BODY & ~where)
    assert painter.drawn[0] == painter.drawn[1]


def test_nothing_is_not_painted_over_and_a_reason_is_handed_on():
    assert painted_over("air_marks", own(), (NOWHERE, BODY), generator_of(1, 2, "a")).reason == NOTHING_THERE
    assert painted_over("air_marks", own(), ("why", BODY), generator_of(1, 2, "a")).reason == "why"
    everything = painted_over("air_marks", own(), (BODY, BODY), generator_of(1, 2, "a"))
    assert everything.reason == "no place for the same shape elsewhere in the same tissue"


def test_each_experiment_on_each_study_has_numbers_of_its_own():
    drawn = {generator_of(*given).random() for given in ((0, 0, "a"), (1, 0, "a"), (0, 1, "a"), (0, 0, "b"))}
    assert len(drawn) == 4
    assert generator_of(3, 4, "a").random() == generator_of(3, 4, "a").random()


# Who gives what.


def test_the_change_is_of_the_opposite_label_and_the_control_of_the_same(monkeypatch):
    monkeypatch.setattr(battery, "TRANSPLANTS", {"border": lambda _own, donor, rng: donor.study.x + rng.random()})
    drawn = np.float32(generator_of(5, 1, "border").random())
    (result,) = [battery._transplanted("border", own(), (own(10), own(20)), (5, 1))]
    assert (result.changed.max(), result.control.max()) == pytest.approx((10 + drawn, 20 + drawn))
    for donors, missing in (((None, own()), "opposite"), ((own(), None), "same")):
        reason = battery._transplanted("border", own(), donors, (0, 0)).reason
        assert reason == f"no study of another patient with the {missing} label on the same grid"


def test_a_study_is_changed_by_its_own_donors_with_its_own_number(monkeypatch):
    """Four studies, two of each label: of 0 the opposite are 1 and 3, the same is 2."""
    seen = {}

    def transplant(given, donor, rng):
        seen.setdefault(given.study.patient, []).append((donor.study.patient, rng.random()))
        return "no change"

    monkeypatch.setattr(battery, "TRANSPLANTS", {"border": transplant})
    studies = [own(number, positive=number % 2 == 0, found=NOWHERE, patient=f"p{number}").study for number in range(4)]
    rows = battery.battery_rows(lambda x: np.zeros(len(x)), studies, BatterySettings(seed=7))
    for number in range(4):
        (opposite, drawn), (same, again) = seen[f"p{number}"]
        assert int(opposite[1:]) % 2 != number % 2
        assert int(same[1:]) == (number + 2) % 4
        assert drawn == again == generator_of(7, number, "border").random()
    assert {row.study for row in rows} == {0, 1, 2, 3}


def rows_of(answers, changed=True, control=True):
    """Return the row of one change; the model answers the study, the change, the control."""
    x = np.zeros((1, *SHAPE), np.float32)
    given = ChangedStudy("border", x + 1 if changed else None, x + 2 if control else None, None if changed else "why")
    (row,) = battery._scored(
        lambda each: np.array([answers[int(one.max())] for one in each]), (3, own().study), [given], 2
    )
    return row.plain, row.changed, row.control, row.reason


def test_each_answer_goes_into_its_own_column():
    assert rows_of([5.0, 6.0, 7.0]) == (5.0, 6.0, 7.0, None)
    assert rows_of([5.0, 6.0, 7.0], control=False) == (5.0, 6.0, None, None)
    assert rows_of([5.0, 6.0, 7.0], changed=False, control=False) == (5.0, None, None, "why")


@pytest.mark.parametrize("answers", [[5.0, np.nan, 7.0], [5.0, 6.0, np.inf]])
def test_an_answer_that_is_no_number_leaves_the_study_as_it_is_known(answers):
    assert rows_of(answers) == (5.0, None, None, "the model's answer is not a number")


def test_a_study_that_is_no_number_itself_is_not_known_either():
    assert rows_of([np.nan, 6.0, 7.0]) == (None, None, None, "the model's answer is not a number")


# Where marks and regions to avoid may lie.


def asked_of(study, monkeypatch):
    asked = {}

    def note(test, _own, where, _rng):
        asked[test] = where
        return ChangedStudy(test)

    monkeypatch.setattr(battery, "painted_over", note)
    monkeypatch.setattr(battery, "TRANSPLANTS", {})
    list(battery._changes(study, (None, None), (0, 0)))
    return asked


def test_marks_move_within_their_own_tissue(monkeypatch):
    found = region(slice(7, 9), slice(7, 9))
    asked = asked_of(own(found=found, body_marks=region(12, 6), air_marks=region(2, 2)), monkeypatch)
    np.testing.assert_array_equal(asked["body_marks"][0], region(12, 6))
    np.testing.assert_array_equal(asked["body_marks"][1], BODY & ~BAND & ~grown(found, 2, RULER))
    np.testing.assert_array_equal(asked["air_marks"][0], region(2, 2))
    np.testing.assert_array_equal(asked["air_marks"][1], ~BODY)


def test_a_region_to_avoid_moves_where_most_of_it_lies_and_off_the_lesion(monkeypatch):
    found = region(slice(7, 9), slice(7, 9))
    half = region(6, slice(2, 6))  # two voxels in the body, two beside it
    outer = region(6, slice(1, 6))  # three beside it
    kept = ~grown(found, 1, RULER)
    over = region(slice(7, 10), 7)
    given = own(found=found, avoid={"half": half, "outer": outer, "over": over, "none": NOWHERE})
    asked = asked_of(given, monkeypatch)
    for name, where, tissue in (
        ("half", half, BODY),
        ("outer", outer, ~BODY),
        ("over", over, BODY),
        ("none", NOWHERE, BODY),
    ):
        np.testing.assert_array_equal(asked[f"{AVOID}{name}"][0], where & kept)
        np.testing.assert_array_equal(asked[f"{AVOID}{name}"][1], tissue & kept)
    assert (over & ~kept).any()


@pytest.mark.parametrize(("positive", "inner", "outer"), [(True, True, False), (False, False, False)])
def test_only_in_the_body_of_a_positive_an_unknown_lesion_bars_a_region(monkeypatch, positive, inner, outer):
    asked = asked_of(own(positive=positive, avoid={"in": region(8, 8), "out": region(2, 2)}), monkeypatch)
    assert [isinstance(asked[f"{AVOID}{name}"][0], str) for name in ("in", "out")] == [inner, outer]
    if inner:
        assert asked[f"{AVOID}in"][0] == UNKNOWN_LESION


# The lesion's own experiments.

FOUND = region(slice(7, 9), slice(7, 9))
MARK = region(slice(7, 13), 11)


def lesion_of(study, monkeypatch, donor=None, painter=None):
    asked = {}

    def note(test, _own, where, _rng):
        asked[test] = where
        return ChangedStudy(test)

    monkeypatch.setattr(lesion, "painted_over", note)
    monkeypatch.setattr(lesion, "fill", painter or Painter())
    changes = {each.test: each for each in lesion_changes(study, donor, (0, 0))}
    return asked, changes


def test_the_lesion_is_painted_over_with_its_edge_from_the_body_beside_marks(monkeypatch):
    painter = Painter()
    asked, changes = lesion_of(own(found=FOUND, body_marks=MARK), monkeypatch, painter=painter)
    hole = grown(FOUND, 1, RULER)
    np.testing.assert_array_equal(asked[LESION][0], hole)
    np.testing.assert_array_equal(asked[LESION][1], BODY & ~MARK)
    both = hole | MARK | (grown(FOUND, 3, RULER) & grown(MARK, 3, RULER))
    assert both[7, 10]
    assert not both[7, 9] or grown(FOUND, 1, RULER)[7, 9]
    np.testing.assert_array_equal(painter.holes[0], both)
    np.testing.assert_array_equal(painter.tissues[0], BODY & ~both)
    assert changes[BOTH].changed.max() == 1
    assert PASTED not in changes


def test_without_marks_or_without_a_lesion_there_is_nothing_to_paint_over_together(monkeypatch):
    assert lesion_of(own(found=FOUND), monkeypatch)[1][BOTH].reason == NOTHING_THERE
    assert lesion_of(own(found=FOUND, body_marks="why"), monkeypatch)[1][BOTH].reason == "why"
    np.testing.assert_array_equal(lesion_of(own(found=FOUND, body_marks="why"), monkeypatch)[0][LESION][1], BODY)
    for found in (None, NOWHERE):
        changes = lesion_of(own(found=found), monkeypatch)[1]
        assert [changes[test].reason for test in (LESION, BOTH)] == ["nobody outlined a lesion"] * 2


def test_the_body_is_painted_over_with_its_silhouette_and_the_airs_noise(monkeypatch):
    """Air is 1; the band is 9 and a mark 5, and neither is air."""
    body = region(slice(7, 16), slice(6, 10))
    image = np.where(body, 3.0, 1.0)
    image[BAND] = 9
    image[2:4, 2:14] = 5
    study = own(image, body=body, air_marks=region(slice(2, 4), slice(2, 14)), air_noise=np.array([0.5]))
    changed = lesion_of(study, monkeypatch)[1][BACKGROUND].changed[0]
    covered = grown(body, 2, RULER)
    np.testing.assert_array_equal(changed[~covered], image.astype(np.float32)[~covered])
    assert changed[covered].mean() == pytest.approx(1, abs=0.15)
    assert changed[covered].std() == pytest.approx(0.5, rel=0.2)
    assert lesion_of(own(body=~NOWHERE), monkeypatch)[1][BACKGROUND].reason == NO_OUTSIDE


def pasted(recipient, donor, monkeypatch):
    """Paste; painting the donor's lesion over leaves 1 everywhere."""
    painter = Painter(lambda x, _: np.ones_like(x))
    change = lesion_of(recipient, monkeypatch, donor, painter)[1][PASTED]
    return change, painter


def test_a_lesion_is_given_as_it_would_look_at_the_own_contrast(monkeypatch):
    """The donor is twice as contrasted; its lesion adds 4 to what surrounds it: 2 are added where it lies."""
    donor = own(np.where(FOUND, 5.0, 1.0), found=FOUND, high=2.0)
    change, painter = pasted(own(7.0, positive=False), donor, monkeypatch)
    hole = grown(FOUND, 1, RULER)
    np.testing.assert_array_equal(painter.holes[0], hole)
    np.testing.assert_array_equal(painter.tissues[0], BODY & ~hole)
    np.testing.assert_array_equal(change.changed[0], np.where(FOUND, 9.0, 7.0))


def test_a_lesion_that_lies_beside_the_body_is_given_at_the_nearest_place_within(monkeypatch):
    """With its edge it is 4 x 4 without corners, at columns 1 to 4: the body begins at column 4, so 3 to the right."""
    found = region(slice(7, 9), slice(2, 4))
    donor = own(np.where(found, 5.0, 1.0), found=found)
    change, _ = pasted(own(7.0, positive=False), donor, monkeypatch)
    np.testing.assert_array_equal(change.changed[0], np.where(region(slice(7, 9), slice(5, 7)), 11.0, 7.0))
    small = own(7.0, positive=False, body=region(slice(5, 8), slice(5, 8)))
    assert pasted(small, donor, monkeypatch)[0].reason == "the lesion does not fit into the body"
    for nobody in (None, own(positive=True), own(found=NOWHERE)):
        reason = pasted(own(positive=False), nobody, monkeypatch)[0].reason
        assert reason == "no lesion of another patient that somebody outlined"


def test_a_lesion_at_the_edge_does_not_come_back_on_the_other_side(monkeypatch):
    """The body is in the first and in the last two columns: round the edge a lesion of three columns would fit."""
    body = NOWHERE.copy()
    body[:, :2] = body[:, -2:] = True
    found = region(8, slice(7, 8))
    donor = own(np.where(found, 5.0, 1.0), found=found)
    assert (
        pasted(own(7.0, positive=False, body=body), donor, monkeypatch)[0].reason
        == "the lesion does not fit into the body"
    )


def test_levels_that_do_not_differ_give_no_lesion(monkeypatch):
    donor = own(np.where(FOUND, 5.0, 1.0), found=FOUND)
    flat = own(positive=False, high=0.0)
    assert pasted(flat, donor, monkeypatch)[0].reason == "air and body are equally bright"
