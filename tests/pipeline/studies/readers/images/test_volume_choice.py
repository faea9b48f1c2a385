"""One volume of several: which it is, by b-value, time, echo and number, in series, enhanced files and lists."""

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import EnhancedMRImageStorage, generate_uid

from pipeline.errors import Reason
from pipeline.studies.content_digest import contents
from pipeline.studies.readers import ReadOptions, read_image
from pipeline.studies.readers.shared.volume_choice import VolumeChoice, VolumeTraits, narrowed, same_b_value
from tests.pipeline.studies.readers.images.enhanced import enhanced, item
from tests.pipeline.studies.writers import grid, nifti, refusal, save, slices

AFFINE = grid(np.diag([-1, -1, 1]), (0.7, 0.8, 2.5), (20.0, 30.0, 0.0))
SHAPE = (4, 5, 3)


def read(path, **choice):
    return read_image(path, ReadOptions(volume=VolumeChoice(**choice) if choice else None))


def level(image):
    """Return the value that all voxels of a volume of these tests have."""
    (value,) = set(image.volume.array.ravel().tolist())
    return value


def volume(value, **attributes):
    """Return slices of one value; attributes are those of all, or functions of a slice's number."""
    made = slices(np.full(SHAPE, value, np.int16), AFFINE)
    for number, image in enumerate(made):
        image.Modality = "MR"
        for name, stated in attributes.items():
            setattr(image, name, stated(number) if callable(stated) else stated)
    return made


def written(folder, *volumes):
    images = [image for slices_ in volumes for image in slices_]
    order = np.random.default_rng(1).permutation(len(images)).tolist()
    return save(folder, images, order)


def private(images, group, creator, element, kind, value):
    for image in images:
        image.private_block(group, creator, create=True).add_new(element, kind, value)
    return images


# -- classic series


def test_a_b_value_is_chosen_within_what_rounding_does(tmp_path):
    path = written(
        tmp_path,
        volume(1, DiffusionBValue=0.0),
        volume(2, DiffusionBValue=999.0),
        volume(3, DiffusionBValue=500.0),
    )
    for b_value, expected in ((0, 1), (1000, 2), (990, 2), (500, 3), (504, 3)):
        image = read(path, b_value=b_value)
        assert level(image) == expected
        assert image.volume.geometry.shape == SHAPE
        assert len(image.instances) == SHAPE[2]
    assert image.header["volume"] == "3 volumes (b_value 0, 500, 999; index 0 to 2): b_value 504 chosen"
    words = refusal(Reason.SEVERAL_VOLUMES, lambda: read(path, b_value=1011))
    assert words == ("archive.volume (b_value 1011) fits none of the 3 volumes: b_value 0, 500, 999; index 0 to 2")


def test_slices_of_one_volume_may_state_b_values_that_rounding_tells_apart(tmp_path):
    path = written(
        tmp_path, volume(1, DiffusionBValue=0.0), volume(2, DiffusionBValue=lambda n: (999.0, 1000.0)[n % 2])
    )
    assert level(read(path, b_value=1000)) == 2


@pytest.mark.parametrize(
    ("group", "creator", "element", "kind", "value"),
    [
        (0x0019, "SIEMENS MR HEADER", 0x0C, "IS", 1000),
        (0x2001, "Philips Imaging DD 001", 0x03, "FL", 1000.0),
        (0x0043, "GEMS_PARM_01", 0x39, "IS", [1000001000, 8, 0, 0]),
    ],
)
def test_vendors_keep_b_values_in_places_of_their_own(tmp_path, group, creator, element, kind, value):
    weighted = private(volume(2), group, creator, element, kind, value)
    plain = private(volume(1), group, creator, element, kind, 0 if kind != "IS" or group != 0x43 else [0, 8, 0, 0])
    path = written(tmp_path / "a", plain, weighted)
    assert level(read(path, b_value=1000)) == 2
    assert level(read(path, b_value=0)) == 1
    other = private(volume(3), group, "SOMEBODY ELSE", element, kind, value)
    refusal(Reason.SEVERAL_VOLUMES, lambda: read(written(tmp_path / "b", other, volume(4)), b_value=1000))


