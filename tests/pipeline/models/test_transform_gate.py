"""Transforms whose affine tells another place than they sample, and those that are random, are refused by name."""

import numpy as np
import pytest
from monai import transforms

from pipeline.errors import ConfigError
from pipeline.models.given_transforms import given_transforms
from pipeline.models.prepare import build_transforms
from pipeline.models.transform_gate import check_transform

REFUSED = [
    (transforms.RandFlip(), "RandFlip is random"),
    (transforms.RandFlipd("image"), "RandFlipd is random"),
    (transforms.OneOf([transforms.Flip(0), transforms.Flip(1)]), "OneOf is random"),
    (transforms.SomeOf([transforms.Flip(0), transforms.Flip(1)], num_transforms=1), "SomeOf is random"),
    (transforms.RandomOrder([transforms.Flip(0), transforms.Rotate90()]), "RandomOrder is random"),
    (transforms.Compose([transforms.OneOf([transforms.Flip(0)])]), "OneOf is random"),
    (transforms.Transpose([0, 2, 1]), "Transpose moves voxels without recording how"),
    (transforms.Transposed("image", [0, 2, 1]), "Transposed? moves voxels without recording how"),
    (transforms.Lambda(lambda image: image), "Lambda moves voxels"),
    (transforms.Lambdad("image", lambda image: image), "Lambdad? moves voxels"),
    (transforms.SqueezeDim(), "SqueezeDim moves voxels"),
    (transforms.Resize((4, 4), mode="nearest"), "Resize with mode 'nearest'"),
    (transforms.Resized("image", (4, 4), mode="nearest"), "Resize with mode 'nearest'"),
    (transforms.Zoomd("image", 2.0, mode=("nearest",)), "Zoom with mode 'nearest'"),
    (transforms.Spacing((1, 1, 1), recompute_affine=True), "Spacing with recompute_affine=True"),
    (transforms.Spacingd("image", (1, 1, 1), recompute_affine=True), "Spacing with recompute_affine=True"),
    (transforms.Affine(affine=np.eye(4), normalized=True), "Affine with align_corners or normalized"),
    (transforms.Affine(align_corners=True), "Affine with align_corners or normalized"),
    (transforms.Affined("image", align_corners=True), "Affine with align_corners or normalized"),
    (transforms.Spacing((1, 1, 1), lazy=True), "Spacing with lazy=True puts its work off"),
    (transforms.Flip(0, lazy=True), "Flip with lazy=True puts its work off"),
    (lambda image: image, "function is not a transform of MONAI"),
]


@pytest.mark.parametrize(("transform", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_what_misleads_is_refused(transform, words):
    with pytest.raises(ConfigError, match=rf"^prepare\.0: {words}"):
        check_transform("prepare.0", transform)
    with pytest.raises(ConfigError, match=rf"^prepare\.0: {words}"):
        given_transforms([transform])


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"_target_": "OneOf", "transforms": [{"_target_": "Flip"}]}, "OneOf is random"),
        ({"_target_": "Spacing", "pixdim": [1, 1, 1], "recompute_affine": True}, "recompute_affine"),
        ({"_target_": "Spacing", "pixdim": [1, 1, 1], "lazy": True}, "puts its work off"),
        ({"_target_": "Affine", "align_corners": True}, "Affine with align_corners"),
    ],
)
def test_an_audits_configuration_is_held_to_the_same(step, words):
    with pytest.raises(ConfigError, match=words):
        build_transforms([step])


def test_a_compose_ends_what_it_puts_off():
    check_transform("prepare.0", transforms.Compose([transforms.Flip(0), transforms.Spacing((2, 2, 2))], lazy=True))


def test_a_bare_name_is_a_transforms_even_where_monai_has_two_of_it():
    preparation = build_transforms([{"_target_": "Affine", "translate_params": [1.0, 0.0], "image_only": True}])
    assert isinstance(preparation.transforms[0], transforms.Affine)
