"""Reports of measurements that highdicom wrote, their planar regions counted by hand."""

import numpy as np
import pytest
from highdicom import sr
from highdicom.sr import coding
from highdicom.uid import UID
from pydicom import dcmread
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from pipeline.errors import Reason
from pipeline.studies.readers import MaskRequest, read_image, read_mask
from tests.pipeline.studies.readers.regions.pictures import in_outline, rows_of, star
from tests.pipeline.studies.writers import dot, edited, grid, projection, refusal, save, slices

AFFINE = grid(np.diag([-1, -1, 1]), (0.7, 0.8, 2.5), (20.0, 30.0, 0.0))
SHAPE = (9, 6, 4)  # columns, rows, slices
BOX = [(2, 1), (5, 1), (5, 3), (2, 3), (2, 1)]
NODULE = coding.CodedConcept("27925004", "SCT", "Nodule")


@pytest.fixture
def images():
    return slices(dot(SHAPE, (1, 2, 3)), AFFINE)


def image_of(folder, images):
    return read_image(save(folder, images, [2, 0, 3, 1]))


def group(source, points=BOX, *, kind="POLYLINE", finding=NODULE, tracking="SECRET-1"):
    region = sr.ImageRegion(
        kind, np.array(points, float), sr.SourceImageForRegion(source.SOPClassUID, source.SOPInstanceUID)
    )
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        sr.TrackingIdentifier(UID(), tracking), region, finding_type=finding
    )


def report(path, images, *groups):
    observer = sr.ObservationContext(
        observer_person_context=sr.ObserverContext(
            coding.CodedConcept("121006", "DCM", "Person"), sr.PersonObserverIdentifyingAttributes("SECRET^NAME")
        )
    )
    content = sr.MeasurementReport(observer, codes.LN.CTUnspecifiedBodyRegion, imaging_measurements=groups)
    document = sr.Comprehensive3DSR(images, content, generate_uid(), 1, generate_uid(), 1, "SECRET")
    document.save_as(path)
    return path


def read(path, image, label="nodule", **how):
    return read_mask(path, image, MaskRequest(label, key="SECRET", **how))


def test_a_region_lies_on_the_slice_that_it_names(tmp_path, images):
    path = report(tmp_path / "SECRET.dcm", images, group(images[2]), group(images[0], finding=codes.SCT.Cyst))
    mask = read(path, image_of(tmp_path / "ct", images))
    assert rows_of(mask.marked[..., 2].T) == [".........", "..###....", "..###....", *["........."] * 3]
    assert mask.marked.sum() == 6
    assert mask.header == {"mask drawn from": "polygons"}


def test_outlines_circles_and_ellipses_are_those_of_another_rasteriser(tmp_path):
    size = (61, 83)
    pictures = slices(np.zeros((*size[::-1], 2), np.int16), AFFINE)
    image = image_of_two(tmp_path / "ct", pictures)
    points = star(np.random.default_rng(2), size).astype(np.float32)
    outline = group(pictures[1], [*points, points[0]])
    turned = np.array([[10, 10], [50, 50], [40, 20], [20, 40]], float)
    path = report(tmp_path / "r.dcm", pictures, outline, group(pictures[0], turned, kind="ELLIPSE", tracking="oval"),
                  group(pictures[0], [(40, 30), (40, 50.3)], kind="CIRCLE", tracking="round"))  # fmt: skip
    whole = read(path, image).marked
    np.testing.assert_array_equal(whole[..., 1].T, in_outline(points.astype(float), size))
    oval = read(path, image, "oval").marked[..., 0].T
    assert abs(oval.sum() / (np.pi * np.hypot(20, 20) * np.hypot(10, 10)) - 1) < 0.01
    assert oval[49, 49]
    assert not oval[45, 25]
    assert abs(read(path, image, "round").marked.sum() / (np.pi * 20.3**2) - 1) < 0.01


def image_of_two(folder, images):
    return read_image(save(folder, images))


