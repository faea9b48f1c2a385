"""The rules of a region: each by its definition, that of a published code to the pixel."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from pipeline.evidence.metrics.map_evidence import MaskedEvidence, Undefined
from pipeline.evidence.thresholds import filled_contours, otsu_of_unsorted, threshold_of
from pipeline.studies.geometry import Geometry
from pipeline.studies.volume import Heatmap

RULE = "otsu-chexlocalize"


def evidence(values, rule, seen=None):
    values = np.asarray(values, np.float32)
    seen = np.ones(values.shape, bool) if seen is None else seen
    return MaskedEvidence(Heatmap(values, Geometry(values.shape, np.eye(4)), seen, "m", "l", "t"), rule)


def smooth_map(generator):
    shape = generator.integers(2, 40, 2)
    smooth = gaussian_filter(generator.normal(size=shape), generator.uniform(0.3, 3))
    return np.maximum(smooth * 10.0 ** generator.uniform(-6, 6), 0).astype(np.float32)


@pytest.mark.parametrize("percent", ["0", "50", "95", "99.5"])
def test_a_percentile_is_numpys(percent):
    values = np.random.default_rng(0).normal(size=(13, 17)).astype(np.float32)
    masked = evidence(values, f"percentile-{percent}")
    positive = np.maximum(values, 0)
    assert masked.threshold == pytest.approx(np.percentile(positive.astype(np.float64), float(percent)), rel=1e-6)
    assert masked.region.sum() == (positive > masked.threshold).sum()


def test_a_share_of_the_maximum_is_exceeded_by_the_same_numbers_in_either_precision():
    """Of the float32 numbers beside it too, although the share itself is none."""
    generator = np.random.default_rng(4)
    for _ in range(100):
        share, high = generator.uniform(0.05, 0.95), np.float32(generator.uniform(1, 9))
        beside = np.float32(share * float(high))
        values = np.float32([0, np.nextafter(beside, np.float32(0)), beside, np.nextafter(beside, high), high])
        assert np.array_equal(evidence(values[None], share).region[0], values.astype(np.float64) > share * float(high))


def test_a_percentile_counts_what_was_seen():
    values = np.arange(100, dtype=np.float32).reshape(10, 10)
    assert evidence(values, "percentile-90").region.sum() == 10
    seen = values < 50
    assert np.array_equal(evidence(values, "percentile-90", seen).region, (values >= 45) & seen)


def test_a_region_above_a_percentile_is_never_empty():
    """A third of the map is tied for the maximum: no value exceeds its 95th percentile."""
    values = np.float32([[0, 1, 2] * 4, [0, 1, 2] * 4])
    assert np.array_equal(evidence(values, "percentile-95").region, values == 2)


def otsu_in_plain_words(values):
    """Otsu's definition over 256 bins, each cut by itself."""
    values = values.astype(np.float64).ravel()
    low, high = values.min(), values.max()
    bins = np.minimum((values - low) * (256 / (high - low)), 255).astype(int)
    between = []
    for cut in range(255):
        dark = bins[bins <= cut].astype(float)
        light = bins[bins > cut].astype(float)
        between.append(len(dark) * len(light) * (dark.mean() - light.mean()) ** 2)
    between = np.array(between)
    best = np.flatnonzero(between >= between.max() * (1 - 1e-12))[0]
    return low + (high - low) * (best + 0.5) / 256


def volumes():
    generator = np.random.default_rng(3)
    noise = generator.normal(size=(17, 19, 23)).astype(np.float32)
    yield noise
    yield np.round(noise * 40)  # as of whole numbers
    yield noise * np.float32(1e-42)  # subnormal
    yield noise * np.float32(1e37)
    yield noise + np.float32(1e6)  # a few steps of rounding apart
    yield np.where(noise > 1, np.float32(5), np.float32(3))  # two values
    yield np.where(noise > 1, np.float32(1), np.float32(-1))  # a bin begins at 0
    yield np.clip(noise, -1, 1)
    yield np.linspace(0, 1, 257, dtype=np.float32)  # on the edges of bins
    yield np.append(noise, np.float32(4000))  # all but one in the first bin
    yield noise[::2, :, ::-1]  # not contiguous
    for _ in range(50):
        yield generator.gamma(0.5, 10.0 ** generator.uniform(-3, 3), 400).astype(np.float32)


def test_otsus_threshold_needs_no_order():
    for values in volumes():
        expected = np.float32(otsu_in_plain_words(values))
        assert otsu_of_unsorted(values) in (expected, np.nextafter(expected, np.float32(-np.inf)))
        if values.min() >= 0:
            assert otsu_of_unsorted(values) == threshold_of("otsu", np.sort(values, axis=None))


