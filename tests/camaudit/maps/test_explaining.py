"""A map lies in the world where the blob lies that the network reads, whatever the image went through."""

import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
import torch
from monai import transforms as monai_transforms
from monai.data import MetaTensor
from PIL import Image
from torch import nn

from camaudit import AuditError, explain
from tests.camaudit.maps.blob import (
    CENTRE,
    PICTURE,
    SHAPE,
    SPOT,
    blob,
    cells_apart,
    network,
    oblique,
    world,
    write_scan,
)

HALF = 0.5 + 1e-3
ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.filterwarnings("ignore:NvImgCodecPydicomReader")  # MONAI's word on a plugin it looks for


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    return write_scan(tmp_path_factory.mktemp("scan") / "scan.nii.gz")


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("picture") / "picture.png"
    Image.fromarray((blob(PICTURE, SPOT) * 255).astype(np.uint8)).save(path)
    return path


def step(name, **arguments):
    return {"_target_": name, **arguments}


RAS = step("Orientation", axcodes="RAS", labels=None)
CHAINS_3D = {
    "as it is": [],
    "orientation": [RAS],
    "to the other side": [step("Orientation", axcodes="LPI", labels=None)],
    "spacing": [step("Spacing", pixdim=[1.3, 1.1, 1.7])],
    "spacing, edge to edge": [step("Spacing", pixdim=[1.3, 1.1, 1.7], scale_extent=True)],
    "diagonal": [step("Spacing", pixdim=[1.3, 1.1, 1.7], diagonal=True)],
    "crop": [step("CenterSpatialCrop", roi_size=[18, 16, 12])],
    "crop to a box": [step("SpatialCrop", roi_start=[2, 5, 1], roi_end=[20, 19, 10])],
    "foreground": [step("CropForeground", select_fn="$lambda x: x > 0.1", margin=2)],
    "foreground by sevens": [step("CropForeground", select_fn="$lambda x: x > 0.1", k_divisible=7)],
    "pad": [step("SpatialPad", spatial_size=[30, 30, 30])],
    "pad behind": [step("SpatialPad", spatial_size=[30, 30, 30], method="end")],
    "pad to eights": [step("DivisiblePad", k=8)],
    "border": [step("BorderPad", spatial_border=[1, 2, 3])],
    "pad or crop": [step("ResizeWithPadOrCrop", spatial_size=[16, 32, 12])],
    "resize": [step("Resize", spatial_size=[31, 17, 21], mode="trilinear")],
    "resize, corners aligned": [step("Resize", spatial_size=[31, 17, 21], mode="trilinear", align_corners=True)],
    "resize by area": [step("Resize", spatial_size=[12, 10, 7])],
    "resize to the longest": [step("Resize", spatial_size=30, size_mode="longest", mode="trilinear")],
    "zoom": [step("Zoom", zoom=[1.2, 0.9, 1.1], mode="trilinear", padding_mode="constant")],
    "zoom, another size": [step("Zoom", zoom=[1.2, 0.9, 1.1], mode="trilinear", keep_size=False)],
    "quarter turn": [step("Rotate90", k=1, spatial_axes=[0, 2])],
    "flip": [step("Flip", spatial_axis=[0, 2])],
    "turn": [step("Rotate", angle=[0.2, 0.1, 0.3], padding_mode="zeros")],
    "turn, all kept": [step("Rotate", angle=[0.2, 0.1, 0.3], keep_size=False, padding_mode="zeros")],
    "affine": [
        step(
            "Affine",
            rotate_params=[0.2, 0.1, 0.0],
            translate_params=[1.0, 2.0, 0.5],
            scale_params=[1.1, 0.9, 1.0],
            padding_mode="zeros",
            image_only=True,
        )
    ],
    "put off, then done": [step("Compose", transforms=[RAS, step("Spacing", pixdim=[1.0, 1.0, 1.0])], lazy=True)],
    "a daily chain": [
        RAS,
        step("Spacing", pixdim=[1.0, 1.0, 1.0]),
        step("ScaleIntensity"),
        step("CropForeground", select_fn="$lambda x: x > 0.05"),
        step("ResizeWithPadOrCrop", spatial_size=[32, 32, 32]),
        step("Resize", spatial_size=[24, 24, 24], mode="trilinear"),
        step("Flip", spatial_axis=0),
    ],
}


