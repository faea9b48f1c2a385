"""Facts of a study's grid and masks, by hand."""

import numpy as np
import pytest

from pipeline.evidence.cohort.acquisition import derived_facts, without_derived
from pipeline.evidence.metrics.parts import pieces_of
from pipeline.studies.geometry import Geometry
from pipeline.studies.volume import Mask

GRID = Geometry((8, 8, 4), np.diag([0.5, 0.5, 3.0, 1.0]))


def mask(*boxes, label="nodule", reader="a", grid=GRID):
    array = np.zeros(grid.shape, bool)
    for box in boxes:
        array[box] = True
    return Mask(array, grid, label, reader)


def with_pieces(masks):
    return [(mask, pieces_of(mask.array)) for mask in masks]


def test_lesions_are_the_pieces_of_a_mask_with_their_volume():
    two = mask(np.s_[0:2, 0:2, 0:1], np.s_[5:8, 5:7, 2:4])
    assert derived_facts(GRID, with_pieces([two])) == {
        "finest spacing, mm": "0.5", "coarsest spacing, mm": "3",
        "lesions: nodule": "2", "largest lesion: nodule": "9 mm3",
    }  # fmt: skip
    touching = mask(np.s_[0:2, 0:2, 0:1], np.s_[2:3, 2:3, 1:2])
    assert derived_facts(GRID, with_pieces([touching]))["lesions: nodule"] == "1"


def test_an_empty_mask_has_no_lesion_and_no_size():
    facts = derived_facts(GRID, with_pieces([mask()]))
    assert facts["lesions: nodule"] == "0"
    assert "largest lesion: nodule" not in facts


def test_the_consensus_counts_before_the_first_reader():
    readers = [mask(np.s_[0:1, 0:1, 0:1]), mask(reader="b"), mask(np.s_[0:2, 0:1, 0:1], reader="consensus:majority")]
    assert derived_facts(GRID, with_pieces(readers[:2]))["largest lesion: nodule"] == "0.75 mm3"
    assert derived_facts(GRID, with_pieces(readers))["largest lesion: nodule"] == "1.5 mm3"


@pytest.mark.parametrize(("scaled", "size"), [(True, "1 mm2"), (False, "1 px2")])
def test_a_picture_has_areas_and_no_spacing_where_it_states_none(scaled, size):
    grid = Geometry((4, 4), np.diag([0.5, 0.5, 1.0, 1.0]), scaled=scaled)
    facts = derived_facts(grid, with_pieces([mask(np.s_[0:2, 0:2], grid=grid)]))
    assert facts["largest lesion: nodule"] == size
    assert ("finest spacing, mm" in facts) is scaled


def test_an_oblique_voxel_has_its_own_volume():
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([0.5, 0.5, 3.0])
    grid = Geometry((8, 8, 4), affine)
    assert (
        derived_facts(grid, with_pieces([mask(np.s_[0:2, 0:2, 0:1], grid=grid)]))["largest lesion: nodule"] == "3 mm3"
    )


def test_what_masks_tell_is_no_fact_of_the_header():
    facts = derived_facts(GRID, with_pieces([mask(np.s_[0:1, 0:1, 0:1])]))
    assert without_derived({"Modality": "CT", **facts}) == {"Modality": "CT"}
