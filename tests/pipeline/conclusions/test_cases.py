import numpy as np
import pytest

from pipeline.conclusions.cases import cut_panels, withheld
from pipeline.conclusions.choose_cases import choose_cases
from pipeline.config import CasesConfig
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
    scores = {row.study: number / 30 for number, row in enumerate(rows)}
    chosen, _ = choose_cases(rows, scores, CasesConfig(worst=2, best=1, random=0), 4, "lower")
    assert [study for study, why in chosen if why == "worst overlap, correct prediction"] == ["S-29", "S-28"]
    assert [study for study, why in chosen if why == "best overlap, wrong prediction"] == ["S-00"]


def test_cases_are_chosen_by_rule_alone():
    rows = audits(30)
    scores = {row.study: number / 30 for number, row in enumerate(rows)}
    chosen, rule = choose_cases(rows, scores, CasesConfig(worst=2, best=1, random=1), 4, "higher")
    assert chosen == choose_cases(rows[::-1], scores, CasesConfig(worst=2, best=1, random=1), 4, "higher")[0]
    assert [study for study, why in chosen if why == "worst overlap, correct prediction"] == ["S-01", "S-02"]
    assert [study for study, why in chosen if why == "worst overlap, wrong prediction"] == ["S-00", "S-03"]
    assert [study for study, why in chosen if why == "best overlap, correct prediction"] == ["S-29"]
    assert len(chosen) == len({study for study, _ in chosen}) == 8
    assert "the 2 worst" in rule


def test_all_cases():
    chosen, _ = choose_cases(audits(7), {}, "all", 0, "higher")
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
