"""Subgroups of several maps beside each other: every number in its panel, differences below, nothing outside."""

import pytest

from pipeline.findings.plotted.differences import GroupDifference
from reports.charts.subgroup_panels import PANELS_ACROSS, SubgroupPanel, subgroup_panels
from reports.page.fonts import BOLD, REGULAR
from tests.reports.charts.reading import check, points, texts
from tests.reports.example import estimate, results

GROUPS = ("sex=F", "sex=M", "a column with a name that is far too long for its place=the value")


def difference(group, p_adjusted=1.0):
    return GroupDifference(
        metric="iou", method="gradcam", among="reference_positive", column=group[:3], group=group, value=-0.137,
        low=-0.53, high=0.21, confidence=0.95, interval="exact", p=0.4, p_adjusted=p_adjusted, family=6, patients=20,
        patients_rest=21,
    )  # fmt: skip


def panel(method="gradcam", groups=GROUPS, **more):
    members = tuple(estimate("iou", method, 0.1 * (place + 2), group=group) for place, group in enumerate(groups))
    return SubgroupPanel(estimate("iou", method, 0.613), members, **more)


def test_groups_stand_once_and_each_panel_has_its_numbers():
    (drawing,) = subgroup_panels(results(), [panel(), panel("hirescam", groups=GROUPS[:2])])
    words = check(drawing)
    said = texts(drawing)
    assert said.count("sex: F") == 1
    assert any(text.endswith(": the value") and "\u2026" in text for text in said), "a name is cut, and no value"
    assert len(points(drawing, 2.3)) == 4 + 3
    assert "IoU of Grad-CAM in subgroups: all 0.61 [0.53, 0.70]" in words
    assert "IoU of HiResCAM in subgroups" in words


def test_differences_stand_below_and_those_that_stay_are_bold():
    shifts = (difference("sex=F"), difference("sex=M", 0.004))
    (drawing,) = subgroup_panels(results(), [panel(differences=shifts)])
    words = check(drawing)
    rows = {string.text: string.fontName for string in drawing.contents if ", p " in getattr(string, "text", "")}
    interval = "\u22120.14 [\u22120.53, 0.21]"
    assert list(rows) == [f"{interval}, p 1.00", f"{interval}, p 0.0040"]
    assert list(rows.values()) == [REGULAR, BOLD]
    assert "sex: F minus the rest \u22120.14" in words


@pytest.mark.parametrize("many", [1, 3, 4, 7])
def test_more_panels_than_fit_make_further_plots(many):
    drawings = subgroup_panels(results(), [panel() for _ in range(many)])
    assert len(drawings) == -(-many // PANELS_ACROSS)
    for drawing in drawings:
        check(drawing)


def test_many_groups_make_plots_that_fit_on_a_page():
    groups = [f"site={number}" for number in range(200)]
    drawings = subgroup_panels(results(), [panel(groups=groups)])
    assert max(drawing.height for drawing in drawings) < 650
    assert sum(len(points(drawing, 2.3)) for drawing in drawings) == 201


def test_a_group_without_an_estimate_says_why():
    nothing = estimate("iou", "gradcam", None, group="sex=F", reason="no study has a mask")
    (drawing,) = subgroup_panels(results(), [SubgroupPanel(None, (nothing,))])
    check(drawing)
    assert "no study has a mask" in texts(drawing)


def test_a_panel_without_groups_is_refused():
    with pytest.raises(ValueError, match="needs a group"):
        SubgroupPanel(None, ())