@pytest.mark.parametrize("chain", CHAINS_3D)
def test_a_volumes_map_peaks_where_the_blob_lies(chain):
    placed = explain(network(), (blob(), oblique()), prepare=CHAINS_3D[chain], target=1)["gradcam"]
    assert cells_apart(placed.cells, world(oblique())) <= HALF
    assert placed.array.shape == SHAPE
    np.testing.assert_allclose(placed.affine, oblique(), atol=1e-5)
    # the carried map's peak is the voxel nearest to the peak cell, so it may lie a cell and half a voxel beside
    reach = 0.5 + max(placed.cells.grid.spacing) / min(placed.grid.spacing) / 2
    assert cells_apart(placed, world(oblique())) <= reach


@pytest.mark.parametrize("affine", [np.diag([-1, -1.5, 2, 1.0]), np.diag([1, 1.5, -2, 1.0]), oblique(seed=9)])
def test_a_flipped_affine_changes_nothing(affine):
    placed = explain(network(cell=2), (blob(), affine), prepare=CHAINS_3D["a daily chain"], target=1)["gradcam"]
    assert cells_apart(placed.cells, world(affine)) <= HALF


CHAINS_2D = {
    "as it is": [],
    "resize": [step("Resize", spatial_size=[24, 64], mode="bilinear")],
    "resize, corners aligned": [step("Resize", spatial_size=[24, 64], mode="bilinear", align_corners=True)],
    "crop": [step("CenterSpatialCrop", roi_size=[30, 26])],
    "pad": [step("DivisiblePad", k=32)],
    "flip": [step("Flip", spatial_axis=1)],
    "quarter turn": [step("Rotate90")],
    "turn": [step("Rotate", angle=0.3, padding_mode="zeros")],
    "zoom": [step("Zoom", zoom=1.2, mode="bilinear", padding_mode="constant")],
    "a daily chain": [step("ScaleIntensity"), step("Resize", spatial_size=64, size_mode="longest", mode="bilinear")],
}


@pytest.mark.parametrize("chain", CHAINS_2D)
def test_a_pictures_map_peaks_where_the_spot_lies(chain):
    prepare = [step("ScaleIntensity"), *CHAINS_2D[chain]]
    placed = explain(network(2), blob(PICTURE, SPOT), prepare=prepare, target=1)["gradcam"]
    spot = placed.grid.world(np.array([SPOT]))[0]
    assert cells_apart(placed.cells, spot) <= HALF
    assert placed.array.shape == PICTURE
    assert placed.grid.unit == "px"


def dictionary(step):
    """Return the dictionary form of a step of configuration."""
    if step["_target_"] == "Compose":
        return step | {"transforms": [dictionary(inner) for inner in step["transforms"]]}
    return step | {"_target_": f"{step['_target_']}d", "keys": ["image", "label"]}


def test_objects_configurations_and_dictionary_forms_are_one():
    made = [
        monai_transforms.Orientation("RAS", labels=None),
        monai_transforms.Spacing((1.0, 1.0, 1.0)),
        monai_transforms.ResizeWithPadOrCrop((32, 32, 32)),
    ]
    configured = [RAS, step("Spacing", pixdim=[1.0, 1.0, 1.0]), step("ResizeWithPadOrCrop", spatial_size=[32, 32, 32])]
    composed = monai_transforms.Compose([monai_transforms.EnsureChannelFirst(), *made])
    on_dictionaries = monai_transforms.Compose(
        [
            monai_transforms.EnsureChannelFirstd(["image", "label"]),
            monai_transforms.Orientationd(["image", "label"], "RAS", labels=None),
            monai_transforms.Spacingd(["image", "label"], (1.0, 1.0, 1.0), mode=("bilinear", "nearest")),
            monai_transforms.ResizeWithPadOrCropd(["image", "label"], (32, 32, 32)),
        ]
    )
    scan = (blob(), oblique())
    expected = explain(network(), scan, prepare=made, target=1)["gradcam"].array
    others = [configured, composed, on_dictionaries, [dictionary(entry) for entry in configured], made[0]]
    arrays = [explain(network(), scan, prepare=prepare, target=1)["gradcam"].array for prepare in others]
    for array in arrays[:-1]:
        np.testing.assert_array_equal(array, expected)
    assert not on_dictionaries.transforms[1].allow_missing_keys, "the caller's own transform was changed"


