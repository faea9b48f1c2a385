"""Curves, reliability and confusion: their places read back on the axes, their words held against the data."""

import re

import numpy as np
import pytest
from PIL import Image
from reportlab.graphics.shapes import Polygon, PolyLine, Rect

from pipeline.evidence.cohort.estimating import Bootstrap
from pipeline.evidence.plotted.calibration import calibration_of
from pipeline.evidence.plotted.curves import Rated, operating_point, precision_recall_curve, roc_curve
from pipeline.findings.plotted.classifier import LabelCell, PrecisionRecallCurve, RocCurve
from reports.charts.confusion import Thumbnail, confusion_chart
from reports.charts.discrimination import precision_recall_chart, roc_chart
from reports.charts.reliability import compact, reliability_chart
from tests.reports.charts.reading import check, corners, points, shapes, texts, upright
from tests.reports.example import estimate

WIDTH = 155.0


def rated(count, seed=0):
    generator = np.random.default_rng(seed)
    positive = np.arange(count) % 2 == 0
    probability = np.clip(generator.normal(0.4 + 0.25 * positive, 0.2), 0, 1)
    return Rated(probability, positive, probability >= 0.5, np.ones(count))


def frame_of(drawing):
    """The square of both axes: (left, bottom, side)."""
    (rectangle,) = [shape for shape in shapes(drawing, Rect) if shape.fillColor is None]
    return rectangle.x, rectangle.y, rectangle.width


def on_axes(drawing, places):
    left, bottom, side = frame_of(drawing)
    return [((x - left) / side, (y - bottom) / side) for x, y in places]


@pytest.mark.parametrize("count", [2, 40, 1000])
def test_a_roc_curve_is_drawn_where_its_corners_lie(count):
    curve, operating = roc_curve(rated(count)), operating_point(rated(count))
    drawing = roc_chart("nodule", curve, operating, "0.81 [0.70, 0.90]", WIDTH)
    words = check(drawing)
    (line,) = shapes(drawing, PolyLine)
    expected = list(zip(curve.false_positive_rate, curve.sensitivity, strict=True))
    assert np.array(on_axes(drawing, corners(line))) == pytest.approx(np.array(expected))
    (circle,) = on_axes(drawing, points(drawing, 2.8))
    assert circle == pytest.approx((operating.false_positive_rate, operating.sensitivity))
    assert "AUROC 0.81 [0.70, 0.90]" in words
    assert f"sensitivity {operating.sensitivity:.2f}, 1 \u2212 specificity {operating.false_positive_rate:.2f}" in words
    assert f"{len(curve.sensitivity)} corners" in words


@pytest.mark.parametrize("count", [2, 40, 1000])
def test_a_precision_recall_curve_is_drawn_as_steps(count):
    curve, operating = precision_recall_curve(rated(count)), operating_point(rated(count))
    drawing = precision_recall_chart("nodule", curve, operating, WIDTH)
    words = check(drawing)
    (line,) = shapes(drawing, PolyLine)
    steps = np.array(on_axes(drawing, corners(line)))
    assert steps[1::2] == pytest.approx(np.stack([curve.recall, curve.precision], axis=1))
    assert steps[::2, 1] == pytest.approx(np.array(curve.precision))
    assert f"average precision {curve.average_precision:.2f}; chance (dotted) {curve.prevalence:.2f}" in words


def test_a_classifier_that_calls_nothing_is_drawn_without_a_point():
    silent = operating_point(rated(6)).model_copy(update={"precision": None})
    curve = PrecisionRecallCurve(recall=(1.0,), precision=(0.5,), average_precision=0.5, prevalence=0.5)
    drawing = precision_recall_chart("nodule", curve, silent, WIDTH)
    assert "nothing was called: there is no precision" in check(drawing)
    assert points(drawing, 2.8) == []


def test_a_long_label_stays_in_the_drawing():
    curve = RocCurve(false_positive_rate=(0, 0, 1), sensitivity=(0, 1, 1))
    check(roc_chart("enlarged cardiomediastinum " * 8, curve, None, "1.00", WIDTH))


