"""Parts, fills, shifts, swaps and donors, by hand on tiny inputs and against what was planted on larger ones."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from pipeline.evidence.shortcuts.donors import choose_donors
from pipeline.evidence.shortcuts.filling import fill, move
from pipeline.evidence.shortcuts.parts import find_parts
from pipeline.evidence.shortcuts.study import BatteryStudy, Ruler
from pipeline.evidence.shortcuts.texture import noise_spectrum, with_noise_of
from pipeline.evidence.shortcuts.transplants import TRANSPLANTS, DissectedStudy
from tests.pipeline.evidence.shortcuts.phantoms import cohort

CUBE = Ruler.of((2, 2, 2), None)


def rng():
    return np.random.Generator(np.random.PCG64(0))


def dissected(study):
    return DissectedStudy(study, find_parts(study))


def test_a_hole_in_a_cube_takes_what_surrounds_it():
    """2 x 2 x 2: seven voxels of 3 around one of 100; without noise in the tissue the hole becomes 3."""
    x = np.full((1, 2, 2, 2), 3.0, np.float32)
    x[0, 1, 1, 1] = 100.0
    hole = x[0] > 50
    filled = fill(x, hole, ~hole, CUBE, rng())
    np.testing.assert_allclose(filled, np.full((1, 2, 2, 2), 3.0), rtol=1e-6)
    assert x[0, 1, 1, 1] == 100.0


def test_a_fill_takes_the_nearest_tissue_and_leaves_the_rest_as_it_is():
    """Two halves, 1 and 5: a hole within each half becomes that half's value."""
    x = np.ones((1, 24, 24), np.float32)
    x[:, :, 12:] = 5.0
    hole = np.zeros((24, 24), bool)
    hole[10:13, 3:6] = hole[10:13, 18:21] = True
    ruler = Ruler.of((24, 24), (1.0, 1.0))
    noisy = np.where(hole, 50.0, x).astype(np.float32)
    filled = fill(noisy, hole, np.ones((24, 24), bool), ruler, rng())
    np.testing.assert_allclose(filled[0, 10:13, 3:6], 1.0, atol=0.02)
    np.testing.assert_allclose(filled[0, 10:13, 18:21], 5.0, atol=0.02)
    np.testing.assert_array_equal(filled[0][~hole], noisy[0][~hole])


def test_a_fill_is_as_noisy_as_the_tissue():
    noise = np.random.default_rng(2).normal(0, 1, (1, 64, 64)).astype(np.float32)
    hole = np.zeros((64, 64), bool)
    hole[20:44, 20:44] = True
    filled = fill(noise, hole, np.ones((64, 64), bool), Ruler.of((64, 64), None), rng())
    assert 0.7 < filled[0][hole].std() < 1.2


def test_a_moved_region_has_as_many_voxels_in_the_tissue_and_off_itself():
    region = np.zeros((40, 40), bool)
    region[5:8, 5:8] = region[20, 10:16] = True
    allowed = np.zeros((40, 40), bool)
    allowed[2:38, 2:38] = True
    image = np.zeros((40, 40), np.float32)
    moved = move(region, allowed, image, rng())
    assert moved.where.sum() == moved.moved.sum() == region.sum()
    assert not (moved.moved & region).any()
    assert (allowed | ~moved.moved).all()


def test_a_region_moves_to_where_it_looks_like_its_surroundings():
    image = np.zeros((40, 40), np.float32)
    image[:, 20:] = 1.0
    region = np.zeros((40, 40), bool)
    region[18:22, 4:8] = True
    moved = move(region, np.ones((40, 40), bool), image, rng())
    assert image[moved.moved].mean() == 0.0


def test_a_frame_that_fits_nowhere_becomes_a_round_region_of_its_size_and_nothing_fits_into_nothing():
    frame = np.ones((20, 20), bool)
    frame[2:-2, 2:-2] = False
    image = np.zeros((20, 20), np.float32)
    moved = move(frame, np.ones((20, 20), bool), image, rng())
    assert moved.moved.sum() == frame.sum()
    assert not (moved.moved & frame).any()
    assert move(frame, frame, image, rng()) is None


