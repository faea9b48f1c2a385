"""A finished run with a CT in three planes, a radiograph and a withheld case, cut and scored as an audit does it."""

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.conclusions.per_study_csv import per_study_csv
from pipeline.conclusions.shown_cases.case_volume import LaidMap, cut_volume
from pipeline.conclusions.shown_cases.cases import cut_panels
from pipeline.conclusions.shown_cases.picture_facts import picture_facts
from pipeline.config import OverlapConfig
from pipeline.evidence.localisation.region_counts import region_counts
from pipeline.evidence.metrics.map_evidence import MarkedVoxels, RegionOverlap
from pipeline.evidence.metrics.registry import evidence_of, score_all
from pipeline.findings.custody.ledger import Ledger
from pipeline.findings.custody.recorded_files import record_files
from pipeline.findings.custody.site_key import load_site_key
from pipeline.findings.pictures.panels import save_panels
from pipeline.findings.pictures.volumes import save_volume, volume_name
from pipeline.findings.results import CaseEntry
from pipeline.findings.scores import MapScores
from pipeline.findings.study_audit import StudyAudit
from pipeline.studies.geometry import Geometry, plan
from pipeline.studies.volume import Heatmap, Mask, Volume
from tests.reports import example

CT, DX, HIDDEN = "S-CT", "S-DX", "S-HIDDEN"
BRIGHT = {CT: (5, 17, 8), DX: (12, 40)}
"""The voxel of each image that nothing else is as bright as, and that reader B's mask marks alone."""

BRIGHTEST = 3000


class Imaged(NamedTuple):
    """An image with the two readers' masks and its map."""

    image: Volume
    masks: tuple[Mask, ...]
    maps: dict[str, LaidMap]


def geometry_of(study: str) -> Geometry:
    """Return an oblique grid of unequal voxels whose first axis runs to the left; of a picture a plain one."""
    if study == DX:
        return Geometry((48, 64), np.diag([1.0, 1.0, 1.0, 1.0]) @ _picture())
    turn = np.radians(8)
    affine = np.eye(4)
    affine[:3, :3] = [[-np.cos(turn), np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
    affine[:3, :3] *= (1.5, 1.0, 2.5)
    affine[:3, 3] = (21.0, -13.0, 40.0)
    return Geometry((20, 24, 12), affine)


def _picture():
    affine = np.eye(4)
    affine[:3, :3] = [[0, -2.0, 0], [0, 0, 1.0], [-2.0, 0, 0]]  # rows run down, columns to the patient's left
    return affine


def imaged(study: str, geometry: Geometry | None = None) -> Imaged:
    """Return a study: noise with one bright voxel, a blob of each reader, and a signed map on turned cells."""
    grid = geometry or geometry_of(study)
    generator = np.random.default_rng(3)
    values = np.rint(generator.normal(-200, 60, grid.shape)).astype(np.float32)
    bright = BRIGHT[study]
    values[bright] = BRIGHTEST
    distance = np.linalg.norm(np.stack(np.indices(grid.shape), -1) - np.array(bright), axis=-1)
    one = distance < 3.2
    one[bright] = False
    two = distance < 2.2
    masks = tuple(Mask(array, grid, "nodule", reader) for reader, array in (("A", one), ("B", two)))
    return Imaged(Volume(values, grid), masks, {"gradcam": laid_map(grid, bright, generator)})


def laid_map(grid: Geometry, bright: tuple[int, ...], generator: np.random.Generator) -> LaidMap:
    """Return a map of few cells, turned against the image and smaller, of both signs, with its peak at a voxel."""
    axes = len(grid.shape)
    shape = (5, 6, 4)[:axes]
    cells = np.eye(4)
    turn = np.radians(5 if axes == 3 else 0)
    cells[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    scale = [0.9 * size / cell for size, cell in zip(grid.shape, shape, strict=True)]
    cells[:3, :axes] *= scale
    cells[:axes, 3] = [0.08 * size for size in grid.shape]
    source = Geometry(shape, grid.affine @ cells)
    values = generator.normal(0.2, 1, shape).astype(np.float32)
    resampling = plan(source, grid)
    place = resampling.step[:axes, :axes] @ np.array(bright) + resampling.step[:axes, 3]
    values[tuple(np.clip(np.rint(place), 0, np.array(shape) - 1).astype(int))] = 5.0
    heatmap = Heatmap(resampling.apply(values), grid, resampling.seen, "gradcam", "features", "nodule")
    evidence = evidence_of(heatmap, OverlapConfig(), "otsu")
    return LaidMap(values, resampling.step, resampling.step, False, heatmap, evidence)


def scored(study: Imaged) -> list[MapScores]:
    """Return a study's scores against each reader, with the counts of the curves."""
    entries = []
    for mask in study.masks:
        laid = study.maps["gradcam"]
        overlap = RegionOverlap(laid.evidence, MarkedVoxels(mask.array, study.image.geometry))
        entries.append(
            MapScores(
                target="nodule",
                method="gradcam",
                layer="features",
                reader=mask.reader,
                map="maps/0.npz#0",
                scores=score_all(overlap),
                counts=region_counts(overlap),
            )
        )
    return entries


def case_of(folder: Path, study: str, *, volumes: str = "crops", site: str = "Nord") -> CaseEntry:
    """Write a case's files and return its entry."""
    content = imaged(study)
    audit = StudyAudit(
        study=study,
        patient=f"P{study}",
        source_sha256="0" * 64,
        status="analysed",
        reference=("nodule",),
        predicted=("nodule",),
        probabilities={"nodule": 0.9, "none": 0.1},
        strata={"site": site},
        map_scores=scored(content),
    )
    heatmaps = {name: laid.heatmap for name, laid in content.maps.items()}
    thresholds = {name: laid.evidence.threshold for name, laid in content.maps.items()}
    window = (-1000.0, 400.0)
    panels = cut_panels(content.image, content.masks, heatmaps, thresholds, study=study, window=window, survey=True)
    save_panels(panels, folder / f"cases/{study}.npz")
    if volumes != "none":
        save_volume(cut_volume(content.image, content.masks, content.maps, study, "crops"), folder / volume_name(study))
    return CaseEntry(
        study=study,
        rule="typical",
        panels=f"cases/{study}.npz",
        volume=None if volumes == "none" else volume_name(study),
        picture=picture_facts(panels),
        audit=audit,
    )


def hidden_case() -> CaseEntry:
    """Return a case whose pictures were withheld."""
    audit = example.audit(HIDDEN, predicted=("none",))
    note = "the pictures are withheld: the image's header says that annotation is burned into the pixels"
    return CaseEntry(study=HIDDEN, rule="worst", panels=None, note=note, audit=audit)


def write_viewed_run(folder: Path, *, volumes: str = "crops", **changes) -> Path:
    """Write a run's folder with its ledger and return it."""
    (folder / "cases").mkdir(parents=True)
    cases = (case_of(folder, CT, volumes=volumes), case_of(folder, DX, volumes=volumes, site="Süd"), hidden_case())
    results = example.results(**{"cases": cases, **changes})
    (folder / "results.json").write_text(results.model_dump_json(indent=1), encoding="utf-8")
    lines = per_study_csv([case.audit for case in cases], results.metrics, ["site"])
    (folder / "per_study.csv").write_bytes(b"".join(lines))
    files = ["results.json", "per_study.csv"]
    record_files(Ledger(folder / "ledger.jsonl", load_site_key()), "results.written", folder, files)
    return folder


def digest(path: Path) -> str:
    """Return a file's SHA-256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
