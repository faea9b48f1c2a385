"""MetaImage against SimpleITK, and headers that lie."""

import gzip
import tracemalloc
import zlib

import numpy as np
import pytest
import SimpleITK

from camaudit.testing.readers import check_reader
from pipeline.errors import Reason, StudyError
from pipeline.studies.geometry import lps_to_ras
from pipeline.studies.index.headers import describe
from pipeline.studies.readers import BUILT_IN, ReadOptions, read_image, read_mask
from pipeline.studies.readers.images import meta_image
from tests.pipeline.studies.writers import OBLIQUE, SECRET, dot, grid, nifti, refusal

SHAPE, INDEX = (7, 5, 4), (5, 1, 2)
FLIPS = {
    "straight": np.eye(3),
    "flipped": np.diag([-1.0, 1.0, -1.0]),
    "permuted": np.eye(3)[:, [1, 2, 0]],
    "oblique": OBLIQUE,
}


def itk(array, turn, spacing=(0.7, 0.9, 2.5), origin=(40.0, -12.5, 100.25)):
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(array.T))
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    image.SetDirection(np.asarray(turn, float).ravel().tolist())
    return image


HEADER = {
    "ObjectType": "Image", "NDims": "3", "BinaryData": "True", "BinaryDataByteOrderMSB": "False",
    "CompressedData": "False", "TransformMatrix": "1 0 0 0 1 0 0 0 1", "Offset": "0 0 0",
    "ElementSpacing": "1 1 1", "DimSize": "7 5 4", "ElementType": "MET_SHORT", "ElementDataFile": "LOCAL",
}  # fmt: skip
VOXELS = dot(SHAPE, INDEX).astype("<i2").tobytes(order="F")


def meta(path, voxels=VOXELS, **changes):
    """Write a header and, behind it, voxels; None leaves a field out."""
    fields = {**HEADER, **changes}
    last = fields.pop("ElementDataFile")
    lines = [f"{name} = {value}" for name, value in [*fields.items(), ("ElementDataFile", last)] if value is not None]
    path.write_bytes("\n".join([*lines, ""]).encode() + voxels)
    return path


def scan_says(path):
    with path.open("rb") as file:
        return describe(file, path.stat().st_size, BUILT_IN, path.name)["reason"]


@pytest.mark.parametrize("name", ["a.mha", "a.mhd"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("turn", FLIPS.values(), ids=FLIPS)
def test_a_marked_voxel_keeps_its_place_and_value(tmp_path, turn, packed, name):
    theirs = itk(dot(SHAPE, INDEX), turn)
    SimpleITK.WriteImage(theirs, str(tmp_path / name), packed)
    ours = read_image(tmp_path / name).volume
    assert np.argwhere(ours.array == 900).tolist() == [list(INDEX)]
    world = lps_to_ras(np.eye(4))[:3, :3] @ theirs.TransformIndexToPhysicalPoint(INDEX)
    np.testing.assert_allclose(ours.geometry.world(np.array([INDEX]))[0], world, atol=1e-4)
    assert scan_says(tmp_path / name) is None


@pytest.mark.parametrize(
    "dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"]
)
def test_every_type_that_itk_writes(tmp_path, dtype):
    array = np.arange(140).reshape(SHAPE).astype(dtype)
    SimpleITK.WriteImage(itk(array, np.eye(3)), str(tmp_path / "a.mha"))
    np.testing.assert_array_equal(read_image(tmp_path / "a.mha").volume.array, array)


def test_big_endian_as_itk_reads_it(tmp_path):
    array = np.arange(140, dtype=">i2").reshape(SHAPE)
    path = meta(tmp_path / "a.mha", array.tobytes(order="F"), BinaryDataByteOrderMSB=None, ElementByteOrderMSB="True")
    np.testing.assert_array_equal(read_image(path).volume.array, array)
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))).T, array)


@pytest.mark.parametrize("size", ["8", "-1"])
def test_voxels_behind_a_header_of_another_format(tmp_path, size):
    (tmp_path / "a.raw").write_bytes(bytes(8) + VOXELS)
    path = meta(tmp_path / "a.mhd", b"", ElementDataFile="a.raw", HeaderSize=size)
    assert np.argwhere(read_image(path).volume.array).tolist() == [list(INDEX)]