def shifted(own_corner, donor_corner):
    """Shift a body of 16 x 16 in 60 x 60 to where a donor's lies."""
    studies = []
    for corner in (own_corner, donor_corner):
        x = np.zeros((1, 60, 60), np.float32)
        x[0, corner[0] : corner[0] + 16, corner[1] : corner[1] + 16] = 1.0
        studies.append(dissected(BatteryStudy(x, None, False, str(corner), (1.0, 1.0))))
    return studies, TRANSPLANTS["position"](*studies, rng())


@pytest.mark.parametrize("donor", [(20, 20), (14, 25), (31, 15), (20, 28)])
def test_a_body_is_shifted_by_whole_voxels_to_where_the_donors_lies(donor):
    (_, other), changed = shifted((20, 20), donor)
    np.testing.assert_array_equal(changed, other.study.x)


def test_a_shift_by_hand_in_two_by_two_by_two():
    """The own centre is voxel 0, the donor's voxel 1 along the first axis: what is missing is mirrored."""
    x = np.arange(8, dtype=np.float32).reshape(1, 2, 2, 2)
    own = dissected(BatteryStudy(x, None, False, "a"))
    parts = [
        own.parts.__class__(**{**own.parts.__dict__, "centre": np.array(centre)})
        for centre in ([0.0, 0, 0], [1.0, 0, 0])
    ]
    moved = TRANSPLANTS["position"](*(DissectedStudy(own.study, each) for each in parts), rng())
    np.testing.assert_array_equal(moved[0], np.stack([x[0, 0], x[0, 0]]))


def test_contrast_by_hand():
    """Own air 0 and body 1, donor's 10 and 30: a value v becomes 20 v + 10."""
    studies = []
    for low, high in ((0.0, 1.0), (10.0, 30.0)):
        x = np.full((1, 32, 32), low, np.float32)
        x[0, 8:24, 8:24] = high
        studies.append(dissected(BatteryStudy(x, None, False, str(low))))
    changed = TRANSPLANTS["contrast"](*studies, rng())
    np.testing.assert_allclose(changed, studies[1].study.x, rtol=1e-6)


def test_the_border_and_what_is_outside_come_with_their_levels_matched():
    """The donor is twice as bright and has a frame: the recipient gets the frame at half its brightness."""
    own_x = np.full((1, 64, 64), 0.1, np.float32)
    own_x[0, 20:44, 20:44] = 0.5
    donor_x = 2 * own_x
    donor_x[0, :3] = donor_x[0, -3:] = 1.6
    own, donor = (dissected(BatteryStudy(x, None, False, name)) for x, name in ((own_x, "a"), (donor_x, "b")))
    changed = TRANSPLANTS["border"](own, donor, rng())
    np.testing.assert_allclose(changed[0, :3], 0.8, rtol=1e-5)
    np.testing.assert_allclose(changed[0, 4:60, 4:60], own_x[0, 4:60, 4:60])
    np.testing.assert_allclose(TRANSPLANTS["outside"](own, donor, rng()), own_x, rtol=1e-5)


def test_white_noise_has_its_variance_at_every_frequency():
    noise = np.random.default_rng(4).normal(0, 2, (1, 96, 96)).astype(np.float32)
    spectrum = noise_spectrum(noise, np.ones((96, 96), bool))
    known = spectrum[np.isfinite(spectrum)]
    assert len(known) > 8
    np.testing.assert_allclose(known, 4.0, rtol=0.25)


@pytest.mark.parametrize("shape", [(96, 96), (40, 40, 40)])
@pytest.mark.parametrize(("own", "donor"), [(1.0, 2.0), (2.0, 1.0)])
def test_noise_becomes_as_strong_as_the_donors(shape, own, donor):
    whole = np.ones(shape, bool)
    pictures = [
        np.random.default_rng(seed).normal(0, spread, (1, *shape)).astype(np.float32)
        for seed, spread in enumerate((own, donor))
    ]
    spectra = [noise_spectrum(picture, whole) for picture in pictures]
    changed = with_noise_of(pictures[0], *spectra, np.ones(shape, np.float32), rng())
    high = [float((each - gaussian_filter(each, (0, *[1] * len(shape)))).std()) for each in (changed, pictures[1])]
    assert high[0] == pytest.approx(high[1], rel=0.12)


