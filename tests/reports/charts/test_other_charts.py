"""Flow of studies, curves, shares and control charts."""

import numpy as np
import pytest
from reportlab.graphics.shapes import Polygon, PolyLine, Rect

from pipeline.findings.plotted.classifier import AnswerCount
from pipeline.findings.plotted.control import Arrivals, FallDelay, RunControl
from pipeline.findings.plotted.history import RunPoint
from pipeline.findings.results import Flow
from reports.charts.control import control_chart, control_words, words_below
from reports.charts.curves import CurveAxes, Series, curve_chart
from reports.charts.flow import flow_chart
from reports.charts.shares import share_bars
from reports.page.layout import COLUMN
from tests.reports.charts.reading import check, corners, points, shapes, texts, upright


def flow(**facts):
    excluded, failed = {"no_mask": 3, "other_modality": 1}, {"truncated": 2}
    given = {
        "found": 106,
        "analysed": 100,
        "excluded": excluded,
        "failed": failed,
        "patients": 90,
        "computed": 106,
        "reused": 0,
    }
    return Flow(**{**given, **facts})


def answers(*rows):
    return [
        AnswerCount(reference=reference, answered=answered, studies=many, patients=many)
        for reference, answered, many in rows
    ]


def test_the_flow_counts_everybody_once_and_splits_the_analysed_by_reference_and_answer():
    counts = answers(
        (("nodule",), ("nodule",), 55), ((), (), 30), (("nodule",), (), 5), ((), ("nodule",), 8), (None, (), 2)
    )
    drawing = flow_chart(flow(), counts, "clear")
    words = check(drawing)
    assert "Found: 106." in words
    assert "Excluded: 4; no mask: 3; other modality: 1." in words
    assert "Failed: 2; truncated: 2." in words
    assert "Analysed: 100." in words
    assert "Reference nodule: 60; answered nodule: 55; answered clear: 5." in words
    assert "Reference clear: 38; answered clear: 30; answered nodule: 8." in words
    assert "Reference not stated: 2; answered clear: 2." in words
    assert 60 + 38 + 2 == 100
    boxes = shapes(drawing, Rect)
    assert len(boxes) == 4 + 3
    assert all(box.x >= 0 and box.x + box.width <= drawing.width + 1e-6 for box in boxes)


def test_many_references_and_answers_are_gathered_and_none_is_lost():
    rows = [((f"label {n}",), (f"label {m}",), 1 + n + m) for n in range(9) for m in range(9)]
    total = sum(many for *_, many in rows)
    drawing = flow_chart(flow(found=total, analysed=total, excluded={}, failed={}, computed=total), answers(*rows))
    words = check(drawing)
    heads = [int(string.replace(",", "")) for string in texts(drawing) if string.replace(",", "").isdigit()]
    assert heads.count(total) == 2
    said = [part for part in words.split(". ") if part.startswith(("Reference", "Other"))]
    assert len(said) == 4
    assert sum(int(part.split(";")[0].rpartition(": ")[2].replace(",", "")) for part in said) == total
    for part in said:
        head, *lines = [int(line.rpartition(": ")[2].rstrip(".").replace(",", "")) for line in part.split("; ")]
        assert head == sum(lines)


def test_a_flow_without_answers_is_drawn_as_before():
    drawing = flow_chart(flow(excluded={}, failed={}, found=100, computed=100))
    check(drawing)
    assert len(shapes(drawing, Rect)) == 4


AXES = CurveAxes("Dice", "threshold, share of the map's maximum", "Dice", (0.0, 1.0), (0.0, 1.0))


def plot_area(drawing):
    """(left, right) and (bottom, top) of the axes, from the grid."""
    lines = upright(drawing, 0.3)
    return (min(x for x, *_ in lines), max(x for x, *_ in lines)), (lines[0][1], lines[0][2])