def test_every_form_of_an_image_gives_the_same_map(scan, tmp_path):
    array, affine = blob(), oblique()
    SimpleITK.WriteImage(SimpleITK.ReadImage(str(scan)), str(tmp_path / "scan.nrrd"))
    loaded = monai_transforms.LoadImage(ensure_channel_first=True)(scan)
    forms = {
        "text": str(scan),
        "nrrd": tmp_path / "scan.nrrd",
        "array": (array, affine),
        "tensor": (torch.from_numpy(array), torch.from_numpy(affine)),
        "with a channel": (array[None], affine),
        "with channel and batch": (array[None, None], affine),
        "nibabel": nibabel.load(scan),
        "MetaTensor": loaded,
        "MetaTensor in a batch": loaded[None],
        "one made by hand": MetaTensor(torch.from_numpy(array[None]), affine=affine),
        "double precision": (array.astype(np.float64), affine),
        "turned in memory": (np.asfortranarray(array), affine),
    }
    expected = explain(network(cell=2), scan, target=1)["gradcam"]
    for name, form in forms.items():
        placed = explain(network(cell=2), form, target=1)["gradcam"]
        np.testing.assert_allclose(placed.array, expected.array, atol=1e-6, err_msg=name)
        np.testing.assert_allclose(placed.affine, affine, atol=1e-5, err_msg=name)
        np.testing.assert_allclose(placed.cells.affine, expected.cells.affine, atol=1e-5, err_msg=name)
        assert placed.grid.unit == "mm", name


def test_a_batch_of_a_loader_carries_the_affine_of_its_only_image(scan):
    from monai.data import DataLoader, Dataset

    load = monai_transforms.LoadImage(ensure_channel_first=True)
    batch = next(iter(DataLoader(Dataset([scan], load), batch_size=1)))
    placed = explain(network(cell=2), batch, target=1)["gradcam"]
    assert cells_apart(placed.cells, world(oblique())) <= HALF
    both = next(iter(DataLoader(Dataset([scan, scan], load), batch_size=2)))
    with pytest.raises(AuditError, match=r"image: is a batch of 2; explain each by itself"):
        explain(network(), both, target=1)


def test_a_prepared_meta_tensor_is_brought_back_to_the_file(scan):
    prepare = monai_transforms.Compose(
        [
            monai_transforms.LoadImage(ensure_channel_first=True),
            monai_transforms.Spacing((1.0, 1.0, 1.0)),
            monai_transforms.CenterSpatialCrop((20, 24, 26)),
        ]
    )
    maps = explain(network(), prepare(scan), target=1)
    assert cells_apart(maps["gradcam"], world(oblique())) <= HALF
    back = maps["gradcam"].on(scan)
    assert (back.array.shape, back.peak) == (SHAPE, CENTRE)


@pytest.mark.parametrize(
    "form",
    [
        lambda array: array,
        lambda array: torch.from_numpy(array),
        lambda array: torch.from_numpy(array)[None, None],
        lambda array: (array, None),
        lambda array: MetaTensor(torch.from_numpy(array)[None]),
    ],
)
def test_an_image_without_an_affine_lies_nowhere_and_says_so(form):
    placed = explain(network(), form(blob()), target=1)["gradcam"]
    assert (placed.grid.unit, placed.grid.letters()) == ("px", (("", ""),) * 3)
    assert placed.peak == CENTRE


def test_a_picture_that_monai_loaded_is_shown_upright(picture):
    from pipeline.conclusions.shown_cases.cases import cut_panels

    loaded = monai_transforms.LoadImage(ensure_channel_first=True)(picture)  # MONAI's first axis runs to the right
    placed = explain(network(2), loaded, target=1, prepare=[step("ScaleIntensity")])["gradcam"]
    assert placed.peak == SPOT[::-1]
    (view,) = cut_panels(placed.image.volume, [], {"map": placed.heatmap}, {}, study="").views
    assert np.unravel_index(view.image.argmax(), view.image.shape) == SPOT
    assert view.letters == ("", "", "", "")
    assert placed.grid.unit == "px"


