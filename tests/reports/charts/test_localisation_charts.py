"""Charts over thresholds, free-response charts and bars of shares, as their sections build them."""

import numpy as np
import pytest
from reportlab.graphics.shapes import Drawing

from pipeline.findings.localisation.curves import CURVE_SHARES, ThresholdCurve
from pipeline.findings.plotted.marks import FrocCurve
from pipeline.findings.plotted.shares import CohortShares
from reports.charts.localisation import froc_charts, threshold_charts
from reports.registry import Context
from reports.sections.evidence_shares import build
from tests.reports.charts.reading import check, points, texts
from tests.reports.example import results

NAMES = ("gradcam", "layercam", "centre_prior")


def drawings(flowables):
    """Every drawing within flowables, tables and groups."""
    for flowable in flowables if isinstance(flowables, list | tuple) else [flowables]:
        if isinstance(flowable, Drawing):
            yield flowable
        elif isinstance(flowable, list | tuple):
            yield from drawings(flowable)
        else:
            yield from drawings(getattr(flowable, "_content", None) or getattr(flowable, "_cellvalues", None) or [])


def threshold_curve(metric, method, label, scale=1.0):
    values = tuple(scale * (1 - share) for share in CURVE_SHARES)
    return ThresholdCurve(
        metric=metric, method=method, label=label, shares=CURVE_SHARES, values=values,
        low=tuple(0.8 * v for v in values), high=values, confidence=0.95, interval="bootstrap", patients=20, studies=24,
    )  # fmt: skip


def froc_curve(method, label=None, most=3.0):
    count = len(CURVE_SHARES)
    return FrocCurve(
        method=method, label=label, thresholds=CURVE_SHARES[::-1], confidence=0.95, interval="none",
        false_marks=tuple(np.linspace(0, most, count)), sensitivity=tuple(np.linspace(0, 0.83, count)),
        lesions=31, images=24, patients=20,
    )  # fmt: skip


def test_each_label_has_three_charts_over_thresholds_and_one_key():
    curves = tuple(
        threshold_curve(metric, name, label, 0.9 - 0.2 * place)
        for label in ("nodule", "mass")
        for metric in ("dice", "voxel_precision", "voxel_recall", "iou")
        for place, name in enumerate(NAMES)
    )
    charts = list(drawings(threshold_charts(results(curves=curves))))
    assert len(charts) == 2 * (3 + 1)
    words = [check(chart) for chart in charts]
    assert sum(said.startswith("Key:") for said in words) == 2
    assert "Grad-CAM 0.85 at 0.05" in words[0]
    assert all(name in texts(charts[3]) for name in ("Grad-CAM", "LayerCAM", "Centre prior (baseline)"))


@pytest.mark.parametrize("most", [0.0, 3.0, 250.0])
def test_a_free_response_chart_holds_any_number_of_false_marks(most):
    (chart,) = drawings(froc_charts(results(froc_curves=tuple(froc_curve(name, most=most) for name in NAMES))))
    words = check(chart)
    assert len(points(chart, 1.6)) == 3 * (len(CURVE_SHARES) + 1), "each threshold, and the key"
    assert "share of lesions found over false marks in an image" in words
    assert "0.83 at" in words


def test_bars_of_shares_stand_over_the_pictures_own(tmp_path):
    shares = tuple(
        CohortShares(method=name, among=among, studies=24, patients=20, evidence={"lesion": 0.3, "body": 0.7},
                     voxels={"lesion": 0.01, "body": 0.59, "outside": 0.4})
        for among in ("reference_positive", "true_positive") for name in NAMES[:2]
    )  # fmt: skip
    charts = list(drawings(build(Context(results(region_shares=shares), tmp_path, "0" * 64, {}))))
    assert len(charts) == 1, "of the first stratum"
    words = check(charts[0])
    assert "Grad-CAM: inside an expert's outline 0.30, elsewhere in the body 0.70" in words
    assert "Share of the picture: inside an expert's outline 0.01" in words
    empty = build(Context(results(), tmp_path, "0" * 64, {}))
    assert list(drawings(empty)) == []