def test_the_label_is_any_of_a_groups_names(tmp_path, images):
    image = image_of(tmp_path / "ct", images)
    path = report(tmp_path / "SECRET.dcm", images, group(images[0]), group(images[1], tracking="lesion 2"))
    assert read(path, image).marked.sum() == 12
    assert read(path, image, "Lesion 2").marked.sum() == 6
    refusal(Reason.MASK_MISSING_LABEL, lambda: read(path, image, "mass"), excluded=True)
    refusal(Reason.MASK_MISSING_LABEL, lambda: read(path, image, None), excluded=True)


def test_open_lines_and_points_are_left_out(tmp_path, images):
    image = image_of(tmp_path / "ct", images)
    path = report(tmp_path / "SECRET.dcm", images, group(images[0], BOX[:-1]))
    refusal(Reason.MASK_WITHOUT_AREA, lambda: read(path, image), excluded=True)
    path = report(tmp_path / "r.dcm", images, group(images[0]), group(images[0], [(1, 1)], kind="POINT"))
    assert read(path, image).header["points and open lines left out"] == "1"


def test_other_images_space_and_segments_are_refused(tmp_path, images):
    others = slices(dot(SHAPE, (1, 2, 3)), AFFINE)
    image = image_of(tmp_path / "ct", images)
    path = report(tmp_path / "SECRET.dcm", others, group(others[0]))
    refusal(Reason.OTHER_IMAGE, lambda: read(path, image), excluded=True)

    def to_space(dataset):
        for item in _regions_in(dataset):
            item.ValueType = "SCOORD3D"

    refusal(Reason.UNSUPPORTED_FORMAT, lambda: read(edited(path, to_space), image))

    def to_segment(dataset):
        for item in _regions_in(dataset):
            item.ValueType, item.ConceptNameCodeSequence[0].CodeValue = "IMAGE", "121214"

    again = report(tmp_path / "SECRET2.dcm", images, group(images[0]))
    words = refusal(Reason.UNSUPPORTED_FORMAT, lambda: read(edited(again, to_segment), image))
    assert "name that file as the mask" in words


def _regions_in(dataset):
    for item in dataset.get("ContentSequence", []):
        if item.ValueType in ("SCOORD", "SCOORD3D"):
            yield item
        else:
            yield from _regions_in(item)


@pytest.mark.parametrize(
    ("change", "reason", "excluded"),
    [
        ({"GraphicData": [float("nan")] * 10}, Reason.NOT_READABLE, False),
        ({"GraphicData": [1.0, 2.0, 3.0]}, Reason.NOT_READABLE, False),
        ({"GraphicData": None}, Reason.MASK_WITHOUT_AREA, True),
        ({"GraphicType": None}, Reason.NOT_READABLE, False),
        ({"GraphicType": "SECRET"}, Reason.NOT_READABLE, False),
        ({"GraphicType": "CIRCLE"}, Reason.NOT_READABLE, False),
        ({"GraphicType": "ELLIPSE"}, Reason.NOT_READABLE, False),
        ({"ContentSequence": []}, Reason.NOT_READABLE, False),
        ({"GraphicData": [-9.0, 1, 5, 1, 5, 3, -9.0, 1]}, Reason.OTHER_GRID, True),
    ],
)
def test_what_is_no_region_is_refused(tmp_path, images, change, reason, excluded):
    def changed(dataset):
        for item in _regions_in(dataset):
            for name, value in change.items():
                setattr(item, name, value)

    path = edited(report(tmp_path / "SECRET.dcm", images, group(images[0])), changed)
    image = image_of(tmp_path / "ct", images)
    refusal(reason, lambda: read(path, image), excluded=excluded)


def test_a_report_without_regions_is_no_mask(tmp_path, images):
    path = report(tmp_path / "SECRET.dcm", images, group(images[0]))
    empty = edited(path, lambda dataset: setattr(dataset, "ContentSequence", []))
    image = image_of(tmp_path / "ct", images)
    refusal(Reason.UNSUPPORTED_FORMAT, lambda: read(empty, image))


def test_a_projection_and_a_frame_of_it(tmp_path):
    path = projection(tmp_path / "SECRETcr.dcm", np.zeros((6, 9), np.uint16), PixelSpacing=[0.1, 0.1])
    source, image = dcmread(path), read_image(path)
    mask = read(report(tmp_path / "SECRET.dcm", [source], group(source)), image)
    assert rows_of(mask.marked)[1:3] == ["..###....", "..###...."]
