from itertools import permutations

import numpy as np
import pytest
import torch

from pipeline.errors import ConfigError, StudyError
from pipeline.models.prepare import build_transforms
from pipeline.studies.geometry import Geometry
from pipeline.studies.volume import Volume

OBLIQUE = np.array([[0.9, -0.5, 0.2, 10], [0.4, 1.8, 0.3, -20], [-0.1, 0.2, 2.9, 5], [0, 0, 0, 1]])
FLIPPED = np.diag([-0.7, 1.4, -3.0, 1.0])
SHEARED = np.array([[1, 0, 0, 0], [0, 1, 0.6, 3], [0, 0, 2, 4], [0, 0, 0, 1.0]])


def coordinates(geometry):
    """Return the world position (mm) of every voxel as three volumes."""
    index = np.stack(np.indices(geometry.shape), -1).reshape(-1, len(geometry.shape))
    return geometry.world(index).T.reshape(3, *geometry.shape)


def assert_grid_is_true(preparation, geometry, tolerance_mm):
    """Send each world coordinate through the transforms as an image: what arrives must be what the grid says."""
    for axis, field in enumerate(coordinates(geometry)):
        prepared = preparation(Volume(field, geometry))
        says = coordinates(prepared.grid)[axis]
        inner = tuple(slice(2, -2) if size > 4 else slice(None) for size in says.shape)  # padding and borders aside
        error = np.abs(prepared.x[0].numpy() - says)[inner]
        assert np.median(error) < tolerance_mm


STEPS_3D = [
    [{"_target_": "Orientation", "axcodes": "RAS"}],
    [{"_target_": "Orientation", "axcodes": "LPI"}],
    [{"_target_": "Spacing", "pixdim": [1.5, 1.5, 1.5]}],
    [{"_target_": "Resize", "spatial_size": [10, 8, 6]}],
    [{"_target_": "Resize", "spatial_size": [12, 30, 17], "mode": "trilinear", "align_corners": True}],
    [{"_target_": "CenterSpatialCrop", "roi_size": [10, 11, 6]}],
    [{"_target_": "Flip", "spatial_axis": [0, 2]}],
    [{"_target_": "Rotate90", "k": 1, "spatial_axes": [0, 2]}],
    [{"_target_": "Rotate", "angle": [0.2, 0.1, 0.3], "keep_size": False}],
    [{"_target_": "Zoom", "zoom": [1.2, 0.9, 1.1], "mode": "trilinear", "align_corners": True}],
    [{"_target_": "Affine", "rotate_params": [0.2, 0.1, 0.0], "translate_params": [1.0, 2.0, 0.5], "image_only": True}],
    [{"_target_": "Spacing", "pixdim": [1.5, 1.5, 1.5], "align_corners": True, "scale_extent": True}],
    [{"_target_": "SpatialCrop", "roi_start": [2, 5, 1], "roi_end": [20, 14, 10]}],
    [{"_target_": "BorderPad", "spatial_border": [1, 2, 3]}],
    [{"_target_": "DivisiblePad", "k": 7}],
    [
        {"_target_": "Orientation", "axcodes": "RAS"},
        {"_target_": "Spacing", "pixdim": [2.0, 2.0, 2.0]},
        {"_target_": "ResizeWithPadOrCrop", "spatial_size": [16, 16, 16]},
    ],
]


@pytest.mark.parametrize("affine", [OBLIQUE, FLIPPED, SHEARED], ids=["oblique", "flipped", "sheared"])
@pytest.mark.parametrize("steps", STEPS_3D, ids=lambda steps: "+".join(step["_target_"] for step in steps))
def test_the_grid_follows_every_3d_transform(affine, steps):
    assert_grid_is_true(build_transforms(steps), Geometry((20, 16, 12), affine), 0.05)


STEPS_2D = [
    [{"_target_": "Resize", "spatial_size": [24, 64], "mode": "bilinear"}],
    [{"_target_": "Spacing", "pixdim": [1.0, 1.0]}],
    [{"_target_": "CenterSpatialCrop", "roi_size": [20, 14]}],
    [{"_target_": "Flip", "spatial_axis": 1}],
    [{"_target_": "Rotate90"}],
    [{"_target_": "ResizeWithPadOrCrop", "spatial_size": [64, 20]}],
]


@pytest.mark.parametrize("steps", STEPS_2D, ids=lambda steps: steps[0]["_target_"])
def test_the_grid_follows_every_2d_transform(steps):
    # a coronal plane: rows run to the feet, columns to the patient's left; MONAI alone cannot hold such an affine
    coronal = np.array([[0, -0.4, 0, 80], [0, 0, 1, 0], [-0.7, 0, 0, 90], [0, 0, 0, 1.0]])
    assert_grid_is_true(build_transforms(steps), Geometry((40, 30), coronal), 0.05)