@pytest.mark.parametrize("count", [2, 19, 1000])
def test_curves_are_drawn_at_their_places_and_told_apart_by_dashes(count):
    x = np.linspace(0, 1, count)
    series = [Series("Grad-CAM", x, x**2, low=x**2 / 2, high=x), Series("Centre prior", x, 0.1 + 0 * x, beside=True)]
    drawing = curve_chart(series, AXES, 480.0, 150.0)
    words = check(drawing)
    (left, right), (bottom, top) = plot_area(drawing)
    curves = [line for line in shapes(drawing, PolyLine) if len(line.points) == 2 * count and line.strokeWidth != 1]
    drawn = (np.array(corners(curves[0])) - [left, bottom]) / [right - left, top - bottom]
    assert drawn == pytest.approx(np.stack([x, x**2], axis=1), abs=1e-9)
    assert len({tuple(line.strokeDashArray or ()) for line in curves}) == 2
    (band,) = shapes(drawing, Polygon)
    assert len(band.points) == 4 * count
    assert "Grad-CAM" in words
    assert "1.00 at 1.00" in words


def test_one_point_and_no_point_are_drawn():
    drawing = curve_chart([Series("a", [0.5], [0.3]), Series("b", [], [])], AXES, 300.0, 120.0)
    assert "b has no point" in check(drawing)
    assert len(points(drawing, 1.6)) == 2, "the point and its key"


def test_extreme_curves_have_an_axis():
    for values in ([0.0, 0.0], [1e6, 2e6], [1e-7, 3e-7]):
        check(curve_chart([Series("a", [0, 1], values)], CurveAxes("FROC", "marks", "sensitivity"), 300.0, 120.0))


REGIONS = {
    "lesion": "inside an expert's outline", "organ": "rest of the organ", "body": "elsewhere in the body",
    "border": "at the picture's border", "outside": "outside the body", "marker": "forbidden region: marker",
}  # fmt: skip


def test_bars_show_shares_that_add_up():
    rows = [
        ("Grad-CAM", {"lesion": 0.5, "body": 0.25, "outside": 0.245, "border": 0.005}),
        ("Layer-CAM", {"marker": 1.0}),
    ]
    drawing = share_bars(rows, REGIONS)
    words = check(drawing)
    pieces = [shape for shape in shapes(drawing, Rect) if shape.height == 8.5]
    widths = [shape.width for shape in pieces]
    whole = widths[-1]
    assert np.array(widths[:4]) / whole == pytest.approx([0.5, 0.25, 0.005, 0.245])
    assert [shape.x for shape in pieces[1:4]] == pytest.approx(
        [pieces[0].x + whole * part for part in (0.5, 0.75, 0.755)]
    )
    assert (
        "Grad-CAM: inside an expert's outline 0.50, elsewhere in the body 0.25, at the picture's border 0.01" in words
    )
    assert "rest of the organ" not in texts(drawing), "what no map has is not in the key"


@pytest.mark.parametrize("shares", [{"lesion": 0.5}, {"lesion": 0.5, "moon": 0.5}, {"lesion": 1.5, "body": -0.5}])
def test_shares_that_are_none_are_refused(shares):
    with pytest.raises(ValueError, match="add up to 1"):
        share_bars([("Grad-CAM", shares)], REGIONS)


def _date(place):
    return f"2026-{1 + place // 28 % 12:02d}-{1 + place % 28:02d}T00:00:00+00:00"


def run(place, value=0.7, answer="MET", bound=0.6, lock="a" * 64):
    ends = (None, None) if value is None else (value - 0.1, value + 0.1)
    return RunPoint(
        run=f"r{place}", finished_at=_date(place), criterion="c", value=value,
        low=ends[0], high=ends[1], bound=bound, patients=40, answer=answer, lock=lock,
    )  # fmt: skip


def test_runs_are_drawn_in_order_with_bound_and_changed_lock():
    history = [
        run(0, 0.5, "NOT MET"),
        run(1, None, "NOT EVALUATED"),
        run(2, 0.65, "INCONCLUSIVE", lock="b" * 64),
        run(3, 0.8, lock="b" * 64),
    ]
    drawing = control_chart(history, "Hit rate of Grad-CAM", (0.0, 1.0))
    words = check(drawing)
    drawn = points(drawing, 2.3)
    assert len(drawn) == 2, "NOT MET is a cross, and a run without an estimate a gap"
    (low, high) = (28, drawing.height - 16)
    assert [(y - low) / (high - low) for _, y in drawn] == pytest.approx([0.65, 0.8])
    assert [(bottom - low) / (high - low) for _, bottom, _ in upright(drawing, 0.8)[:1]] == pytest.approx([0.4])
    (bound,) = [line for line in shapes(drawing, PolyLine) if line.strokeWidth == 1.4]
    assert {round((y - low) / (high - low), 6) for _, y in corners(bound)} == {0.6}
    assert "the locked criteria changed (1 of 3 times)" in words
    assert "2026-01-01 0.50 [0.40, 0.60], asked for 0.60, NOT MET" in words
    assert "2026-01-02 no estimate, NOT EVALUATED" in words


