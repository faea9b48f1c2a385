"""What scoring a large study costs, beside the same scores written down plainly.

``python -m tests.benchmarks.scoring``: a CT of 512 x 512 x 128 with two readers' masks, eight maps of 16 x 16 x 16
cells and the baselines. ``plain`` sorts an index of every voxel for each map, and counts with arrays of the whole
volume; it gives the same five scores, which is checked. Both take turns in one process; memory is measured in a process
of its own. Last the engine alone with all five baselines, the image's and the cohort's among them.
"""

import argparse
import sys
from types import SimpleNamespace

import numpy as np
import torch

from pipeline.config import AuditConfig
from pipeline.evidence.baselines import CentrePriors, centre_prior, random_map
from pipeline.evidence.engine import NumpyEngine
from pipeline.evidence.localisation.average_mask import AverageMasks
from pipeline.evidence.metrics.registry import METRICS, measured_metrics
from pipeline.findings.scores import MapScores
from pipeline.models.prepare import Prepared
from pipeline.models.prepared_studies import PreparedStudy
from pipeline.studies.geometry import Geometry, cells, plan
from pipeline.studies.volume import Mask
from pipeline.vocabulary import BASELINES, USUAL_BASELINES
from pipeline.walk.measuring import StudyMap, StudyMeasuring
from tests.benchmarks.measure import GIB, paired, peak_memory

METHODS = ("gradcam", "hirescam", "layercam", "gradcampp", "xgradcam", "eigencam", "scorecam", "ablationcam")
SHAPE, SPACING, CELLS = (512, 512, 128), (0.7, 0.7, 2.5), (16, 16, 16)


LIMIT_SECONDS, LIMIT_GIB = 15.0, 1.5
"""What eight maps and all baselines may take."""


def case(shape=SHAPE, metrics=None, engine=NumpyEngine(), baselines=USUAL_BASELINES):  # noqa: B008 - it is frozen
    """Return an auditor, a source, a study and its maps, as the walk has them."""
    overlap = {"baselines": baselines} | ({"metrics": metrics} if metrics else {})
    config = AuditConfig.model_validate(
        {
            "name": "scoring",
            "archive": {"path": "archive"},
            "model": {"name": "none", "factory": "none:none", "labels": ["clear", "lesion"]},
            "prepare": [{"_target_": "Orientation"}],
            "explain": {"methods": METHODS},
            "overlap": overlap,
        }
    )
    auditor = SimpleNamespace(
        config=config,
        layers=("layer",),
        metrics=measured_metrics(config, METRICS),
        centre_priors=CentrePriors(),
        shifts={},
        engine=engine,
        rule_for=lambda *_: config.overlap.threshold,
        average_masks=AverageMasks(
            {("lesion", len(shape)): np.random.default_rng(1).integers(0, 60 * 65535, (32,) * len(shape))},
            {("lesion", len(shape)): 60},
            lambda *_: None,  # the patient has no part in the sums
        ),
    )
    geometry = Geometry(shape, np.diag([*SPACING, 1.0]))
    grid = cells(geometry, CELLS)
    generator = np.random.default_rng(0)
    masks = tuple(Mask(_ball(shape, generator), geometry, "lesion", reader) for reader in ("anna", "ben"))
    x = Prepared(torch.rand((1, 64, 64, 64), generator=torch.Generator().manual_seed(0)), cells(geometry, (64,) * 3))
    study = PreparedStudy("study", "patient", geometry, masks, ("lesion",), {}, {}, (), x)
    maps = {
        ("lesion", method, "layer"): StudyMap(generator.normal(size=CELLS).astype(np.float32), grid, "map", "0" * 64)
        for method in METHODS
    }
    return auditor, SimpleNamespace(sha256="0" * 64), study, maps


def _ball(shape, generator):
    middle = [size * generator.uniform(0.3, 0.7) for size in shape]
    radius = min(shape) / 4
    away = sum(((at - to) / radius) ** 2 for at, to in zip(np.ogrid[tuple(map(slice, shape))], middle, strict=True))
    return np.asarray(away < 1)


