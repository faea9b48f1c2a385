"""The family ``stability``: choices of the preparation made otherwise, and maps of different patients in one frame."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.config_experiments import StabilityConfig
from pipeline.evidence.stability.rules import stability_findings
from pipeline.experiments.prepared_otherwise import other_steps
from pipeline.experiments.stability import stability
from pipeline.models.prepare import build_transforms
from pipeline.studies.geometry import Geometry
from pipeline.studies.volume import Volume
from tests.pipeline.experiments.controls import SmallNet, bench_of, pictures
from tests.pipeline.experiments.test_sanity import auditor  # noqa: F401 - a fixture

CHANNEL = {"_target_": "EnsureChannelFirst"}
SPACING = {"_target_": "Spacing", "pixdim": [1.7, 1.7], "mode": "bilinear"}
RESIZE = {"_target_": "monai.transforms.Resize", "spatial_size": [16, 16]}


def test_the_spacing_is_a_tenth_larger_and_nothing_else_changes():
    coarser = other_steps("spacing", [CHANNEL, SPACING, RESIZE])
    assert coarser[0] == CHANNEL
    assert coarser[1] == {**SPACING, "pixdim": [pytest.approx(1.87), pytest.approx(1.87)]}
    assert coarser[2] == RESIZE
    assert other_steps("spacing", [{**SPACING, "pixdim": 3.0}])[0]["pixdim"] == pytest.approx(3.3)
    assert other_steps("spacing", [{**SPACING, "pixdim": [2.0, -1]}])[0]["pixdim"][1] == -1  # the image's own
    assert other_steps("spacing", [CHANNEL, RESIZE]) == "no step of prepare sets a spacing"


@pytest.mark.parametrize(
    ("step", "mode"),
    [
        (SPACING, "nearest"),
        ({**SPACING, "mode": "nearest"}, "bilinear"),
        ({**SPACING, "mode": 3}, 0),
        (RESIZE, "nearest-exact"),  # the other would shift the picture, and is refused
        ({**RESIZE, "mode": "nearest-exact"}, "area"),
    ],
)
def test_the_interpolation_is_the_other_one(step, mode):
    assert other_steps("interpolation", [CHANNEL, step])[1] == {**step, "mode": mode}
    assert other_steps("interpolation", [CHANNEL]) == "no step of prepare interpolates"


class FixedNet(SmallNet):
    """A network that takes pictures of 19 x 19 alone."""

    def forward(self, x):
        return super().forward(x) if x.shape[-1] == 19 else nn.Linear(1, 1)(x)


def prepared(steps, number=4, **changes):
    """Studies that were prepared by these steps, their images 32 x 32 at 1 mm."""
    preparation, studies = build_transforms(steps), []
    for study in pictures(number):
        grid = Geometry((32, 32), np.eye(4))
        image = Volume(study.x[0].numpy(), grid)
        ready = preparation(image)
        studies.append(replace(study, x=ready.x, image=image, grid=ready.grid, **changes))
    return tuple(studies)


def tried(auditor, steps, network=None, studies=None, **settings):  # noqa: F811
    given = prepared(steps) if studies is None else studies
    bench = bench_of(auditor, network or SmallNet(), ("gradcam",), "stability", given, **settings)
    bench = replace(
        bench, auditor=replace(bench.auditor, config=bench.config.model_copy(update={"prepare": tuple(steps)}))
    )
    rows = stability(bench)
    return rows, stability_findings(rows, StabilityConfig(**settings), [study.study for study in given])


def test_each_change_of_the_preparation_is_a_figure(auditor):  # noqa: F811
    rows, findings = tried(auditor, [SPACING])
    figures = {figure.change: figure for figure in findings.figures}
    assert (rows.not_tried, findings.not_tried) == ({}, {})
    for change in ("spacing", "interpolation"):
        assert figures[change].studies == 4
        assert 0.2 < figures[change].value <= 1
    assert figures["interpolation"].value < 1
    assert findings.not_paired.startswith("the configuration does not say")


def test_what_cannot_be_changed_is_said(auditor):  # noqa: F811
    _, findings = tried(auditor, [])
    assert findings.not_tried == {
        "spacing": "no step of prepare sets a spacing", "interpolation": "no step of prepare interpolates",
    }  # fmt: skip
    rows, findings = tried(auditor, [SPACING], FixedNet())
    assert findings.not_tried == {"spacing": "the model takes no picture of another size"}
    assert rows.not_done == {}
    assert {row.change for row in rows.rows} == {"noise", "shift", "window", "compression", "interpolation"}


def test_maps_of_different_patients_are_compared_where_one_frame_is_declared(auditor):  # noqa: F811
    studies = prepared([SPACING], 5)
    alone = replace(studies[4], label=auditor.config.model.labels[0], label_index=0)
    rows, findings = tried(auditor, [SPACING], studies=(*studies[:4], alone), common_frame=True)
    (figure,) = findings.consistency  # nobody else has the fifth study's label
    assert (figure.label, figure.method, figure.pairs, figure.patients) == ("lesion", "gradcam", 6, 4)
    assert -1 <= figure.value < 0.99
    assert findings.not_paired is None
    for edited in (rows.pairs[:1] * 2, (rows.pairs[0].model_copy(update={"studies": ("S-none", "S-0")}),)):
        with pytest.raises(ValueError, match="pairs of patients are not"):
            stability_findings(
                rows.model_copy(update={"pairs": edited}), StabilityConfig(common_frame=True),
                [f"S-{number}" for number in range(5)],
            )  # fmt: skip


def test_grids_that_differ_are_no_common_frame(auditor):  # noqa: F811
    first, *others = prepared([SPACING])
    moved = replace(first, grid=replace(first.grid, affine=first.grid.affine + _shift()))
    _, findings = tried(auditor, [SPACING], studies=(moved, *others), common_frame=True)
    assert findings.consistency == ()
    assert findings.not_paired == "the prepared studies do not lie on one grid, so they are not in one frame"


def _shift():
    moved = np.zeros((4, 4))
    moved[0, 3] = 1.0
    return moved


def test_a_map_at_another_spacing_is_carried_back_to_the_studys_cells(auditor):  # noqa: F811
    """A network that looks at every voxel alone: at another spacing the map is the same picture, sampled otherwise."""

    class Bright(SmallNet):
        def __init__(self):
            super().__init__()
            self.trunk = nn.Sequential(*[nn.Identity()] * 4, nn.AvgPool2d(2), nn.ReLU())
            self.head = nn.Linear(1, 2)
            with torch.no_grad():
                self.head.weight[:] = torch.tensor([[-1.0], [1.0]])

    smooth = [{"_target_": "GaussianSmooth", "sigma": 3.0}, SPACING]
    rows, _ = tried(auditor, smooth, Bright())
    assert all(row.similarity > 0.8 for row in rows.rows if row.change == "spacing")
