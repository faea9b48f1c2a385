"""A network whose cells look eight voxels beside where they are drawn: on the grid every lesion is missed."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.errors import ConfigError
from pipeline.findings.facts import LayerFacts
from pipeline.runs.measure import measure_run
from pipeline.runs.run import Run
from pipeline.runs.start_watch import StartWatch
from pipeline.studies.geometry import Geometry, cells, plan
from pipeline.walk.alignment import map_resampling, with_layers
from tests.pipeline.planted import FACTORY, plant
from tests.pipeline.runs.test_run import complete
from tests.pipeline.shared_pool import POOL
from tests.pipeline.steps import open_auditor

ASIDE = 8
LOOKS_ASIDE = FACTORY.replace("nn.AvgPool3d(2),", f"nn.ConstantPad3d(({ASIDE}, -{ASIDE}) * 3, 0.0), nn.AvgPool3d(2),")
LOOKS_ASIDE = LOOKS_ASIDE.replace("network[5]", "network[6]").replace("network[1]", "network[2]")


def planted(folder, **overlap):
    config = plant(
        folder,
        9,
        overlap=overlap,
        explain={"methods": ["gradcam"]},
        criteria=[{"metric": "hit_rate", "method": "gradcam", "at_least": 0.7}],
    )
    (folder / "planted_network.py").write_text(LOOKS_ASIDE)
    return config


def hit_rates(results):
    return {
        estimate.method: estimate.value
        for estimate in results.estimates
        if (estimate.metric, estimate.among, estimate.group) == ("hit_rate", "reference_positive", None)
    }


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return {
        align: complete(planted(tmp_path_factory.mktemp(align), align=align)) for align in ("grid", "receptive_field")
    }


def test_maps_moved_by_the_measured_shift_hit(runs):
    grid, moved = (results for _, results in runs.values())
    (layer,) = moved.model.layers
    assert layer.shift_mm == pytest.approx([-ASIDE] * 3, abs=0.01)
    assert hit_rates(grid)["gradcam"] == 0
    assert hit_rates(moved)["gradcam"] >= 0.8
    assert "maps lie where their layer's cells were measured to look" in moved.overlap_rule
    assert "measured to look" not in grid.overlap_rule


def test_both_results_stand_in_one_run(runs):
    """The unmoved estimates of the moved run are those of the run on the grid, to the last bit, bounds and all."""
    grid, moved = (results for _, results in runs.values())
    on_the_grid = {
        (estimate.metric, estimate.method): estimate
        for estimate in grid.estimates
        if (estimate.among, estimate.group) == ("reference_positive", None)
    }
    assert grid.unaligned == ()
    assert {estimate.method for estimate in moved.unaligned} == {"gradcam"}
    assert "hit_rate" in {estimate.metric for estimate in moved.unaligned}
    for estimate in moved.unaligned:
        assert estimate == on_the_grid[estimate.metric, estimate.method]


def test_a_baseline_is_not_moved_and_has_one_result(runs):
    folder, _ = runs["receptive_field"]
    entries = [entry for audit in Run.open(folder, pool=POOL).audits() for entry in audit.map_scores]
    scored = [entry for entry in entries if entry.reader is not None]
    assert {bool(entry.unaligned) for entry in scored if entry.map is None} == {False}
    assert {len(entry.unaligned) == len(entry.scores) for entry in scored if entry.map is not None} == {True}


def test_maps_that_are_kept_give_the_other_result_without_the_model(runs):
    folder, _ = runs["grid"]
    overrides = ["overlap.align=receptive_field"]
    with measure_run(folder, "camaudit measure", overrides, watch=StartWatch(POOL)) as run:
        for shard in range(run.spec.shards):
            run.work(shard)
        again = run.finish()
    assert hit_rates(again)["gradcam"] == hit_rates(runs["receptive_field"][1])["gradcam"]


def test_the_picture_draws_what_was_measured(runs):
    from pipeline.findings.pictures.panels import load_panels

    peaks = []
    for folder, results in runs.values():
        case = next(case for case in results.cases if case.panels)
        panels = load_panels(folder / case.panels)
        peaks.append(panels.ranges["gradcam"])
    assert peaks[0] != peaks[1]


def auditor_of(config, shift):
    facts = LayerFacts(name="1", requested="1", shape=(4, 4, 4), cell_mm=(2.0, 4.0, 8.0), shift_mm=shift)
    return with_layers(open_auditor(config), [facts])


def test_a_map_is_moved_in_cells_and_what_was_seen_stays(tmp_path):
    """Half a cell, a quarter against the axis, and none; a study with other voxels is moved by as many cells."""
    auditor = auditor_of(planted(tmp_path / "audit", align="receptive_field"), (1.0, -1.0, 0.0))
    assert auditor.shifts == {"1": (0.5, -0.25, 0.0)}
    target = Geometry((16, 16, 16), np.diag([0.7, 1.1, 3.0, 1.0]))
    grid = cells(target, (4, 4, 4))
    values = np.random.default_rng(0).random((4, 4, 4), dtype=np.float32)
    moved = map_resampling(auditor, "1", grid, target)
    assert moved.seen.all()
    # the value of a cell's centre is found where the cell looks: 2 voxels on, 1 voxel back
    centre = (4 * 1 + 1.5 + 2, 4 * 2 + 1.5 - 1, 4 * 1 + 1.5)
    points = Geometry((1, 1, 1), target.affine @ np.block([[np.eye(3), np.array(centre)[:, None]], [0, 0, 0, 1]]))
    assert float(map_resampling(auditor, "1", grid, points).apply(values)[0, 0, 0]) == pytest.approx(values[1, 2, 1])
    for other in ("", "2"):
        assert np.array_equal(map_resampling(auditor, other, grid, target).step, plan(grid, target).step)
    assert auditor_of(planted(tmp_path / "other", align="grid"), (1.0, -1.0, 0.0)).shifts == {}


def test_a_shift_that_could_not_be_measured_is_refused(tmp_path):
    config = planted(tmp_path / "audit", align="receptive_field")
    with pytest.raises(ConfigError, match=r"^overlap\.align: the cells of layer '1' do not react .*; use grid"):
        auditor_of(config, None)
    config = planted(tmp_path / "other", align="grid")
    assert replace(auditor_of(config, None)).layers == ("1",)
