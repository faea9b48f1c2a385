"""Lesions found against false marks: counted by hand in pictures, and over a cohort."""

import numpy as np
import pytest

from pipeline.evidence.cohort.bootstrap import MINIMUM_PATIENTS
from pipeline.evidence.cohort.estimating import Bootstrap
from pipeline.evidence.metrics.lesions import lesion_sensitivity, mark_counts
from pipeline.evidence.metrics.map_evidence import LesionLimits, MarkedVoxels, MaskedEvidence, RegionOverlap
from pipeline.evidence.plotted.froc import froc_curves
from pipeline.findings.localisation.curves import CURVE_SHARES
from pipeline.findings.plotted.marks import MarkCounts
from pipeline.studies.geometry import Geometry
from pipeline.studies.volume import Heatmap
from tests.pipeline.evidence.records import BOOTSTRAP, entry, study


def overlap_of(values, mask, **limits):
    grid = Geometry(values.shape, np.eye(4))
    heatmap = Heatmap(values.astype(np.float32), grid, np.ones(values.shape, bool), "gradcam", "layer", "nodule")
    return RegionOverlap(MaskedEvidence(heatmap, 0.05, LesionLimits(**limits)), MarkedVoxels(mask, grid))


def picture():
    """Two lesions; marks of heights 1.0 (false), 0.62 (in the first), 0.33 (in it again), 0.22 (in the second)."""
    values, mask = np.zeros((9, 30)), np.zeros((9, 30), bool)
    mask[2:7, 8:16] = mask[2:7, 22:26] = True
    values[4, 2], values[3, 9], values[5, 14], values[4, 24] = 1.0, 0.62, 0.33, 0.22
    return values, mask


def test_marks_are_accepted_from_the_highest_down():
    counts = mark_counts(overlap_of(*picture()))
    at = {share: place for place, share in enumerate(CURVE_SHARES)}
    assert counts.lesions == 2
    assert [counts.found[at[share]] for share in (0.95, 0.65, 0.6, 0.3, 0.2)] == [0, 0, 1, 1, 2]
    assert set(counts.false) == {1}
    overlap = overlap_of(*picture())
    assert counts.found[0] / counts.lesions == lesion_sensitivity(overlap), "the lowest threshold is the region's"


def test_a_mark_as_high_as_the_threshold_is_not_accepted():
    values, mask = picture()
    values[3, 9] = 0.5
    found = mark_counts(overlap_of(values, mask)).found
    assert [found[CURVE_SHARES.index(share)] for share in (0.5, 0.45)] == [0, 1]


def test_a_mark_in_a_part_that_is_too_small_to_be_a_lesion_is_neither_found_nor_false():
    values, mask = np.zeros((9, 30)), np.zeros((9, 30), bool)
    values[4, 2:5], values[4, 10:13] = 1.0, 0.9
    mask[4, 2:4] = mask[2:7, 20:24] = True
    counts = mark_counts(overlap_of(values, mask, smallest_lesion=3.0))
    assert (set(counts.found), counts.false[0], counts.false[-1], counts.lesions) == ({0}, 1, 0, 1)


def test_an_image_without_a_lesion_has_false_marks_alone():
    values, mask = picture()
    counts = mark_counts(overlap_of(values, mask & False))
    assert (counts.lesions, set(counts.found)) == (0, {0})
    assert counts.false[0] == 4


def test_a_constant_map_has_no_mark():
    values, mask = picture()
    counts = mark_counts(overlap_of(0 * values + 1, mask))
    assert (set(counts.found), set(counts.false), counts.lesions) == ({0}, {0}, 2)


def marks(found, false, lesions):
    count = len(CURVE_SHARES)
    return MarkCounts(found=(found,) * (count - 1) + (0,), false=(false,) * count, lesions=lesions)