def test_directions_of_one_weight_are_counted(tmp_path):
    axes = np.eye(3).tolist()
    path = written(
        tmp_path,
        volume(1, DiffusionBValue=0.0),
        *(volume(2 + n, DiffusionBValue=1000.0, DiffusionGradientOrientation=axes[n]) for n in range(3)),
    )
    words = refusal(Reason.SEVERAL_VOLUMES, lambda: read(path, b_value=1000))
    assert words.startswith("archive.volume (b_value 1000) leaves 3 of the 4 volumes: b_value 0, 1000; index 0 to 3")
    assert level(read(path, b_value=1000, index=0)) == 4  # the directions in order: (0, 0, 1) first
    assert level(read(path, b_value=0, index=0)) == 1
    assert level(read(path, index=0)) == 1
    refusal(Reason.SEVERAL_VOLUMES, lambda: read(path, b_value=1000, index=3))


@pytest.mark.parametrize(
    "timed",
    [
        lambda n: {"TemporalPositionIdentifier": 3 - n},
        lambda n: {"TriggerTime": 900.5 - 100 * n},
        lambda n: {"AcquisitionNumber": 30 - n},
        lambda n: {"InstanceNumber": lambda place: 100 * (3 - n) + place},
        lambda n: {"AcquisitionNumber": 1, "InstanceNumber": lambda place: 4 * place + 3 - n},
    ],
)
def test_a_time_is_chosen_whatever_tells_it(tmp_path, timed):
    path = written(tmp_path, *(volume(n, **timed(n)) for n in range(3)))
    assert [level(read(path, time=time)) for time in range(3)] == [2, 1, 0]
    assert "time 0 to 2; index 0 to 2" in refusal(Reason.SEVERAL_VOLUMES, lambda: read(path, time=3))


def test_echoes_count_by_their_times_and_times_within_them(tmp_path):
    path = written(
        tmp_path,
        *(
            volume(10 * echo + time, EchoTime=(30.0, 2.9, 15.0)[echo], TemporalPositionIdentifier=time + 1)
            for echo in range(3)
            for time in range(2)
        ),
    )
    assert level(read(path, echo=1, time=0)) == 10
    assert level(read(path, echo=2, time=1)) == 21
    assert level(read(path, echo=3, time=1)) == 1
    words = refusal(Reason.SEVERAL_VOLUMES, lambda: read(path, echo=1))
    assert words == ("archive.volume (echo 1) leaves 2 of the 6 volumes: time 0 to 1; echo 1 to 3; index 0 to 5")
    assert [level(read(path, index=index)) for index in range(6)] == [10, 11, 20, 21, 0, 1]


def test_without_a_choice_the_refusal_lists_what_there_is(tmp_path):
    path = written(tmp_path / "b", volume(1, DiffusionBValue=0.0), volume(2, DiffusionBValue=1000.0))
    words = refusal(Reason.MIXED_SERIES, lambda: read(path))
    assert words.endswith("archive.volume would choose one: b_value 0, 1000; index 0 to 1")
    path = written(tmp_path / "t", *(volume(n, TemporalPositionIdentifier=n + 1) for n in range(2)))
    words = refusal(Reason.SEVERAL_VOLUMES, lambda: read(path))
    assert words.endswith("archive.volume would choose one: time 0 to 1; index 0 to 1")


def test_pictures_of_other_kinds_are_volumes_of_their_own(tmp_path):
    kinds = [["ORIGINAL", "PRIMARY", kind] for kind in ("M", "P")]
    path = written(tmp_path, *(volume(n, ImageType=kinds[n]) for n in range(2)))
    assert [level(read(path, index=index)) for index in range(2)] == [0, 1]


def test_a_missing_slice_of_one_volume_refuses_this_one_alone(tmp_path):
    path = written(tmp_path, volume(1, DiffusionBValue=0.0), slices_without_middle())
    assert level(read(path, b_value=0)) == 1
    refusal(Reason.IRREGULAR_SERIES, lambda: read(path, b_value=1000))


def slices_without_middle():
    made = slices(np.full((4, 5, 4), 2, np.int16), AFFINE)
    for image in made:
        image.Modality, image.DiffusionBValue = "MR", 1000.0
    return [made[0], made[1], made[3]]


