import numpy as np
import pytest

from pipeline.conclusions.shown_cases.cases import cut_panels, withheld
from pipeline.conclusions.shown_cases.choose_cases import TYPICAL, choose_cases
from pipeline.config import CasesConfig
from pipeline.evidence.planes import through_plane
from pipeline.findings.scores import MapScores
from pipeline.findings.study_audit import StudyAudit
from pipeline.studies.geometry import Geometry
from pipeline.studies.volume import Heatmap, Mask, Volume

AXIAL = np.diag([1.0, 1.0, 5.0, 1.0])


def marked(geometry, world):
    """Return a volume that is 1 at the voxel nearest to a world position, and that voxel's index."""
    index = np.linalg.inv(geometry.affine) @ [*world, 1]
    voxel = tuple(np.rint(index[: len(geometry.shape)]).astype(int))
    array = np.zeros(geometry.shape, np.float32)
    array[voxel] = 1
    return array, voxel


def panels_of(geometry, array):
    seen = np.ones(geometry.shape, bool)
    heatmap = Heatmap(array, geometry, seen, "gradcam", "l", "nodule")
    mask = Mask(array > 0, geometry, "nodule", "reader")
    return cut_panels(Volume(array, geometry), [mask], {"gradcam": heatmap}, {"gradcam": 0.5}, study="S", window=(0, 1))


def orientations():
    """Yield affines of one 20 x 20 x 4 block of the patient, its array axes permuted and flipped in every way."""
    base = Geometry((20, 20, 4), AXIAL)
    for order in [(0, 1, 2), (1, 0, 2), (2, 0, 1), (0, 2, 1), (1, 2, 0), (2, 1, 0)]:
        for flips in np.ndindex(2, 2, 2):
            turn = np.zeros((4, 4))
            turn[3, 3] = 1
            for axis, world in enumerate(order):
                turn[world, axis] = -1 if flips[axis] else 1
                turn[world, 3] = base.shape[world] - 1 if flips[axis] else 0
            yield Geometry(tuple(base.shape[world] for world in order), base.affine @ turn)


@pytest.mark.parametrize("geometry", list(orientations()), ids=lambda g: str(g.shape))
def test_axial_planes_show_anterior_on_top_and_the_patients_right_on_the_left(geometry):
    # in RAS+ the mark lies 17 mm to the right, 2 mm to the front of the block's posterior left corner
    array, _ = marked(geometry, (17, 2, 10))
    (view,) = panels_of(geometry, array).views
    assert view.letters == ("R", "L", "A", "P")
    assert np.argwhere(view.image).tolist() == [[17, 2]]  # low: posterior; left: right-hand side
    assert np.array_equal(view.masks["reader"], view.image > 0)
    assert np.array_equal(view.maps["gradcam"], view.image)
    assert view.pixel_mm == pytest.approx((1, 1))


@pytest.mark.parametrize(
    ("spacing", "letters", "place"),
    [
        ((1, 5, 1), ("R", "L", "S", "I"), (20 - 1 - 4, 20 - 1 - 15)),
        ((5, 1, 1), ("A", "P", "S", "I"), (20 - 1 - 4, 20 - 1 - 15)),
    ],
    ids=["coronal", "sagittal"],
)
def test_coronal_and_sagittal_planes(spacing, letters, place):
    shape = tuple(4 if step == 5 else 20 for step in spacing)
    geometry = Geometry(shape, np.diag([*spacing, 1.0]))
    world = [10.0 if step == 5 else 15.0 for step in spacing]
    world[2] = 4.0
    array, _ = marked(geometry, world)
    (view,) = panels_of(geometry, array).views
    assert view.letters == letters
    assert np.argwhere(view.image).tolist() == [list(place)]


def test_pixels_keep_their_size():
    geometry = Geometry((8, 10, 30), np.diag([6.5, 0.8, 0.5, 1.0]))
    array, _ = marked(geometry, (13, 4, 5))
    (view,) = panels_of(geometry, array).views
    assert view.image.shape == (30, 10)
    assert view.pixel_mm == pytest.approx((0.5, 0.8))


