"""AIM's markup on the slices that it names, counted by hand; versions 4 and 3."""

import numpy as np
import pytest

from pipeline.errors import Reason
from pipeline.studies.readers import MaskRequest, read_image, read_mask
from tests.pipeline.studies.readers.regions.pictures import in_circle, in_outline, rows_of, star, write
from tests.pipeline.studies.writers import dot, grid, projection, refusal, save, slices

AFFINE = grid(np.diag([-1, -1, 1]), (0.7, 0.8, 2.5), (20.0, 30.0, 0.0))
SHAPE = (9, 6, 4)  # columns, rows, slices
BOX = [(2, 1), (5, 1), (5, 3), (2, 3)]


@pytest.fixture
def study(tmp_path):
    """Return a CT whose files are not in the order of its slices, and the instances from the lowest slice up."""
    images = slices(dot(SHAPE, (1, 2, 3)), AFFINE)
    return read_image(save(tmp_path / "ct", images, [2, 0, 3, 1])), [image.SOPInstanceUID for image in images]


def markup(kind, points, instance, *, include=None, frame=1, close=True):
    listed = "".join(
        "<TwoDimensionSpatialCoordinate>"
        f'<coordinateIndex value="{index}"/><x value="{x}"/><y value="{y}"/></TwoDimensionSpatialCoordinate>'
        for index, (x, y) in enumerate(points)
    )
    flag = "" if include is None else f'<includeFlag value="{include}"/>'
    return (
        f'<MarkupEntity xsi:type="{kind}"><uniqueIdentifier root="1.2.3.4"/>{flag}'
        f'<imageReferenceUid root="{instance}"/><referencedFrameNumber value="{frame}"/>'
        f"<twoDimensionSpatialCoordinateCollection>{listed}</twoDimensionSpatialCoordinateCollection></MarkupEntity>"
    )


def annotation(*markups, name="SECRET1", observation="Nodule"):
    return (
        f'<ImageAnnotation><typeCode code="ROI" codeSystem="99"/><name value="{name}"/>'
        "<imagingObservationEntityCollection><ImagingObservationEntity>"
        f'<typeCode code="x" codeSystem="RADLEX"><iso:displayName value="{observation}"/></typeCode>'
        "</ImagingObservationEntity></imagingObservationEntityCollection>"
        f"<markupEntityCollection>{''.join(markups)}</markupEntityCollection></ImageAnnotation>"
    )


def aim(path, *annotations):
    spaces = (
        'xmlns="gme://caCORE.caCORE/4.4/edu.northwestern.radiology.AIM" xmlns:iso="uri:iso.org:21090" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" aimVersion="AIMv4_0"'
    )
    head = "<user><name value='SECRET^NAME'/></user><person><name value='SECRET'/></person>"
    body = f"<imageAnnotations>{''.join(annotations)}</imageAnnotations>"
    return write(path, f"<?xml version='1.0' encoding='utf-8'?><ImageAnnotationCollection {spaces}>{head}{body}"
                       "</ImageAnnotationCollection>")  # fmt: skip


def read(path, image, label="nodule"):
    return read_mask(path, image, MaskRequest(label, key="SECRET"))


def test_an_outline_lies_on_the_slice_that_it_names(tmp_path, study):
    image, instances = study
    path = aim(tmp_path / "a.xml", annotation(markup("TwoDimensionPolyline", BOX, instances[2])))
    mask = read(path, image)
    assert mask.marked.shape == SHAPE
    assert rows_of(mask.marked[..., 2].T) == [".........", "..###....", "..###....", *["........."] * 3]
    assert mask.marked.sum() == 6
    assert mask.header == {"mask drawn from": "polygons"}