def test_a_choice_joins_no_two_series(tmp_path):
    other = volume(2, DiffusionBValue=1000.0, SeriesInstanceUID=generate_uid())
    path = written(tmp_path, volume(1, DiffusionBValue=0.0), other)
    refusal(Reason.MIXED_SERIES, lambda: read(path, b_value=1000))


def test_a_series_of_one_volume_is_read_unless_it_states_another_b_value(tmp_path):
    plain = written(tmp_path / "a", volume(7))
    assert level(read(plain, b_value=1000)) == level(read(plain, time=4)) == 7
    weighted = written(tmp_path / "b", volume(8, DiffusionBValue=999.0))
    assert level(read(weighted, b_value=1000)) == 8
    refusal(Reason.SEVERAL_VOLUMES, lambda: read(weighted, b_value=0), excluded=True)


# -- enhanced files


def frames(path, *volumes):
    """Write an enhanced MR of volumes, each a value and the groups of its frames, slice after slice."""
    count = len(volumes)
    array = np.repeat(np.arange(SHAPE[2]), count)
    enhanced(path, np.zeros((*SHAPE[:2], SHAPE[2] * count), np.int16), AFFINE, kind=EnhancedMRImageStorage)
    dataset = dcmread(path)
    dataset.Modality = "MR"
    places = [frame.PlanePositionSequence for frame in dataset.PerFrameFunctionalGroupsSequence[: SHAPE[2]]]
    pixels = np.zeros((len(array), SHAPE[1], SHAPE[0]), np.int16)
    for number, place in enumerate(array):
        value, groups = volumes[number % count]
        frame = dataset.PerFrameFunctionalGroupsSequence[number]
        frame.PlanePositionSequence = places[place]
        frame.FrameContentSequence[0].DimensionIndexValues = [1, int(place) + 1]
        frame.FrameContentSequence[0].InStackPositionNumber = int(place) + 1
        for name, content in groups.items():
            setattr(frame, name, item(**content))
        pixels[number] = value
    dataset.PixelData = pixels.tobytes()
    dataset.save_as(path)
    return dataset


def weight(value):
    return {"MRDiffusionSequence": {"DiffusionBValue": value}}


def test_frames_are_chosen_by_what_their_groups_state(tmp_path):
    path = tmp_path / "SECRET.dcm"
    frames(path, (3, weight(1000.0)), (1, weight(0.0)), (2, weight(500.0)))
    assert [level(read(path, b_value=b_value)) for b_value in (0, 500, 999)] == [1, 2, 3]
    image = read(path, b_value=500)
    assert image.volume.geometry.shape == SHAPE
    assert sorted(image.places.values()) == [0, 1, 2]
    assert {frame for _, frame in image.places} == {3, 6, 9}
    refusal(Reason.SEVERAL_VOLUMES, lambda: read(path))
    refusal(Reason.SEVERAL_VOLUMES, lambda: read(path, b_value=50))


@pytest.mark.parametrize(
    ("group", "keyword", "key", "first"),
    [
        ("MREchoSequence", "EffectiveEchoTime", "echo", 1),
        ("TemporalPositionSequence", "TemporalPositionTimeOffset", "time", 0),
        ("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime", "time", 0),
    ],
)
def test_frames_are_chosen_by_echo_and_time(tmp_path, group, keyword, key, first):
    path = tmp_path / "SECRET.dcm"
    frames(path, *((n, {group: {keyword: 90.0 - 10 * n}}) for n in range(3)))
    assert [level(read(path, **{key: number + first})) for number in range(3)] == [2, 1, 0]