def test_a_projection_is_shown_as_stored():
    affine = np.array([[0, -0.5, 0, 0], [0, 0, 1, 0], [-0.7, 0, 0, 0], [0, 0, 0, 1.0]])
    geometry = Geometry((6, 9), affine)
    array = np.zeros((6, 9), np.float32)
    array[1, 7] = 1
    (view,) = panels_of(geometry, array).views
    assert np.argwhere(view.image).tolist() == [[1, 7]]
    assert view.letters == ("R", "L", "S", "I")
    assert view.pixel_mm == pytest.approx((0.7, 0.5))


def test_the_map_has_its_own_plane_when_it_looks_elsewhere():
    geometry = Geometry((6, 6, 5), AXIAL)
    mask, heat = np.zeros(geometry.shape, bool), np.zeros(geometry.shape, np.float32)
    mask[2, 2, 1] = True
    heat[3, 3, 4] = 1
    heatmap = Heatmap(heat, geometry, np.ones(geometry.shape, bool), "gradcam", "l", "nodule")
    panels = cut_panels(
        Volume(heat, geometry), [Mask(mask, geometry, "nodule", "r")], {"gradcam": heatmap}, {}, study="S"
    )
    assert [view.caption[:12] for view in panels.views] == ["plane 2 of 5", "plane 5 of 5"]
    assert [bool(view.masks["r"].any()) for view in panels.views] == [True, False]


@pytest.mark.parametrize(("level", "marked_too", "caption"), [
    (0.0, True, "plane 2 of 5: where the experts' masks are largest"),
    (3.0, False, "plane 3 of 5: the middle plane"),
])  # fmt: skip
def test_a_constant_map_has_no_plane_of_its_maximum(level, marked_too, caption):
    geometry = Geometry((6, 6, 5), AXIAL)
    mask = np.zeros(geometry.shape, bool)
    mask[2, 2, 1] = marked_too
    flat = Heatmap(np.full(geometry.shape, level), geometry, np.ones(geometry.shape, bool), "gradcam", "l", "nodule")
    panels = cut_panels(Volume(mask, geometry), [Mask(mask, geometry, "nodule", "r")], {"gradcam": flat}, {}, study="S")
    assert [view.caption for view in panels.views] == [caption]


def test_readers_stand_in_order_behind_their_consensus():
    geometry = Geometry((6, 6, 5), AXIAL)
    array, _ = marked(geometry, (2, 3, 10))
    masks = [Mask(array > 0, geometry, "nodule", reader) for reader in ("ben", "anna", "consensus:staple")]
    panels = cut_panels(Volume(array, geometry), masks, {}, {}, study="S")
    assert [list(view.masks) for view in panels.views] == [["consensus:staple", "anna", "ben"]]


@pytest.mark.parametrize(("scaled", "unit"), [(True, "mm"), (False, "px")])
def test_panels_state_the_unit_of_their_lengths(scaled, unit):
    array, _ = marked(Geometry((6, 6, 5), AXIAL), (2, 3, 10))
    assert panels_of(Geometry((6, 6, 5), AXIAL, scaled=scaled), array).length_unit == unit


def audits(count):
    entry = MapScores(target="nodule", method="gradcam", layer="l", reader="a")
    return [
        StudyAudit(study=f"S-{n:02}", patient=f"P-{n}", source_sha256="", status="analysed", reference=("nodule",),
                   predicted=("nodule",) if n % 3 else (), map_scores=(entry,))
        for n in range(count)
    ]  # fmt: skip


def test_where_lower_is_better_the_worst_are_the_highest():
    rows = audits(30)
    scores = np.arange(len(rows)) / 30
    chosen, _ = choose_cases(rows, scores, CasesConfig(worst=2, best=1, random=0), 4, "lower")
    assert [study for study, why in chosen if why == "worst overlap, correct prediction"] == ["S-29", "S-28"]
    assert [study for study, why in chosen if why == "best overlap, wrong prediction"] == ["S-00"]