def test_the_maps_are_those_of_the_tensor(scan):
    from cam import explain as explain_tensor

    settings = {"methods": ["gradcam", "HiResCAM"], "labels": ["clear", "lesion"], "targets": ["lesion", "clear"]}
    maps = explain(network(cell=2), scan, **settings)
    raw = explain_tensor(network(cell=2), torch.from_numpy(blob())[None, None], **settings, rectify=False)
    assert len(maps) == len(raw) == len(list(maps)) == 4
    for placed in maps:
        values = raw[placed.method, placed.target][0]
        np.testing.assert_allclose(placed.cells.array, values.numpy(), atol=1e-6)
    against = maps["gradcam", "clear"]  # brightness speaks against it: the raw map says so, Grad-CAM's own is empty
    assert (against.cells.array.min() < 0, against.array.min(), against.array.max()) == (True, 0, 0)
    assert maps["hirescam", "clear"].array.min() < 0
    assert maps["gradcam", 1].target == "lesion"
    assert maps["gradcam", 1] is maps["gradcam", "lesion"]
    assert ("gradcam", "clear") in maps
    assert ("layercam", "clear") not in maps


def test_the_model_is_left_as_it_was_found_and_may_be_of_another_precision(scan):
    model = network(cell=2).double()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    maps = explain(model, scan, target=1)
    assert maps["gradcam"].array.dtype == np.float32
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model[1].weight.grad is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "net"}, "model: must be a torch.nn.Module, not str"),
        ({"image": 3}, "image: must be the path of a file"),
        ({"image": "https://example.org/scan.nii.gz"}, "image: must be a path, and .* is an address"),
        ({"image": np.zeros((4, 5, 6), complex)}, "image: must be the path of a file .* not an array of complex128"),
        ({"image": np.zeros((4, 4, 4, 4, 4))}, r"image: its shape \(4, 4, 4, 4, 4\) is a batch of 4"),
        ({"image": np.full((4, 4, 4), np.nan)}, "image: array holds NaN or infinity"),
        ({"image": (np.zeros((4, 4, 4)), np.zeros((4, 4)))}, "image: affine must"),
        ({"image": (np.zeros((4, 4, 4)), np.eye(3))}, r"image: its affine must be of shape \(4, 4\), not \(3, 3\)"),
        ({"image": (np.zeros((4, 4, 4)), np.eye(4), 1)}, "image: must be the path of a file"),
        ({"image": np.zeros((0, 4, 4))}, "image: must be the path of a file .* of shape"),
        ({"model": network(2, 3), "image": np.zeros((40, 30, 3))}, "image: the channels come last in its shape"),
        ({"model": network(2, 3), "image": np.zeros((40, 30))}, r"takes 3 channels, .* RepeatChannel\(3\)"),
        ({"model": network(2), "volume": None}, "the model takes images of 2 axes, and this one has 3"),
        ({"prepare": "RAS"}, "prepare: must be MONAI's transforms or their configurations, not 'RAS'"),
        ({"image": (blob(), "RAS")}, r"image: its affine must be a matrix of numbers of shape \(4, 4\), not str"),
        ({"image": torch.eye(8).to_sparse()}, "image: must be the path of a file .* not Tensor"),
        ({"image": ""}, "image: must be a path, not ''"),
        ({"image": []}, "image: must be the path of a file"),
        ({"prepare": [monai_transforms.Flip]}, r"prepare.0: Flip is the class of a transform; make one: Flip\(...\)"),
        ({"prepare": [step("CropForeground", select_fn="$lambda x: x > 9")]}, "the transforms leave no voxel"),
        ({"prepare": 3}, "prepare.0: int is not a transform of MONAI"),
        ({"prepare": [lambda image: image]}, "prepare.0: function is not a transform of MONAI"),
        ({"prepare": [nn.Identity()]}, "prepare.0: Identity is not a transform of MONAI"),
        ({"prepare": [step("RandFlip", prob=1.0)]}, "prepare.0: RandFlip is random"),
        ({"prepare": [monai_transforms.RandFlipd("image")]}, "prepare.0: RandFlipd is random"),
        ({"prepare": [step("LoadImaged", keys="image")]}, "prepare.0: LoadImaged? reads a file"),
        ({"prepare": [monai_transforms.Flipd("a"), monai_transforms.Flipd("b")]}, "name the keys a, b; call the"),
        ({"prepare": [step("Resize", spatial_size=[4])]}, "prepare.0: Resize raised ValueError: "),
        ({"volume": -1}, "volume: must be a whole number from 0, not -1"),
        ({"image": np.zeros((4, 4, 4)), "volume": 1}, "volume: chooses one of a file's several volumes"),
        ({"target": 7}, "target"),
        ({"target": "lesion"}, "label"),
        ({"methods": "gradcamm"}, "did you mean 'gradcam'"),
        ({"layers": "nothing"}, "nothing"),
        ({"model": network().train()}, "train|eval"),
    ],
)
def test_a_wrong_argument_is_told_in_one_sentence(change, message, scan):
    image = scan if "volume" in change else (blob(), oblique())
    arguments = {"model": network(), "image": image, "target": 1} | change
    with pytest.raises(AuditError, match=message) as caught:
        explain(**arguments)
    assert "\n" not in str(caught.value)