def test_a_list_of_slices(tmp_path):
    for number in range(4):
        (tmp_path / f"{number}.raw").write_bytes(VOXELS[number * 70 : (number + 1) * 70])
    path = meta(tmp_path / "a.mhd", b"0.raw\n1.raw\n2.raw\n3.raw\n", ElementDataFile="LIST")
    assert np.argwhere(read_image(path).volume.array).tolist() == [list(INDEX)]
    assert np.argwhere(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))).T).tolist() == [list(INDEX)]
    assert {file.name for file in BUILT_IN.voxel_files(path)} == {f"{number}.raw" for number in range(4)}


def test_a_picture_and_its_mask(tmp_path):
    array = dot((6, 5), (4, 2))
    for name, spacing in (("a", (0.2, 0.3)), ("b", (1.0, 1.0))):
        image = SimpleITK.GetImageFromArray(array)
        image.SetSpacing(spacing)
        SimpleITK.WriteImage(image, str(tmp_path / f"{name}.mha"))
    image = read_image(tmp_path / "a.mha")
    np.testing.assert_array_equal(image.volume.array, array)
    assert (image.volume.geometry.spacing, image.volume.geometry.unit) == ((0.3, 0.2), "mm")
    assert read_image(tmp_path / "b.mha").volume.geometry.unit == "px"
    assert np.argwhere(read_mask(tmp_path / "a.mha", image).marked).tolist() == [[4, 2]]
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array[:, :4]), str(tmp_path / "c.mha"))
    refusal(Reason.OTHER_GRID, lambda: read_mask(tmp_path / "c.mha", image), excluded=True)


def test_times_are_volumes_that_are_chosen(tmp_path):
    array = np.zeros((7, 5, 4, 2), np.int16)
    array[5, 1, 2, 1] = 900
    image = SimpleITK.JoinSeries([itk(array[..., time], OBLIQUE) for time in (0, 1)])
    SimpleITK.WriteImage(image, str(tmp_path / "a.mha"))
    refusal(Reason.SEVERAL_VOLUMES, lambda: read_image(tmp_path / "a.mha"))
    ours = read_image(tmp_path / "a.mha", ReadOptions(volume=1)).volume
    assert np.argwhere(ours.array).tolist() == [[5, 1, 2]]
    world = np.diag([-1, -1, 1]) @ image.TransformIndexToPhysicalPoint((5, 1, 2, 1))[:3]
    np.testing.assert_allclose(ours.geometry.world(np.array([[5, 1, 2]]))[0], world, atol=1e-4)


def test_a_mask_of_another_axis_order_lies_on_the_image(tmp_path):
    SimpleITK.WriteImage(itk(dot(SHAPE, INDEX), OBLIQUE), str(tmp_path / "image.mha"))
    flipped = itk(dot(SHAPE, INDEX, 1)[::-1], np.diag([-1.0, 1, 1]), (1, 1, 1), (6, 0, 0))
    straight = meta(tmp_path / "straight.mha")
    SimpleITK.WriteImage(flipped, str(tmp_path / "mask.mha"))
    assert np.argwhere(read_mask(tmp_path / "mask.mha", read_image(straight)).marked).tolist() == [list(INDEX)]
    image = read_image(tmp_path / "image.mha")
    refusal(Reason.OTHER_GRID, lambda: read_mask(tmp_path / "mask.mha", image), excluded=True)


def test_a_nifti_mask_lies_on_a_metaimage(tmp_path):
    SimpleITK.WriteImage(itk(dot(SHAPE, INDEX), OBLIQUE), str(tmp_path / "image.mha"))
    image = read_image(tmp_path / "image.mha")
    nifti(tmp_path / "mask.nii", dot(SHAPE, INDEX, 1), image.volume.geometry.affine)
    assert np.argwhere(read_mask(tmp_path / "mask.nii", image).marked).tolist() == [list(INDEX)]