def test_outlines_circles_and_ellipses_are_those_of_other_rasterisers(tmp_path):
    size = (61, 83)
    images = slices(np.zeros((*size[::-1], 2), np.int16), AFFINE)
    image, instance = read_image(save(tmp_path / "ct", images)), images[1].SOPInstanceUID
    points = star(np.random.default_rng(11), size)
    path = aim(
        tmp_path / "a.xml",
        annotation(markup("TwoDimensionPolyline", points, instance), observation="star"),
        annotation(markup("TwoDimensionCircle", [(40, 30), (40, 50.3)], instance), observation="round"),
        annotation(markup("TwoDimensionEllipse", [(20, 30), (60, 30), (40, 20), (40, 40)], instance), observation="o"),
    )
    np.testing.assert_array_equal(read(path, image, "star").marked[..., 1].T, in_outline(points, size))
    np.testing.assert_array_equal(read(path, image, "round").marked[..., 1].T, in_circle(40, 30, 20.3, size))
    oval = read(path, image, "o").marked
    assert abs(oval.sum() / (np.pi * 20 * 10) - 1) < 0.01
    assert np.ptp(np.argwhere(oval), axis=0).tolist() == [39, 19, 0]


def test_what_is_not_included_is_taken_out_of_its_own_annotation_alone(tmp_path, study):
    image, instances = study
    hole = markup("TwoDimensionPolyline", [(3, 1), (4, 1), (4, 3), (3, 3)], instances[0], include="false")
    path = aim(
        tmp_path / "a.xml",
        annotation(hole, markup("TwoDimensionPolyline", BOX, instances[0], include="true")),
        annotation(markup("TwoDimensionPolyline", [(3, 2), (4, 2), (4, 4), (3, 4)], instances[0])),
    )
    assert rows_of(read(path, image).marked[..., 0].T)[1:4] == ["..#.#....", "..###....", "...#....."]


def test_the_label_is_any_of_an_annotations_names(tmp_path, study):
    image, instances = study
    both = [markup("TwoDimensionPolyline", BOX, instances[0])]
    path = aim(tmp_path / "a.xml", annotation(*both, name="Lesion1"), annotation(*both, name="b", observation="cyst"))
    assert read(path, image, "lesion1").marked.sum() == read(path, image, "cyst").marked.sum() == 6
    refusal(Reason.MASK_MISSING_LABEL, lambda: read(path, image, "mass"), excluded=True)
    refusal(Reason.MASK_MISSING_LABEL, lambda: read(path, image, None), excluded=True)
    only = aim(tmp_path / "b.xml", annotation(*both, name="SECRET7", observation="cyst"))
    refusal(Reason.MASK_MISSING_LABEL, lambda: read(only, image, "mass"), excluded=True)
    assert read_mask(only, image, MaskRequest("mass", by_reference=True)).header["label's name"]


def test_other_images_are_refused_or_a_fact(tmp_path, study):
    image, instances = study
    elsewhere = markup("TwoDimensionPolyline", BOX, "1.2.3.999")
    other = aim(tmp_path / "SECRET.xml", annotation(elsewhere))
    refusal(Reason.OTHER_IMAGE, lambda: read(other, image), excluded=True)
    path = aim(tmp_path / "b.xml", annotation(elsewhere, markup("TwoDimensionPolyline", BOX, instances[0])))
    assert read(path, image).header["regions on other images"] == "1 of 2, left out"
    frame = aim(tmp_path / "SECRETf.xml", annotation(markup("TwoDimensionPolyline", BOX, instances[0], frame=2)))
    refusal(Reason.OTHER_IMAGE, lambda: read(frame, image), excluded=True)


def test_a_projection_that_is_named(tmp_path):
    path = projection(tmp_path / "SECRET.dcm", np.zeros((6, 9), np.uint16), PixelSpacing=[0.1, 0.1])
    image = read_image(path)
    (instance,) = image.instances
    mask = read(aim(tmp_path / "a.xml", annotation(markup("TwoDimensionPolyline", BOX, instance))), image)
    assert rows_of(mask.marked)[1:3] == ["..###....", "..###...."]