@pytest.mark.parametrize("count", [4, 60, 1000])
def test_reliability_is_drawn_bin_by_bin(count):
    calibration = calibration_of(rated(count), np.arange(count), Bootstrap(50, 0))
    drawing = reliability_chart("nodule", calibration, WIDTH)
    words = check(drawing)
    expected = [(cell.predicted, cell.observed) for cell in calibration.bins]
    assert np.array(on_axes(drawing, points(drawing, 2.1))) == pytest.approx(np.array(expected))
    left, bottom, side = frame_of(drawing)
    lines = [(low, high) for _, low, high in upright(drawing, 0.9)]
    observed = [(cell.observed_low, cell.observed_high) for cell in calibration.bins]
    assert (np.array(lines) - bottom) / side == pytest.approx(np.array(observed))
    bars = [shape for shape in shapes(drawing, Rect) if shape.fillColor is not None]
    studies = np.array([cell.studies for cell in calibration.bins])
    assert [bar.x - 0.8 for bar in bars] == pytest.approx([left + side * cell.low for cell in calibration.bins])
    tall = np.array([bar.height for bar in bars])
    assert tall[studies == studies.max()] == pytest.approx(tall.max())
    for cell in calibration.bins:
        assert f"{cell.studies:,} studies, observed {cell.observed:.2f}" in words
        assert compact(cell.studies) in texts(drawing)


@pytest.mark.parametrize(
    ("many", "shown"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.0k"),
        (9949, "9.9k"),
        (9950, "10k"),
        (99_999, "100k"),
        (999_499, "999k"),
        (2_000_000, "2M"),
    ],
)
def test_counts_above_bars_take_four_characters_at_most(many, shown):
    assert compact(many) == shown
    assert len(shown) <= 4


def cells(hits=0.913, typical=None):
    kinds = [(True, True, 1234), (True, False, 7), (False, True, 0), (False, False, 98_765)]
    hit_rate = estimate("hit_rate", "gradcam", hits)
    return [
        LabelCell(
            present=present, called=called, studies=many, patients=many,
            typical=typical if present and called else None,
            hit_rate=hit_rate if present else None,
        )
        for present, called, many in kinds
    ]  # fmt: skip


def test_the_confusion_matrix_tells_counts_hits_and_a_typical_case():
    outline = ((0.25, 0.25), (0.75, 0.25), (0.75, 0.5), (0.25, 0.5))
    thumbnail = Thumbnail("S0007", Image.new("RGB", (40, 20)), (outline,))
    drawing = confusion_chart("nodule", "Grad-CAM", cells(typical="S0007"), {"S0007": thumbnail}, 480.0)
    words = check(drawing)
    said = texts(drawing)
    assert [word for word in said if word in ("1,234", "7", "0", "98,765")] == ["1,234", "7", "0", "98,765"]
    assert "0.91 [0.79, 1.04]" in said
    assert words.count("hit rate of Grad-CAM") == 2
    assert "found 1,234 studies of 1,234 patients" in words
    assert "false alarm 0 studies of 0 patients, no such study" in words
    assert "(shown: S0007)" in words
    ((picture, (x, y, width, height)),) = vars(drawing)["pictures"]
    assert picture.size == (40, 20)
    assert width == pytest.approx(2 * height), "at its true proportions"
    polygon = shapes(drawing, Polygon)[-1]
    assert polygon.points[:2] == pytest.approx([x + 0.25 * width, y + 0.75 * height]), "a quarter down from the top"


def test_a_confusion_matrix_without_pictures_or_hits_says_why():
    bare = [cell.model_copy(update={"hit_rate": None}) for cell in cells()]
    words = check(confusion_chart("nodule " * 30, "Grad-CAM", bare, {}, 480.0))
    assert "no map held against a mask" in words
    assert "no lesion to hit" in words
    assert re.search(r"found 1,234 studies", words)