def image(number, counts, **facts):
    return study(number, *[entry("gradcam", reader, 0.5).model_copy(update={"marks": part})
                           for reader, part in zip("ab", counts, strict=False)], **facts)  # fmt: skip


def test_a_cohorts_curve_pools_lesions_and_averages_images():
    rows = [
        image(0, [marks(2, 1, 4), marks(4, 3, 4)], patient="P"),
        image(1, [marks(0, 0, 1)], patient="P"),
        image(2, [marks(1, 5, 1)]),
        image(3, [marks(0, 2, 0)], reference=(), predicted=()),
    ]
    (curve,) = froc_curves(rows, ["nodule"], BOOTSTRAP)
    assert (curve.lesions, curve.images, curve.patients) == (6, 4, 3)
    assert curve.thresholds == CURVE_SHARES[::-1]
    assert curve.sensitivity[0] == 0, "from the highest threshold"
    assert curve.sensitivity[1:] == pytest.approx([4 / 6] * 18)
    assert curve.false_marks == pytest.approx([(2 + 0 + 5 + 2) / 4] * 19)
    assert curve.low == ()
    assert curve.interval.startswith("none")


def test_bands_hold_the_curve_and_draw_patients():
    generator = np.random.default_rng(0)
    rows = [image(n, [marks(int(generator.integers(0, 4)), 1, 3)]) for n in range(40)]
    (curve,) = froc_curves(rows, ["nodule"], BOOTSTRAP)
    for low, value, high in zip(curve.low[1:], curve.sensitivity[1:], curve.high[1:], strict=True):
        assert low < value < high
    assert curve.high[1] - curve.low[1] < 0.4


def test_without_a_lesion_or_without_marks_there_is_no_curve():
    assert froc_curves([image(0, [marks(0, 1, 0)])], ["nodule"], BOOTSTRAP) == ()
    assert froc_curves([study(0, entry("gradcam", "a", 0.5))], ["nodule"], BOOTSTRAP) == ()


def test_bands_are_as_wide_as_the_share_of_found_lesions_varies():
    """Of 3 lesions each of 40 patients has 0 to 3 found alike often: +- 1.96 x sqrt(1.25) / 3 / sqrt(40) = .1155."""
    rows = [image(n, [marks(n % 4, 1, 3)]) for n in range(40)]
    (curve,) = froc_curves(rows, ["nodule"], Bootstrap(4000, 0))
    assert curve.label is None
    assert curve.sensitivity[1] == pytest.approx(0.5)
    assert curve.high[1] - curve.low[1] == pytest.approx(2 * 0.1155, rel=0.07)


def test_bands_do_not_depend_on_the_order_of_the_studies():
    rows = [image(n, [marks(7 * n % 5, 1, 5 + n % 11)]) for n in range(40)]
    plain, turned = (froc_curves(listed, ["nodule"], BOOTSTRAP)[0] for listed in (rows, rows[::-1]))
    assert (turned.low, turned.high) == (plain.low, plain.high)


def test_the_fewest_patients_have_bands_also_where_a_drawn_cohort_has_no_lesion():
    rows = [image(n, [marks(int(n < 2), 0, int(n < 2))]) for n in range(MINIMUM_PATIENTS)]
    (curve,) = froc_curves(rows, ["nodule"], BOOTSTRAP)
    assert (curve.low[1], curve.high[1]) == (1, 1)
    (fewer,) = froc_curves(rows[:-1], ["nodule"], BOOTSTRAP)
    assert fewer.low == ()


def test_curves_of_several_labels_are_named():
    other = entry("gradcam", "a", 0.5, target="oedema").model_copy(update={"marks": marks(1, 0, 1)})
    rows = [image(0, [marks(1, 0, 2)]), study(1, other, reference=("oedema",))]
    curves = froc_curves(rows, ["nodule", "oedema"], BOOTSTRAP)
    assert [(curve.label, curve.lesions) for curve in curves] == [("nodule", 2), ("oedema", 1)]