def test_an_annotation_without_markup_is_no_empty_mask(tmp_path, study):
    image, _ = study
    path = aim(tmp_path / "SECRET.xml", annotation())
    refusal(Reason.MASK_WITHOUT_AREA, lambda: read(path, image), excluded=True)
    refusal(Reason.MASK_WITHOUT_AREA, lambda: read(aim(path), image, None), excluded=True)


def test_points_are_left_out_and_space_is_refused(tmp_path, study):
    image, instances = study
    point = markup("TwoDimensionMultiPoint", [(1, 1), (2, 2)], instances[0])
    path = aim(tmp_path / "a.xml", annotation(point, markup("TwoDimensionPolyline", BOX, instances[0])))
    assert read(path, image).header["points and open lines left out"] == "1"
    refusal(Reason.MASK_WITHOUT_AREA, lambda: read(aim(tmp_path / "b.xml", annotation(point)), image), excluded=True)
    space = annotation(markup("ThreeDimensionPolyline", [], instances[0]))
    refusal(Reason.UNSUPPORTED_FORMAT, lambda: read(aim(tmp_path / "SECRET.xml", space), image))


@pytest.mark.parametrize(
    ("points", "reason", "excluded"),
    [
        ([(2, 1), (float("nan"), 1), (5, 3)], Reason.NOT_READABLE, False),
        ([("2,5", 1), (3, 1), (5, 3)], Reason.NOT_READABLE, False),
        ([("", 1), (3, 1), (5, 3)], Reason.NOT_READABLE, False),
        ([(-9, 1), (3, 1), (5, 3)], Reason.OTHER_GRID, True),
        ([(2, 1), (99, 1), (5, 3)], Reason.OTHER_GRID, True),
        ([(2, 1), (5, 1)], Reason.MASK_WITHOUT_AREA, True),
        ([], Reason.MASK_WITHOUT_AREA, True),
    ],
)
def test_what_is_no_outline_is_refused(tmp_path, study, points, reason, excluded):
    image, instances = study
    path = aim(tmp_path / "SECRET.xml", annotation(markup("TwoDimensionPolyline", points, instances[0])))
    refusal(reason, lambda: read(path, image), excluded=excluded)


def test_points_out_of_order_are_put_in_order_and_gaps_refused(tmp_path, study):
    image, instances = study
    path = aim(tmp_path / "SECRET.xml", annotation(markup("TwoDimensionPolyline", BOX, instances[0])))
    text = path.read_text()
    swapped = text.replace('Index value="0"', 'Index value="x"').replace('Index value="2"', 'Index value="0"')
    write(path, swapped.replace('Index value="x"', 'Index value="2"'))
    assert read(path, image).marked.sum() == 6
    write(path, text.replace('Index value="3"', 'Index value="9"'))
    refusal(Reason.NOT_READABLE, lambda: read(path, image))


def test_version_3_keeps_values_beside_others(tmp_path, study):
    image, instances = study
    points = "".join(
        f'<SpatialCoordinate xsi:type="TwoDimensionSpatialCoordinate" coordinateIndex="{index}" x="{x}" y="{y}"/>'
        for index, (x, y) in enumerate(BOX)
    )
    shape = (
        f'<GeometricShape xsi:type="Polyline" includeFlag="true"><spatialCoordinateCollection>{points}'
        "</spatialCoordinateCollection></GeometricShape>"
    )
    shape = shape.replace("<GeometricShape ", f'<GeometricShape imageReferenceUID="{instances[1]}" ')
    shape = shape.replace("<GeometricShape ", '<GeometricShape referencedFrameNumber="1" ')
    path = write(
        tmp_path / "a.xml",
        '<ImageAnnotation xmlns="gme://caCORE.caCORE/3.2/edu.northwestern.radiology.AIM" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" name="x" codeMeaning="Nodule">'
        f"<geometricShapeCollection>{shape}</geometricShapeCollection></ImageAnnotation>",
    )
    assert rows_of(read(path, image).marked[..., 1].T)[1:3] == ["..###....", "..###...."]
