"""Regions to avoid reach the battery of shortcuts: painted over against the same shape moved, on the model's grid."""

from dataclasses import replace

import numpy as np

from pipeline.experiments.shortcuts import shortcuts
from pipeline.studies.geometry import Geometry
from pipeline.studies.volume import Mask
from tests.pipeline.experiments.controls import bench_of
from tests.pipeline.experiments.test_faithfulness import BlobNet, planted
from tests.pipeline.experiments.test_sanity import auditor  # noqa: F401 - a fixture


def test_a_marked_region_is_a_test_of_its_own_in_the_studies_that_have_it(auditor):  # noqa: F811
    fine = Geometry((64, 64), np.diag([0.5, 0.5, 1.0, 1.0]))  # the image's own grid is finer than the model's
    where = np.zeros((64, 64), bool)
    where[20:28, 10:50] = True
    studies = []
    for number, study in enumerate(planted(16)):
        regions = (Mask(where, fine, "tube", "avoid:"), Mask(np.zeros((64, 64), bool), fine, "wire", "avoid:"))
        reference = ("lesion",) if number % 2 else ()
        studies.append(replace(study, reference=reference, avoid=regions if number < 12 else ()))
    rows = shortcuts(bench_of(auditor, BlobNet(), ("gradcam",), "shortcuts", tuple(studies)))
    (label,) = rows.labels
    marked = [row for row in label.rows if row.test == "avoid:tube"]
    assert len(marked) == 12
    tested = [row for row in marked if row.reason is None]
    assert len(tested) == 6
    assert all(row.changed is not None and row.control is not None for row in tested)
    outlined = (
        "nobody outlined the lesion, which could be taken for a mark or for noise"  # of the others, which are positive
    )
    assert {row.reason for row in marked} == {None, outlined}
    assert not [row for row in label.rows if row.test == "avoid:wire" and row.reason is None]