MUTANTS = [
    ({"DimSize": "7 5"}, "not_readable"),
    ({"DimSize": "7 5 -4"}, "not_readable"),
    ({"DimSize": "7 5 0"}, "not_readable"),
    ({"DimSize": "7 5 4.5"}, "not_readable"),
    ({"DimSize": "7 5 nan"}, "not_readable"),
    ({"DimSize": "7 5 3"}, "not_readable"),
    ({"DimSize": "7 5 40"}, "truncated"),
    ({"DimSize": "70000 70000 70000"}, "too_large"),
    ({"DimSize": None}, "not_readable"),
    ({"NDims": None}, "not_readable"),
    ({"NDims": "x"}, "not_readable"),
    ({"NDims": "1", "DimSize": "140"}, "unsupported_format"),
    ({"NDims": "900"}, "unsupported_format"),
    ({"ElementType": None}, "unsupported_format"),
    ({"ElementType": "MET_SHORT_ARRAY"}, "unsupported_format"),
    ({"ElementType": "MET_DOUBLE"}, "truncated"),
    ({"ElementType": "MET_CHAR"}, "not_readable"),
    ({"ElementNumberOfChannels": "3"}, "not_a_single_channel"),
    ({"ElementNumberOfChannels": ""}, "not_readable"),
    ({"ElementSpacing": None}, "no_geometry"),
    ({"ElementSpacing": "1 1 0"}, "no_geometry"),
    ({"ElementSpacing": "1 1 inf"}, "not_readable"),
    ({"ElementSpacing": "1 1 -1"}, "no_geometry"),
    ({"ElementSpacing": ""}, "not_readable"),
    ({"TransformMatrix": "0 0 0 0 0 0 0 0 0"}, "no_geometry"),
    ({"TransformMatrix": "1 0 0 1 0 0 0 0 1"}, "no_geometry"),
    ({"TransformMatrix": "2 0 0 0 1 0 0 0 1"}, "no_geometry"),
    ({"TransformMatrix": "1 0 0"}, "not_readable"),
    ({"TransformMatrix": None}, None),
    ({"Offset": None}, None),
    ({"Offset": "0 0"}, "not_readable"),
    ({"Rotation": "1 0 0 0 1 0 0 0 1"}, "not_readable"),
    ({"Offset": None, "Position": "0 0 0"}, None),
    ({"DistanceUnits": "um"}, "no_geometry"),
    ({"ObjectType": "Tube"}, "not_an_image"),
    ({"BinaryData": "False"}, "unsupported_format"),
    ({"BinaryDataByteOrderMSB": "maybe"}, "not_readable"),
    ({"CompressedData": "True"}, "not_readable"),
    ({"HeaderSize": "4"}, "not_readable"),
    ({"AnatomicalOrientation": "RAI", "CenterOfRotation": "0 0 0", "Anything": "else"}, None),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "reason"), MUTANTS, ids=[" ".join(map(str, c.items())) for c, _ in MUTANTS])
def test_a_field_changed_is_read_or_refused_alike_by_scan_and_reader(tmp_path, changes, reason):
    path = meta(tmp_path / "a.mha", **changes)
    if reason is None:
        assert np.argwhere(read_image(path).volume.array).tolist() == [list(INDEX)]
    else:
        refusal(Reason(reason), lambda: read_image(path))
    pixels_alone = changes == {"CompressedData": "True"}
    assert scan_says(path) == (None if pixels_alone else reason)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("/etc/passwd", "leads_out"),
        ("../../x.raw", "leads_out"),
        ("..", "leads_out"),
        ("sub/x.raw", "leads_out"),
        ("C:\\x.raw", "leads_out"),
        ("x%03d.raw 1 4 1", "unsupported_format"),
        ("", "not_readable"),
        ("x\0.raw", "not_readable"),
        ("LIST 2", "unsupported_format"),
        ("none.raw", "missing_file"),
    ],
)
def test_voxels_are_a_plain_file_beside_the_header(tmp_path, name, reason):
    path = meta(tmp_path / "a.mhd", b"", ElementDataFile=name)
    refusal(Reason(reason), lambda: read_image(path))
    assert scan_says(path) == (None if reason == "missing_file" else reason)  # what is beside it, grouping sees
    assert BUILT_IN.voxel_files(path) in ((), (tmp_path / "none.raw",))


def test_listed_names_are_looked_at_too(tmp_path):
    for text in (b"0.raw\n../1.raw\n2.raw\n3.raw\n", b"/etc/passwd\n1\n2\n3\n"):
        refusal(Reason.LEADS_OUT, lambda text=text: read_image(meta(tmp_path / "a.mhd", text, ElementDataFile="LIST")))
    for text in (b"0.raw\n0.raw\n1.raw\n2.raw\n", b"0.raw\n"):
        path = meta(tmp_path / "a.mhd", text, ElementDataFile="LIST")
        refusal(Reason.NOT_READABLE, lambda path=path: read_image(path))


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "secret").write_bytes(VOXELS)
    (tmp_path / "a.raw").symlink_to(tmp_path / "secret")
    path = meta(tmp_path / "a.mhd", b"", ElementDataFile="a.raw")
    refusal(Reason.LEADS_OUT, lambda: read_image(path))