def test_cases_are_chosen_by_rule_alone():
    rows = audits(30)
    scores = np.arange(len(rows)) / 30
    chosen, rule = choose_cases(rows, scores, CasesConfig(worst=2, best=1, random=1), 4, "higher")
    assert chosen == choose_cases(rows[::-1], scores[::-1], CasesConfig(worst=2, best=1, random=1), 4, "higher")[0]
    assert [study for study, why in chosen if why == "worst overlap, correct prediction"] == ["S-01", "S-02"]
    assert [study for study, why in chosen if why == "worst overlap, wrong prediction"] == ["S-00", "S-03"]
    assert [study for study, why in chosen if why == "best overlap, correct prediction"] == ["S-29"]
    assert len(chosen) == len({study for study, _ in chosen}) == 9
    assert "the 2 worst" in rule


@pytest.mark.parametrize(("count", "better", "typical"), [(9, "higher", "S-04"), (10, "higher", "S-04"),
                                                          (10, "lower", "S-05")])  # fmt: skip
def test_the_typical_case_is_the_median_and_of_two_the_worse(count, better, typical):
    rows = audits(count)
    scores = np.arange(len(rows)) / 30
    for cases in (CasesConfig(worst=1, best=1, random=0), "all"):
        chosen, _ = choose_cases(rows[::-1], scores[::-1], cases, 4, better)
        assert chosen[0] == (typical, TYPICAL)
        assert [why for _, why in chosen].count(TYPICAL) == 1
    assert choose_cases(rows, scores, CasesConfig(worst=0, best=0, random=0), 4, better)[0] == []


def survey_of(geometry, lesion, hot):
    """Return the panels of a volume with one marked voxel and a map whose peak lies elsewhere."""
    mask, heat = np.zeros(geometry.shape, bool), np.zeros(geometry.shape, np.float32)
    mask[lesion], heat[hot] = True, 1
    heatmap = Heatmap(heat, geometry, np.ones(geometry.shape, bool), "gradcam", "l", "nodule")
    second = Heatmap(heat[::-1].copy(), geometry, np.ones(geometry.shape, bool), "layercam", "l", "nodule")
    masks = [Mask(mask, geometry, "nodule", "r")]
    maps = {"gradcam": heatmap, "layercam": second}
    return cut_panels(Volume(heat, geometry), masks, maps, {}, study="S", survey=True)


@pytest.mark.parametrize("geometry", list(orientations())[::5], ids=lambda g: str(g.shape))
def test_a_survey_shows_lesion_and_peak_in_all_three_planes_and_everything_at_once(geometry):
    lesion, hot = (tuple(np.rint(np.linalg.inv(geometry.affine) @ [*world, 1]).astype(int)[:3])
                   for world in ((4, 6, 5), (14, 15, 10)))  # fmt: skip
    panels = survey_of(geometry, lesion, hot)
    seen = [(view.role, view.plane) for view in panels.views]
    assert seen[:2] == [("main", "axial")] * 2
    seen = [view for view in seen if view[0] != "own_peak"]
    assert sorted(seen[2:]) == sorted([("lesion", "coronal"), ("lesion", "sagittal"), ("peak", "coronal"),
                                       ("peak", "sagittal"), ("maximum", "axial")])  # fmt: skip
    for view in panels.views:
        assert bool(view.masks["r"].any()) == (
            view.role == "lesion" or view is panels.views[0] or view.role == "maximum"
        )
        if view.role in ("peak", "maximum") or view is panels.views[1]:
            assert view.maps["gradcam"][view.peaks["gradcam"]] == 1
        held = {"main": ["gradcam", "layercam"], "own_peak": ["layercam"]}
        assert list(view.maps) == held.get(view.role, ["gradcam"])


@pytest.mark.parametrize("geometry", list(orientations())[::7], ids=lambda g: str(g.shape))
def test_every_map_has_a_plane_through_its_own_peak(geometry):
    inverse = np.linalg.inv(geometry.affine)
    places = [tuple(np.rint(inverse @ [*world, 1]).astype(int)[:3]) for world in ((4, 6, 5), (9, 3, 15), (14, 15, 5))]
    maps = {}
    for name, place in zip(("gradcam", "layercam", "hirescam"), places, strict=True):
        heat = np.zeros(geometry.shape, np.float32)
        heat[place] = 1
        maps[name] = Heatmap(heat, geometry, np.ones(geometry.shape, bool), name, "l", "nodule")
    picture = maps["layercam"].array
    views = cut_panels(Volume(picture, geometry), [], maps, {}, study="S", survey=True).views
    (own,) = (view for view in views if view.role == "own_peak")  # the third map's peak is in the first one's plane
    assert list(own.maps) == ["layercam"]
    assert own.maps["layercam"][own.peaks["layercam"]] == 1
    assert own.image[own.peaks["layercam"]] == 1
    assert (own.number, own.planes) == (places[1][through_plane(geometry)] + 1, 4)
    assert not any(cut_panels(Volume(picture, geometry), [], maps, {}, study="S").views[1:])