def test_a_picture_of_a_file_goes_all_the_way(picture, tmp_path):
    prepare = [step("ScaleIntensity"), step("Resize", spatial_size=[64, 64], mode="bilinear")]
    placed = explain(network(2), picture, prepare=prepare, target=1)["gradcam"]
    assert placed.peak == SPOT
    again = explain(network(2), (blob(PICTURE, SPOT), None), prepare=prepare, target=1)["gradcam"]
    np.testing.assert_allclose(placed.array, again.array, atol=0.02)
    image = nibabel.load(placed.save(tmp_path / "map.nii.gz"))
    assert image.shape == (*PICTURE, 1)
    assert image.header.get_xyzt_units()[0] == "unknown"


def test_colours_and_other_channels_go_with_their_place():
    channels = np.stack([blob(), blob() * 0.5, blob() * 0.2])
    placed = explain(network(channels=3), (channels, oblique()), prepare=CHAINS_3D["a daily chain"], target=1)
    assert cells_apart(placed["gradcam"].cells, world(oblique())) <= HALF
    colours = np.stack([blob(PICTURE, SPOT)] * 3)
    assert explain(network(2, 3), colours, target=1)["gradcam"].peak == SPOT
    assert explain(network(2, 3), torch.from_numpy(colours)[None], target=1)["gradcam"].peak == SPOT


def test_a_first_layer_of_many_channels_says_nothing_of_the_order():
    deep = nn.Sequential(nn.Conv3d(14, 2, 1), network()).eval()  # the last axis has as many voxels as it takes channels
    deep.forward = lambda x: deep[1](x)
    assert explain(deep, (blob()[None], oblique()), target=1, layers="1.1")["gradcam"].peak == CENTRE


def test_a_file_without_an_affine_is_refused(tmp_path):
    path = tmp_path / "nowhere.nii"
    image = nibabel.Nifti1Image(blob(), None)
    image.header["sform_code"] = image.header["qform_code"] = 0
    nibabel.save(image, path)
    with pytest.raises(AuditError, match=r"image: nowhere\.nii: neither sform nor qform is set"):
        explain(network(), path, target=1)


def test_a_list_of_files_is_of_files(tmp_path):
    with pytest.raises(AuditError, match=r"image: a list holds a series' files, and 'missing\.dcm' is none"):
        explain(network(), [tmp_path / "missing.dcm"], target=1)


def test_without_transforms_monai_is_not_loaded():
    code = (
        "import sys, camaudit; light = set(sys.modules);"
        "from tests.camaudit.maps.blob import blob, network, oblique;"
        "camaudit.explain(network(), (blob(), oblique()), target=1)['gradcam'].show();"
        "print([name for name in ('torch', 'numpy', 'cam', 'pipeline') if name in light], 'monai' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split("\n")[0] == "[] False"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_image_goes_where_the_model_is():
    placed = explain(network(cell=2).cuda(), (blob(), oblique()), prepare=CHAINS_3D["a daily chain"], target=1)
    assert cells_apart(placed["gradcam"].cells, world(oblique())) <= HALF
