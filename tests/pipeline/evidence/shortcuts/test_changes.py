"""Parts, fills, shifts, swaps and donors, by hand on tiny inputs and against what was planted on larger ones."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from pipeline.evidence.shortcuts.donors import choose_donors
from pipeline.evidence.shortcuts.filling import fill, move
from pipeline.evidence.shortcuts.parts import UNKNOWN_LESION, find_parts
from pipeline.evidence.shortcuts.study import BatteryStudy, Ruler
from pipeline.evidence.shortcuts.texture import noise_in, noise_spectrum, with_noise_of
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


def ruler_of(shape):
    return Ruler.of(shape, None)


def noisy(seed, spread, shape, grain=0.0):
    """Noise of one deviation, white or smoothed by so many voxels; shape (1, *shape)."""
    white = np.random.default_rng(seed).standard_normal(shape)
    smooth = gaussian_filter(white, grain, mode="wrap") if grain else white
    return (spread * smooth / smooth.std())[None].astype(np.float32)


def given(own, donor, tissue=None):
    """The first input with the noise of the second, in a tissue (all of it)."""
    where = np.ones(own.shape[1:], bool) if tissue is None else tissue
    noises = [noise_in(x, where, ruler_of(where.shape)) for x in (own, donor)]
    spectra = [noise_spectrum(noise, where) for noise in noises]
    return with_noise_of((own, noises[0], spectra[0]), spectra[1], where, rng())


@pytest.mark.parametrize("shape", [(96, 96), (32, 32, 32)])
def test_white_noise_has_its_variance_at_every_frequency(shape):
    spectrum = noise_spectrum(noisy(4, 2, shape), np.ones(shape, bool))
    half_a_cycle = 16
    assert spectrum.shape == (1, round(32 * np.sqrt(len(shape)) / 2) + 1)
    np.testing.assert_allclose(spectrum[0, 3:half_a_cycle], 4.0, rtol=0.25)
    np.testing.assert_allclose(spectrum[0].mean(), 4.0, rtol=0.1)


def test_a_wave_has_its_power_at_its_own_frequency():
    """A quarter of a cycle a voxel is bin 8 of 32 for a whole cycle."""
    wave = np.tile(np.sin(np.pi / 2 * np.arange(64)), (64, 1))[None].astype(np.float32)
    assert int(np.argmax(noise_spectrum(wave, np.ones((64, 64), bool))[0])) == 8


def test_single_strong_voxels_are_no_noise():
    x = noisy(5, 1, (64, 64))
    x[0, ::16, ::16] = 8.0
    noise = noise_in(x, np.ones((64, 64), bool), ruler_of((64, 64)))
    assert not noise[0, ::16, ::16].any()
    assert noise[0].std() == pytest.approx(1.0, rel=0.15)


def test_a_tissue_of_few_voxels_has_no_spectrum():
    tissue = np.zeros((32, 32), bool)
    tissue[:10, :20] = True
    assert noise_spectrum(noisy(1, 1, (32, 32)), tissue) is not None
    tissue[0, 0] = False
    assert noise_spectrum(noisy(1, 1, (32, 32)), tissue) is None


@pytest.mark.parametrize("shape", [(96, 96), (24, 24, 24)])
@pytest.mark.parametrize(("own", "donor"), [(1.0, 2.0), (2.0, 1.0)])
def test_noise_becomes_as_strong_as_the_donors(shape, own, donor):
    changed = given(noisy(0, own, shape), noisy(1, donor, shape))
    assert float(changed.std()) == pytest.approx(donor, rel=0.12)


@pytest.mark.parametrize("shape", [(64, 64), (24, 24, 24)])
@pytest.mark.parametrize("smooth", [True, False])
def test_noise_becomes_as_smooth_as_the_donors(shape, smooth):
    """The likeness of neighbours is the donor's, also in a small volume, whose smooth noise is all low frequencies."""
    pictures = [noisy(0, 1, shape, 0.8), noisy(1, 1, shape)]
    own, donor = pictures[::-1] if smooth else pictures

    def likeness(x):
        return float(np.corrcoef(x[..., 1:].ravel(), x[..., :-1].ravel())[0, 1])

    assert abs(likeness(own) - likeness(donor)) > 0.6
    assert likeness(given(own, donor)) == pytest.approx(likeness(donor), abs=0.2)


def test_edges_are_hardly_amplified_nor_blurred():
    """A step of 10 in noise of 0.1, given noise of 0.5, and the reverse, stays a step of 10 to a twentieth."""
    step = np.zeros((1, 64, 64), np.float32)
    step[:, :, 32:] = 10.0
    quiet, loud = step + noisy(0, 0.1, (64, 64)), step + noisy(1, 0.5, (64, 64))
    for own, donor in ((quiet, loud), (loud, quiet)):
        changed = given(own, donor)
        assert changed[0, :, 33:36].mean() - changed[0, :, 28:31].mean() == pytest.approx(10.0, abs=0.5)
        assert changed[0, :, 4:24].std() == pytest.approx(donor[0, :, 4:24].std(), rel=0.25)


def test_what_is_beside_the_tissue_has_no_noise_and_stays_as_it_is():
    x = noisy(0, 1, (64, 64))
    tissue = np.zeros((64, 64), bool)
    tissue[:, 20:] = True
    noise = noise_in(x, tissue, ruler_of(tissue.shape))
    assert not noise[0][~tissue].any()
    np.testing.assert_array_equal(given(x, noisy(1, 3, (64, 64)), tissue)[0][~tissue], x[0][~tissue])


def test_thick_slices_are_not_blurred_into_each_other():
    """Slices of 0 and 9 in turn, eight voxels thick: nothing of it is noise."""
    x = np.zeros((1, 32, 32, 8), np.float32)
    x[..., ::2] = 9.0
    x += noisy(3, 0.5, (32, 32, 8))
    tissue = np.ones(x.shape[1:], bool)
    thick, cubes = (noise_in(x, tissue, Ruler.of(x.shape[1:], spacing)) for spacing in ((1, 1, 8), (1, 1, 1)))
    assert thick.std() == pytest.approx(0.5, rel=0.15)
    assert not 0.4 < cubes.std() < 0.6


def test_a_constant_tissue_has_no_noise_and_takes_the_donors():
    flat = np.full((1, 64, 64), 3.0, np.float32)
    assert not noise_in(flat, np.ones((64, 64), bool), ruler_of((64, 64))).any()
    assert given(flat, noisy(1, 2, (64, 64))).std() == pytest.approx(2.0, rel=0.12)


def test_a_lesion_keeps_its_noise_and_has_to_be_known():
    own, other = (dissected(study) for study in cohort("texture", n=2))
    assert own.study.lesion.any()
    assert not own.tissues[0][own.study.lesion].any()
    changed = TRANSPLANTS["texture"](own, other, rng())
    np.testing.assert_array_equal(changed[0][own.study.lesion], own.study.x[0][own.study.lesion])
    assert (changed != own.study.x).mean() > 0.5
    for pair in ((without_outline(own), other), (other, without_outline(own))):
        assert TRANSPLANTS["texture"](*pair, rng()) == UNKNOWN_LESION


def without_outline(own):
    return dissected(replace(own.study, lesion=None))


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
