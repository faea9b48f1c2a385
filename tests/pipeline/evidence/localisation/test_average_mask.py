"""The average mask: exact shares of cells, one frame for grids that lie otherwise, and nothing left of the patient."""

import numpy as np
import pytest

from pipeline.evidence.localisation.average_mask import (
    CELLS,
    FEWEST_OTHERS,
    AverageMasks,
    filled_cells,
    patients_mean,
    study_cells,
)
from pipeline.studies.geometry import Geometry
from pipeline.studies.volume import Mask


def mask_of(array, affine=None, reader="anna", label="nodule"):
    array = np.asarray(array, bool)
    return Mask(array, Geometry(array.shape, np.eye(4) if affine is None else affine), label, reader)


@pytest.mark.parametrize("shape", [(64, 64), (128, 192), (50, 70), (7, 300), (32, 32, 32), (20, 24, 16), (5, 90, 33)])
def test_the_shares_of_cells_add_up_to_the_mask(shape):
    array = np.random.default_rng(3).random(shape) < 0.2
    filled = filled_cells(array, Geometry(shape, np.eye(4)))
    assert filled.shape == (CELLS[len(shape)],) * len(shape)
    assert filled.mean() == pytest.approx(array.mean(), rel=1e-12)
    assert filled.min() >= 0
    assert filled.max() <= 1 + 1e-12
    assert filled_cells(np.ones(shape, bool), Geometry(shape, np.eye(4))) == pytest.approx(1)


def test_cells_by_hand():
    array = np.zeros((128, 64), bool)
    array[3, 10] = True  # half of the cell in row 1, all of the column
    filled = filled_cells(array, Geometry(array.shape, np.eye(4)))
    assert filled[1, 10] == 0.5
    assert filled.sum() == 0.5


@pytest.mark.parametrize("shape", [(20, 30), (12, 14, 10)])
def test_a_grid_that_lies_otherwise_has_the_same_cells_and_gets_its_own_back(shape):
    axes = len(shape)
    array = np.zeros(shape, bool)
    array[tuple(slice(1, size // 3) for size in shape)] = True
    straight = filled_cells(array, Geometry(shape, np.eye(4)))
    order = (1, 0) if axes == 2 else (1, 2, 0)
    turn = np.eye(4)
    turn[:3, :axes] = np.eye(3)[:, list(order)]
    turn[:3, 0] *= -1
    turned = np.flip(array.transpose(order), 0)
    geometry = Geometry(turned.shape, turn)
    assert np.allclose(filled_cells(turned, geometry), straight, rtol=0, atol=1e-12)
    cells = {("nodule", axes): np.rint(65535 * straight).astype(np.int64) * 6}
    averages = AverageMasks(cells, {("nodule", axes): 6}, lambda _patient, _kind: None)
    own, other = (averages.without("P", "nodule", of) for of in (Geometry(shape, np.eye(4)), geometry))
    assert np.array_equal(np.flip(own.transpose(order), 0), other)
    assert own == pytest.approx(straight, abs=1e-5)


def test_a_study_is_the_mean_of_its_readers_or_their_consensus():
    full, half = np.ones((64, 64), bool), np.zeros((64, 64), bool)
    half[:32] = True
    cells = study_cells([mask_of(full), mask_of(half, reader="ben"), mask_of(~full, reader="cem")])["nodule"]
    assert (cells[0, 0], cells[63, 0]) == (65535, 32768)
    cells = study_cells([mask_of(full), mask_of(half, reader="consensus:staple")])["nodule"]
    assert cells[63, 0] == 0
    assert study_cells([mask_of(~full)]) == {}


def averages_of(parts):
    kind = ("nodule", 2)
    own = {patient: patients_mean(cells) for patient, cells in parts.items()}
    return AverageMasks({kind: sum(own.values())}, {kind: len(own)}, lambda patient, of: own.get(patient))


def test_nothing_is_left_of_the_patient_himself():
    """Not a rounding: the others' masks alone give the same bits, and where only he is marked there is 0."""
    generator = np.random.default_rng(1)
    parts = {f"P{n}": [generator.integers(0, 65536, (64, 64)).astype(np.uint16)] for n in range(9)}
    parts["P3"] += [np.full((64, 64), 65535, np.uint16)] * 2
    geometry = Geometry((100, 90), np.eye(4))
    without = averages_of(parts).without("P3", "nodule", geometry)
    others = averages_of({name: cells for name, cells in parts.items() if name != "P3"})
    assert np.array_equal(without, others.without("stranger", "nodule", geometry))
    lonely = {f"P{n}": [np.zeros((64, 64), np.uint16)] for n in range(9)} | {"P3": parts["P3"]}
    assert not averages_of(lonely).without("P3", "nodule", geometry).any()


def test_a_patient_counts_once_whatever_his_studies():
    parts = {f"P{n}": [np.full((64, 64), 65535, np.uint16)] * (1 + 9 * (n == 0)) for n in range(3)}
    parts |= {f"Q{n}": [np.zeros((64, 64), np.uint16)] for n in range(3)}
    assert averages_of(parts).without("other", "nodule", Geometry((64, 64), np.eye(4))) == pytest.approx(0.5)


def test_a_patients_cells_are_rounded_to_the_nearest_whole_number():
    studies = [np.array([[place, 65535]], np.uint16) for place in (0, 1, 1)]
    assert patients_mean(studies).tolist() == [[1, 65535]]


def test_too_few_others_have_no_average():
    parts = {f"P{n}": [np.ones((64, 64), np.uint16)] for n in range(FEWEST_OTHERS)}
    geometry = Geometry((64, 64), np.eye(4))
    assert averages_of(parts).without("P0", "nodule", geometry) is None
    assert averages_of(parts).without("other", "nodule", geometry) is not None
    assert averages_of(parts).without("other", "mass", geometry) is None
    assert averages_of(parts).without("other", "nodule", Geometry((4, 4, 4), np.eye(4))) is None