def test_frames_that_differ_along_a_dimension_are_counted(tmp_path):
    path = tmp_path / "SECRET.dcm"
    dataset = frames(path, (0, {}), (1, {}))
    dataset.DimensionIndexSequence[0].DimensionIndexPointer = 0x00189075  # diffusion directionality
    for number, frame in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        frame.FrameContentSequence[0].DimensionIndexValues = [2 - number % 2, number // 2 + 1]
    dataset.save_as(path)
    words = refusal(Reason.SEVERAL_VOLUMES, lambda: read(path))
    assert words.startswith("the file's 6 frames hold 2 times, echoes or contrasts; archive.volume would choose one")
    assert [level(read(path, index=index)) for index in range(2)] == [1, 0]


# -- lists


def test_a_fourth_axis_is_time_and_has_no_b_value(tmp_path):
    path = nifti(tmp_path / "a.nii.gz", np.stack([np.full(SHAPE, n, np.int16) for n in range(3)], axis=3), AFFINE)
    assert level(read(path, time=2)) == level(read(path, index=2)) == level(read(path, time=2, index=0)) == 2
    words = refusal(Reason.SEVERAL_VOLUMES, lambda: read(path, b_value=1000))
    assert words == "archive.volume (b_value 1000) fits none of the 3 volumes: time 0 to 2; index 0 to 2"


def four_d(folder, weights, ending=".nii.gz"):
    volumes = np.stack([np.full(SHAPE, n, np.int16) for n in range(4)], axis=3)
    path = nifti(folder / f"SECRET{ending}", volumes, AFFINE)
    (folder / "SECRET.bval").write_text(weights)
    return path


@pytest.mark.parametrize("ending", [".nii.gz", ".nii"])
def test_b_values_beside_a_nifti_tell_its_volumes(tmp_path, ending):
    path = four_d(tmp_path, "0 1000\n995 2000\n", ending)
    assert [level(read(path, b_value=b)) for b in (0, 2000)] == [0, 3]
    assert level(read(path, b_value=1000, index=1)) == 2
    assert level(read(path, time=1)) == 1
    words = refusal(Reason.SEVERAL_VOLUMES, lambda: read(path, b_value=1000))
    assert words == (
        "archive.volume (b_value 1000) leaves 2 of the 4 volumes: b_value 0, 995, 1000, 2000; time 0 to 3; index 0 to 3"
    )
    linked = tmp_path / "elsewhere"
    linked.mkdir()
    (linked / f"b{ending}").symlink_to(path)
    assert level(read(linked / f"b{ending}", b_value=2000)) == 3


@pytest.mark.parametrize("weights", ["", "0 1000 1000", "0 1000 nan 2000", "0 1000,5 1000 2000", "SECRET a b c"])
def test_a_file_of_b_values_that_is_none_is_refused(tmp_path, weights):
    path = four_d(tmp_path, weights)
    refusal(Reason.NOT_READABLE, lambda: read(path, b_value=1000))
    assert level(read(path, index=3)) == 3


def test_the_file_of_b_values_counts_in_the_digest_and_a_link_is_none(tmp_path):
    path = four_d(tmp_path, "0 1000 1000 2000")
    before = contents(path)
    (tmp_path / "SECRET.bval").write_text("0 1000 2000 1000")
    assert before != contents(path)
    (tmp_path / "SECRET.bval").rename(tmp_path / "other")
    (tmp_path / "SECRET.bval").symlink_to(tmp_path / "other")
    refusal(Reason.SEVERAL_VOLUMES, lambda: read(path, b_value=2000))
    assert len(contents(path)) == 1


def test_narrowing_by_hand():
    volumes = [
        VolumeTraits(0.0, 0, 1),
        VolumeTraits(1000.0, 0, 1),
        VolumeTraits(1000.0, 1, 1),
        VolumeTraits(None, 0, 2),
    ]
    assert narrowed(volumes, VolumeChoice(b_value=1000, time=1), "volumes") == 2
    assert narrowed(volumes, VolumeChoice(echo=2), "volumes") == 3
    assert narrowed(volumes, VolumeChoice(b_value=1000, index=1), "volumes") == 2
    assert str(VolumeChoice(1, 999.5, 0, 2)) == "index 1, b_value 999.5, time 0, echo 2"


@pytest.mark.parametrize(
    ("first", "second", "same"), [(999, 1000, True), (0, 1, True), (0, 1.5, False), (0, 5, False), (990, 1001, False)]
)
def test_b_values_that_rounding_tells_apart(first, second, same):
    assert same_b_value(first, second) is same is same_b_value(second, first)