def test_the_search_for_bins_refuses_what_it_would_not_end_for():
    with pytest.raises(ValueError, match=r"ordered must have no negative value, not -1\.0: otsu_of_unsorted"):
        threshold_of("otsu", np.float32([-1, 1]))


def test_an_unknown_rule_is_refused():
    with pytest.raises(ValueError, match="rule must be otsu, otsu-chexlocalize, percentile-<number> or a share"):
        threshold_of("otsuu", np.float32([0, 1]))


def test_holes_are_filled_and_single_pixels_lost():
    ring = np.zeros((7, 9), bool)
    ring[1:6, 1:6] = True
    ring[2:5, 2:5] = False
    ring[3, 3] = True  # an island of one pixel: filled with the hole that it lies in
    ring[0, 8] = True  # another one
    ring[6, 7] = ring[5, 8] = True  # two that touch at a corner
    expected = np.zeros((7, 9), bool)
    expected[1:6, 1:6] = expected[6, 7] = expected[5, 8] = True
    assert np.array_equal(filled_contours(ring), expected)


def test_the_levels_are_cut_off_and_not_rounded():
    """Of 0, 1.9, 2 and 4 on 0..255: 121 and 127; the threshold lies where OpenCV has it, at a level of the picture."""
    values = np.float32([[0, 0, 1.9, 2, 4, 4]])
    masked = evidence(values, RULE)
    assert masked.threshold == pytest.approx(2)
    assert masked.region.tolist() == [[False] * 4 + [True] * 2]


def test_of_two_levels_that_part_the_picture_as_well_the_lower_counts():
    assert evidence(np.float32([[0, 127, 128, 255]]), RULE).threshold == 0


def test_the_rule_is_for_pictures():
    masked = evidence(np.arange(27).reshape(3, 3, 3), RULE)
    assert masked.threshold is None
    with pytest.raises(Undefined, match="rule_for_pictures"):
        _ = masked.region


def test_only_what_was_seen_is_in_a_filled_region():
    values = np.zeros((5, 5), np.float32)
    values[1:4, 1:4] = 1
    values[2, 2] = 0
    seen = np.ones((5, 5), bool)
    seen[2, 2] = False
    assert evidence(values, RULE, seen).region.sum() == 8
    assert evidence(values, RULE).region.sum() == 9


def slow_level(grey):
    """The level with the largest variance between the classes, tried one after the other; the first of equals."""
    best, level = 0.0, 0
    for cut in range(255):
        below, above = grey[grey <= cut].astype(np.float64), grey[grey > cut].astype(np.float64)
        if len(below) and len(above):
            between = len(below) * len(above) / len(grey) ** 2 * (below.mean() - above.mean()) ** 2
            if between > best * (1 + 1e-12):
                best, level = between, cut
    return level


def test_the_level_is_otsus_on_eight_bits():
    generator = np.random.default_rng(1)
    for number in range(60):
        values = smooth_map(generator)
        values += np.float32(number % 3) * values.max()  # a map need not reach down to 0
        if values.max() <= values.min():
            continue
        stretched = (values - values.min()) / (values - values.min()).max()
        grey = (np.float32(255) * stretched).astype(np.uint8)
        expected = grey > slow_level(grey.ravel())
        assert np.array_equal(evidence(values, RULE).positive > evidence(values, RULE).threshold, expected)


def published_rule(cv2, values):
    """The published steps: stretch, cut off to 8 bits, Otsu, contours, and each of more than one vertex filled."""
    from PIL import Image, ImageDraw

    stretched = values - values.min()
    stretched = stretched / stretched.max()
    grey = (np.float32(255) * stretched).astype(np.uint8)
    _, marked = cv2.threshold(grey, 0, int(grey.max()), cv2.THRESH_OTSU)
    contours = cv2.findContours(marked, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[0]
    image = Image.new("1", (grey.shape[1], grey.shape[0]))
    for contour in contours:
        if len(contour) > 1:
            corners = [(int(x), int(y)) for ((x, y),) in contour]
            ImageDraw.Draw(image).polygon(corners, outline=1, fill=1)
    return np.array(image, bool)


def test_the_region_is_that_of_opencv_to_the_pixel():
    cv2 = pytest.importorskip("cv2")
    generator = np.random.default_rng(2)
    compared = 0
    for _ in range(400):
        values = smooth_map(generator)
        if values.max() > values.min():
            assert np.array_equal(evidence(values, RULE).region, published_rule(cv2, values))
            compared += 1
    assert compared > 300