def test_a_header_under_another_name_is_refused(tmp_path):
    """Whoever hashes a study looks for voxels beside it by the ending alone."""
    (tmp_path / "a.raw").write_bytes(VOXELS)
    path = meta(tmp_path / "a.mha", b"", ElementDataFile="a.raw")
    refusal(Reason.UNSUPPORTED_FORMAT, lambda: read_image(path))
    assert scan_says(path) == "unsupported_format"


@pytest.mark.parametrize(
    ("voxels", "reason"),
    [
        (zlib.compress(bytes(10_000_000)), "not_readable"),
        (zlib.compress(VOXELS[:-2]), "truncated"),
        (zlib.compress(VOXELS)[:-3], "truncated"),
        (zlib.compress(VOXELS) + b"\0", "not_readable"),
        (VOXELS, "not_readable"),
        (b"", "truncated"),
    ],
    ids=["bomb", "short", "cut", "long", "raw", "none"],
)
def test_a_stream_holds_just_the_voxels(tmp_path, voxels, reason):
    refusal(Reason(reason), lambda: read_image(meta(tmp_path / "a.mha", voxels, CompressedData="True")))


def test_a_bomb_is_never_inflated(tmp_path):
    path = meta(tmp_path / "a.mha", zlib.compress(bytes(100_000_000)), CompressedData="True")
    tracemalloc.start()
    refusal(Reason.NOT_READABLE, lambda: read_image(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


def test_a_stated_packed_size_is_the_streams(tmp_path):
    packed = zlib.compress(VOXELS)
    for size, reason in ((len(packed), None), (len(packed) - 1, "not_readable"), (len(packed) + 1, "truncated")):
        path = meta(tmp_path / "a.mha", packed, CompressedData="True", CompressedDataSize=str(size))
        if reason is None:
            assert read_image(path).volume.array.max() == 900
        else:
            refusal(Reason(reason), lambda path=path: read_image(path))
        assert scan_says(path) == reason


def test_a_header_without_an_end(tmp_path):
    (tmp_path / "a.mha").write_bytes(b"ObjectType = Image\n" + b"Comment = x\n" * 3)
    refusal(Reason.TRUNCATED, lambda: read_image(tmp_path / "a.mha"))
    (tmp_path / "a.mha").write_bytes(b"ObjectType = Image\nK = " + b"x" * 100_000)
    refusal(Reason.TOO_LARGE, lambda: read_image(tmp_path / "a.mha"))


def test_gzip_around_it_is_refused_by_its_name(tmp_path):
    (tmp_path / "a.mha").write_bytes(gzip.compress(meta(tmp_path / "b.mha").read_bytes()))
    refusal(Reason.UNSUPPORTED_FORMAT, lambda: read_image(tmp_path / "a.mha"))
    assert scan_says(tmp_path / "a.mha") == "unsupported_format"


def test_the_generic_checks(tmp_path):
    check_reader(meta_image, [meta(tmp_path / "a.mha")])


def test_names_in_the_header_stay_there(tmp_path):
    path = meta(tmp_path / "a.mha", PatientName=SECRET)
    image = read_image(path)
    assert SECRET not in str(dict(image.header))
    with pytest.raises(StudyError) as caught:
        read_image(meta(tmp_path / "b.mha", PatientName=SECRET, DimSize=SECRET))
    assert SECRET not in str(caught.value)


def test_a_grid_of_its_own_is_kept_to_the_micrometre(tmp_path):
    affine = grid(OBLIQUE, (0.123456, 0.654321, 1.111111), (-123.456, 78.9012, 3.4567))
    place = (0.123456, 0.654321, 1.111111), (123.456, -78.9012, 3.4567)
    SimpleITK.WriteImage(itk(dot(SHAPE, INDEX), np.diag([-1, -1, 1]) @ OBLIQUE, *place), str(tmp_path / "a.mha"))
    np.testing.assert_allclose(read_image(tmp_path / "a.mha").volume.geometry.affine, affine, atol=1e-4)