def test_edges_are_not_amplified_where_noise_is_added():
    """A step of 10 in noise of 0.1: with the noise of 0.5 added, the step stays 10."""
    step = np.zeros((1, 64, 64), np.float32)
    step[:, :, 32:] = 10.0
    quiet, loud = (
        step + np.random.default_rng(s).normal(0, n, step.shape).astype(np.float32) for s, n in ((0, 0.1), (1, 0.5))
    )
    spectra = [noise_spectrum(each, np.ones((64, 64), bool)) for each in (quiet, loud)]
    changed = with_noise_of(quiet, *spectra, np.ones((64, 64), np.float32), rng())
    assert changed[0, :, 36:60].mean() - changed[0, :, 4:28].mean() == pytest.approx(10.0, abs=0.2)


def test_the_parts_are_where_they_were_drawn():
    positive = cohort("air_marks", n=2)[0]
    parts = find_parts(positive)
    assert parts.air_marks[8, 8]
    assert parts.air_marks.sum() < 60
    assert parts.body[32, 32]
    assert not parts.body[5, 5]
    assert 0.25 < parts.body.mean() < 0.40
    assert parts.levels.kind == "air and body"
    assert parts.levels.low[0] == pytest.approx(0.05, abs=0.02)
    tube = find_parts(cohort("body_marks", n=2)[0])
    assert tube.body_marks.sum() > 40
    assert not (tube.body_marks & cohort("body_marks", n=2)[0].lesion).any()


def test_a_bright_frame_is_not_taken_for_the_body_nor_for_a_mark():
    framed, plain = (find_parts(cohort(kind, n=2)[0]) for kind in ("border", None))
    assert abs(int(framed.body.sum()) - int(plain.body.sum())) < 40
    assert not framed.air_marks.any()


def test_a_picture_without_air_says_so():
    x = np.ones((1, 32, 32), np.float32)
    x[0, 15, 15] = 0.5
    parts = find_parts(BatteryStudy(x, None, False, "p"))
    own = DissectedStudy(BatteryStudy(x, None, False, "p"), parts)
    assert parts.centre is None
    assert TRANSPLANTS["position"](own, own, rng()) == "no outside of the body in the picture"
    assert not parts.levels.usable()


@pytest.mark.parametrize(
    ("shape", "spacing", "steps"),
    [
        ((64, 64), None, (1.0, 1.0)),
        ((256, 256), (1.0, 1.0), (4.0, 4.0)),
        ((24, 24, 24), (1.0, 1.0, 1.0), (1.0, 1.0, 1.0)),
        ((128, 128, 32), (1.0, 1.0, 4.0), (2.0, 2.0, 0.5)),
    ],
)
def test_a_unit_is_a_64th_of_the_field_and_at_least_the_finest_voxel(shape, spacing, steps):
    assert Ruler.of(shape, spacing).steps == pytest.approx(steps)
    assert min(Ruler.of(shape, spacing).voxels(1)) >= 1


def test_donors_are_other_patients_of_the_right_label_and_grid_taken_about_equally_often():
    studies = cohort(None, n=24)
    donors = choose_donors(studies, 3)
    for study, (opposite, same) in zip(studies, donors, strict=True):
        assert studies[opposite].positive != study.positive
        assert studies[same].positive == study.positive
        assert studies[same].patient != study.patient
    assert sorted(pair.same for pair in donors) == list(range(24))
    assert choose_donors(studies, 3) == donors != choose_donors(studies, 4)


def test_a_study_without_another_patient_of_its_label_has_no_control():
    studies = cohort(None, n=3)
    assert choose_donors(studies, 0)[1].same is None
    small = BatteryStudy(np.zeros((1, 8, 8), np.float32), None, False, "small")
    assert choose_donors([*studies, small], 0)[3] == (None, None)
