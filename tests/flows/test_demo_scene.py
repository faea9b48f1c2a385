import numpy as np
import pytest

from flows.demo.ct import SCANNERS, draw_ct, mark_ct
from flows.demo.radiograph import SITES, draw_radiograph, mark_radiograph, random_site


def draw(kind, seed, *, finding):
    rng = np.random.default_rng(seed)
    return (
        draw_radiograph(rng, SITES[0], finding=finding) if kind == "dx" else draw_ct(rng, SCANNERS[0], finding=finding)
    )


@pytest.mark.parametrize("kind", ["dx", "ct"])
def test_the_same_random_numbers_give_the_same_picture(kind):
    one, other = draw(kind, 5, finding=True), draw(kind, 5, finding=True)
    np.testing.assert_array_equal(one.image, other.image)
    np.testing.assert_array_equal(one.outlines[1], other.outlines[1])
    assert not np.array_equal(one.image, draw(kind, 6, finding=True).image)


@pytest.mark.parametrize("kind", ["dx", "ct"])
def test_a_finding_changes_the_picture_around_its_outline_alone(kind):
    ill, healthy = draw(kind, 5, finding=True), draw(kind, 5, finding=False)
    changed = np.abs(ill.image - healthy.image) > 0.02 * np.ptp(healthy.image)
    outline = ill.outlines[0]
    assert changed[outline].mean() > 0.9
    assert changed.sum() < 4 * outline.sum()
    assert not healthy.outlines[0].any()
    assert not healthy.outlines[1].any()


@pytest.mark.parametrize("kind", ["dx", "ct"])
def test_readers_agree_well_but_not_wholly(kind):
    dice = []
    for seed in range(8):
        one, other = draw(kind, seed, finding=True).outlines
        dice.append(2 * (one & other).sum() / (one.sum() + other.sum()))
    assert 0.75 < np.mean(dice) < 0.98
    assert max(dice) < 1


@pytest.mark.parametrize("kind", ["dx", "ct"])
def test_findings_lie_in_both_halves_and_at_many_heights(kind):
    middles = np.array([np.argwhere(draw(kind, seed, finding=True).outlines[0]).mean(0) for seed in range(24)])
    shape = np.array((SITES[0] if kind == "dx" else SCANNERS[0]).shape)
    across, along = (1, 0) if kind == "dx" else (0, 2)
    assert 0.2 < np.mean(middles[:, across] < shape[across] / 2) < 0.8
    assert np.ptp(middles[:, along]) > shape[along] / 3


def test_markers_leave_their_picture_alone_and_lie_off_the_lungs():
    scene = draw("dx", 1, finding=True)
    before = scene.image.copy()
    marked = mark_radiograph(scene.image, np.random.default_rng(2))
    np.testing.assert_array_equal(scene.image, before)
    rows, columns = np.nonzero(marked != before)
    assert rows.max() < before.shape[0] / 6
    assert columns.min() > before.shape[1] * 0.75
    assert marked.max() <= 1.03 * before.max()

    scene = draw("ct", 1, finding=True)
    marked = mark_ct(scene.image, np.random.default_rng(2), SCANNERS[0])
    assert 5 < (marked == 3000).sum() < 80
    assert not (marked == 3000)[scene.outlines[0]].any()


def test_training_sites_differ_from_the_archive_s():
    assert random_site(np.random.default_rng(0)) not in SITES