def engine(auditor, source, study, maps):
    """Return a call that scores all maps and baselines by the walk's own code."""

    def call() -> list[MapScores]:
        measuring = StudyMeasuring(auditor, source, study)
        return measuring.maps(maps) + measuring.baselines(maps, ["lesion"])

    return call


def plain(auditor, source, study, maps):
    """Return a call that gives the same scores, each from arrays of the whole volume."""

    def call() -> list[tuple[float, ...]]:
        resampling = plan(next(iter(maps.values())).grid, study.geometry)
        fields = [resampling.apply(kept.values) for kept in maps.values()]
        fields.append(resampling.apply(random_map(CELLS, auditor.config.run.seed, source.sha256)))
        fields.append(centre_prior(study.geometry))  # the baselines that need no more than the grid
        return [_plain_scores(np.maximum(field, 0), mask.array) for field in fields for mask in study.masks]

    return call


def _plain_scores(positive, mask) -> tuple[float, ...]:
    counts, edges = np.histogram(positive, 256, range=(positive.min(), positive.max()))
    middles = (edges[:-1] + edges[1:]) / 2
    below, above = np.cumsum(counts), np.cumsum(counts[::-1])[::-1]
    mean_below = np.cumsum(counts * middles) / below
    mean_above = (np.cumsum((counts * middles)[::-1]) / above[::-1])[::-1]
    between = below[:-1].astype(float) * above[1:] * (mean_below[:-1] - mean_above[1:]) ** 2
    region = positive > middles[np.argmax(between)]
    common = (region & mask).sum()
    order = np.argsort(-positive.ravel(), kind="stable")
    ordered, hits = positive.ravel()[order], np.cumsum(mask.ravel()[order])
    ends = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(order) - 1)
    precision = hits[ends] / (ends + 1)
    return (
        common / (region | mask).sum(),
        2 * common / (region.sum() + mask.sum()),
        mask.ravel()[order[: ends[0] + 1]].mean(),
        positive[mask].sum(dtype=np.float64) / positive.sum(dtype=np.float64),
        (np.diff(hits[ends], prepend=0) * precision).sum() / hits[-1],
    )


def scoring_with_all_baselines():
    """Return the call with every baseline there is."""
    return engine(*case(baselines=tuple(BASELINES)))


def scoring_of_case():
    """Return the call whose memory is measured; only what this module makes is alive before it."""
    return engine(*case())


def largest_difference(shape) -> float:
    """Return by how much a score of the engine differs from the plain one at most."""
    entries = engine(*case(shape))()
    ours = [[score.value for score in entry.scores] for entry in entries]
    return float(np.abs(np.array(ours) - plain(*case(shape))()).max())


def main() -> int:
    """Print seconds, memory and the largest difference of two scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--all-metrics", action="store_true", help="the engine's time with every metric, no comparison")
    given = parser.parse_args()
    torch.set_num_threads(1)
    functions = {"engine": engine(*case(metrics=tuple(METRICS) if given.all_metrics else None))}
    if not given.all_metrics:
        functions["plain"] = plain(*case())
        print(f"largest difference of two scores (128 x 128 x 64): {largest_difference((128, 128, 64)):.1e}")
    for name, spent in paired(functions, given.repeats).items():
        print(f"{name}: {spent:.2f} CPU s" if isinstance(spent, float) else f"{name}: {spent}")
    peak = peak_memory(scoring_of_case)
    print(f"memory above the study itself: {peak / GIB:.2f} GiB" if isinstance(peak, (int, float)) else peak)
    return 0 if given.all_metrics else _all_baselines()


def _all_baselines() -> int:
    """Print what all baselines take, and return 1 where that is more than they may."""
    (spent,) = paired({"all baselines": scoring_with_all_baselines()}, 1).values()
    peak = peak_memory(scoring_with_all_baselines)
    print(f"with all five baselines: {spent} CPU s (at most {LIMIT_SECONDS:g}), {peak} bytes")
    assert isinstance(spent, float)
    assert isinstance(peak, (int, float))
    print(f"  {peak / GIB:.2f} GiB above the study itself (at most {LIMIT_GIB:g})")
    return int(spent > LIMIT_SECONDS or peak > LIMIT_GIB * GIB)


if __name__ == "__main__":
    sys.exit(main())