@pytest.mark.parametrize(
    ("locks", "says"),
    [
        ("aa", "the locked criteria are the same in all 2 runs"),
        ("ab", "dashed: the locked criteria changed (1 of 1 times)"),
        ("--", "no criteria were locked"),
        ("-", "no criteria were locked"),
        ("-aa", "dashed: criteria were locked, changed, or locked no more (1 of 2 times)"),
    ],
)
def test_what_was_locked_is_said_as_it_was(locks, says):
    history = [run(place, lock=None if lock == "-" else lock * 64) for place, lock in enumerate(locks)]
    words = check(control_chart(history, "Hit rate", (0.0, 1.0)))
    assert f"Thick line: what is asked for; {says}." in words
    assert ("locked criteria" in words) == ("-" not in locks)


@pytest.mark.parametrize("count", [1, 2, 200, 1000])
def test_any_number_of_runs_has_room(count):
    drawing = control_chart([run(place) for place in range(count)], "Hit rate " * 40, (0.0, 1.0))
    assert len(points(drawing, 2.3)) == count
    assert f"over {count} runs" in check(drawing)


def watched(**facts):
    given = {"reference": 0.6, "side": "at_least", "accepted": 100, "allowance": 0.46, "limit": 11.3, "per_run": 5,
             "in_control_runs": 1234.4, "delays": (FallDelay(fall=0.1, runs=41.62), FallDelay(fall=0.2, runs=None)),
             "arrivals": (Arrivals(run="r0", patients=40, value=0.7, total=0.0),
                          Arrivals(run="r1", patients=5, value=0.2, total=1.74))}  # fmt: skip
    return RunControl.model_validate({**given, **facts})


def test_a_chart_says_what_it_can_see_and_where_it_stands():
    seen, now = control_words(watched())
    assert seen == (
        "At 0.60, in control: a false alarm every 1,234 runs on average; "
        "a fall by 0.10 would be seen after 41.6 runs on average."
    )
    assert now.endswith("5 patients. The sum of what they fall short stands at 1.74 of 11.3: no alarm.")
    both = (FallDelay(fall=0.1, runs=41.62), FallDelay(fall=0.2, runs=9.5))
    seen, now = control_words(watched(side="at_most", delays=both, alarm="r1", in_control_runs=1e6))
    assert "a false alarm every 1,000,000 runs or more on average; a rise by 0.10" in seen
    assert seen.endswith("one by 0.20 would be seen after 9.50 runs on average.")
    assert now.endswith("ALARM since run r1.")
    assert check(words_below(watched())).startswith("At 0.60, in control")


def test_reasons_beyond_a_dozen_stand_together_and_sum_up():
    reasons = {f"reason_{number}": 1000 + number for number in range(30)}
    total = 100 + 2 * sum(reasons.values())
    drawing = flow_chart(
        flow(found=total, excluded=reasons, failed=reasons, computed=total),
        answers(*(((f"a finding with a long name, number {n}",), (f"label {n}",), 25) for n in range(4))), room=COLUMN,
    )  # fmt: skip
    words = check(drawing)
    assert drawing.height < 700, "it stands in a column of a page"
    for side in ("Excluded", "Failed"):
        head, *lines = words.split(f"{side}: ")[1].split(".")[0].split("; ")
        numbers = [int(line.rpartition(": ")[2].replace(",", "")) for line in lines]
        assert len(numbers) == 12
        assert int(head.replace(",", "")) == sum(numbers) == sum(reasons.values())
    assert any(string.endswith("er 3:") for string in texts(drawing)), "of a long name both ends are kept"