def test_a_slice_tells_its_place_its_neighbours_and_what_is_worth_a_closer_look():
    geometry = Geometry((40, 40, 6), np.array([[1, 0, 0, -20], [0, 1, 0, -20], [0, 0, 5, 100], [0, 0, 0, 1.0]]))
    panels = survey_of(geometry, (8, 30, 2), (30, 8, 4))
    first, second, *_ = panels.views
    assert (first.number, first.planes, first.position_mm, first.thickness_mm) == (3, 6, 110.0, 5.0)
    assert (second.number, second.position_mm) == (5, 120.0)
    assert panels.views[-1].number is None
    rows_from, rows_to, columns_from, columns_to = first.zoom
    assert first.masks["r"][rows_from:rows_to, columns_from:columns_to].any()
    assert rows_to - rows_from == columns_to - columns_from == 7  # a sixth of the picture
    assert second.masks["r"].sum() == 0
    assert second.zoom is not None  # around the peak


def test_a_zoom_stays_within_the_picture():
    geometry = Geometry((10, 60), np.diag([1.0, 1.0, 1.0, 1.0]))
    array = np.zeros((10, 60), np.float32)
    array[1:9, 55:60] = 1
    view = panels_of(geometry, array).views[0]
    rows_from, rows_to, columns_from, columns_to = view.zoom
    assert 0 <= rows_from < rows_to <= view.image.shape[0]
    assert 0 <= columns_from < columns_to <= view.image.shape[1]


def test_all_cases():
    chosen, _ = choose_cases(audits(7), np.full(7, np.nan), "all", 0, "higher")
    assert len(chosen) == 7


@pytest.mark.parametrize(
    ("facts", "shown"),
    [
        ({"BurnedInAnnotation": "NO"}, True),
        ({"BurnedInAnnotation": "YES"}, False),
        ({"Modality": "CT"}, False),
        ({}, False),
    ],
)
def test_only_a_header_that_says_no_lets_pictures_out(facts, shown):
    reason = withheld(facts, "not_burned_in")
    assert (reason is None) == shown
    assert withheld(facts, "all") is None
    if not shown:
        assert ("says that annotation is burned" in reason) == (facts.get("BurnedInAnnotation") == "YES")


def test_a_map_that_a_plane_does_not_show_is_refused_by_name():
    from camaudit.views import overlay
    from pipeline.errors import OutputError

    panels = survey_of(Geometry((20, 20, 4), AXIAL), (4, 6, 1), (14, 15, 2))
    assert overlay(panels, "layercam", 0).array.ndim == 3
    with pytest.raises(OutputError, match="view 2 of case S shows gradcam, not layercam; take another view"):
        overlay(panels, "layercam", 2)


def test_of_many_cases_the_typical_the_wrong_and_the_worst_come_first():
    rows = audits(30)
    scores = np.arange(len(rows)) / 30

    def reasons(at_most):
        chosen, rule = choose_cases(rows, scores, CasesConfig(worst=2, best=1, random=1, at_most=at_most), 4, "higher")
        assert len(chosen) == at_most
        assert f"of these {at_most} at most" in rule
        return [why for _, why in chosen]

    assert reasons(1) == [TYPICAL]
    assert reasons(2) == [TYPICAL, "worst overlap, wrong prediction"]
    assert sorted(reasons(3)[1:]) == ["drawn at random, wrong prediction", "worst overlap, wrong prediction"]
    every = choose_cases(rows, scores, CasesConfig(worst=2, best=1, random=1), 4, "higher")[0]
    shown = choose_cases(rows, scores, CasesConfig(worst=2, best=1, random=1, at_most=5), 4, "higher")[0]
    assert [case for case in every if case in shown] == shown, "in the order of the rule"