def test_the_volume_is_not_touched():
    image = Volume(np.ones((8, 8), np.float32), Geometry((8, 8), np.eye(4)))
    prepared = build_transforms([{"_target_": "ScaleIntensityRange", "a_min": 0, "a_max": 2, "b_min": 0, "b_max": 1}])(
        image
    )
    assert torch.equal(prepared.x, torch.full((1, 8, 8), 0.5))
    assert (image.array == 1).all()


@pytest.mark.parametrize("shape", [(5, 7, 11), (8, 16, 24), (1, 9, 1), (17, 3)])
def test_in_whatever_order_an_image_lies_the_model_is_shown_its_rows(shape):
    values = np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)
    of_axes = [np.array(values.transpose(axes), order="C") for axes in permutations(range(len(shape)))]
    for axes, laid in zip(permutations(range(len(shape))), of_axes, strict=True):
        image = Volume(laid.transpose(np.argsort(axes)), Geometry(shape, np.eye(4)))
        x = build_transforms([])(image).x
        assert x.is_contiguous()
        np.testing.assert_array_equal(x[0].numpy(), values)


def test_the_frame_of_reference_stays():
    geometry = Geometry((8, 8, 8), np.eye(4), "1.2.3")
    prepared = build_transforms([{"_target_": "Flip"}])(Volume(np.zeros((8, 8, 8)), geometry))
    assert prepared.grid.frame_of_reference == "1.2.3"


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"_target_": "RandFlip"}, "RandFlip is random"),
        ({"_target_": "Compose", "transforms": [{"_target_": "RandGaussianNoise"}]}, "RandGaussianNoise is random"),
        ({"_target_": "ScaleIntensityd", "keys": ["image"]}, "array form, 'ScaleIntensity'"),
        ({"_target_": "Transpose", "indices": [0, 2, 1]}, "without recording how"),
        ({"_target_": "Lambda", "func": "$lambda x: x"}, "without recording how"),
        ({"_target_": "Resize", "spatial_size": [4, 4], "mode": "nearest"}, "nearest-exact"),
        ({"_target_": "Resise", "spatial_size": [4, 4]}, "Resise cannot be built"),
        ({"_target_": "Resize", "size": [4, 4]}, "Resize cannot be built"),
        ({"_target_": "torch.nn.ReLU"}, "not a transform of MONAI"),
        ({"spatial_size": [4, 4]}, "must name a MONAI transform"),
    ],
)
def test_what_cannot_be_trusted_is_refused(step, words):
    with pytest.raises(ConfigError, match=words) as caught:
        build_transforms([{"_target_": "ScaleIntensity"}, step])
    assert "prepare.1" in str(caught.value)


def test_a_transform_that_fails_on_a_study_fails_the_study_alone():
    preparation = build_transforms([{"_target_": "CropForeground"}, {"_target_": "Resize", "spatial_size": [4, 4]}])
    with pytest.raises(StudyError, match=r"prepare\.1: Resize raised RuntimeError"):
        preparation(Volume(np.zeros((8, 8)), Geometry((8, 8), np.eye(4))))


def test_nan_is_refused():
    preparation = build_transforms([{"_target_": "NormalizeIntensity", "subtrahend": 0, "divisor": 1e-45}])
    with pytest.raises(StudyError, match="NaN or infinity"):
        preparation(Volume(np.full((4, 4), 1e30), Geometry((4, 4), np.eye(4))))


def test_finite_values_whose_sum_is_infinite_are_an_input():
    preparation = build_transforms([{"_target_": "Flip"}])
    x = preparation(Volume(np.full((4, 4), 3e38, np.float32), Geometry((4, 4), np.eye(4)))).x
    assert torch.isfinite(x).all()
    assert not torch.isfinite(x.sum())


def test_a_bare_name_inside_a_step_is_found():
    steps = [
        {
            "_target_": "Compose",
            "transforms": [{"_target_": "Flip", "spatial_axis": 0}, {"_target_": "Zoom", "zoom": 2}],
        }
    ]
    assert [type(part).__name__ for part in build_transforms(steps).transforms[0].transforms] == ["Flip", "Zoom"]


def test_steps_are_described_for_the_report():
    preparation = build_transforms([{"_target_": "Resize", "spatial_size": [4, 4]}])
    assert preparation.steps == ("Resize(spatial_size=[4, 4])",)
