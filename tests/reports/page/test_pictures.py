"""Pictures on disk: each once, grey ones exact, none larger than print needs, the same bytes each time."""

import io

import numpy as np
import pikepdf
import pytest
from PIL import Image
from reportlab.lib.utils import ImageReader

from reports.page.pictures import PageCanvas, PictureFile, at_print_resolution, encoded, picture_file
from reports.pdf_objects.object_file import ObjectFile

NOISE = np.random.default_rng(3).integers(0, 256, (600, 600, 3)).astype(np.uint8)
CM = 72 / 2.54


def decoded(pictures, place, tmp_path):
    """Return a picture as it comes back from a file that it was copied to."""
    path = tmp_path / "copied.pdf"
    with path.open("w+b") as file:
        objects = ObjectFile(file)
        number = objects.reserve()
        pictures.copy_to(objects, {place: number})
        objects.finish(objects.add(b"<</Type/Catalog/Pages<</Type/Pages/Count 0/Kids[]>>>>"))
    with pikepdf.open(path) as pdf:
        return pikepdf.PdfImage(pdf.get_object(number, 0)).as_pil_image().copy()


def kept(picture, width, height, tmp_path):
    """Return a picture as it comes back from the file."""
    with picture_file(tmp_path / "pictures") as pictures:
        return decoded(pictures, pictures.add(picture, width, height), tmp_path)


@pytest.mark.parametrize("shape", [(1, 1), (7, 300), (300, 7), (200, 150)])
@pytest.mark.parametrize("colours", [1, 3])
def test_a_small_picture_comes_back_exactly(shape, colours, tmp_path):
    pixels = NOISE[: shape[0], : shape[1], 0] if colours == 1 else NOISE[: shape[0] // 4 + 1, : shape[1] // 4 + 1]
    back = kept(Image.fromarray(pixels), 10 * CM, 10 * CM, tmp_path)
    np.testing.assert_array_equal(np.asarray(back), pixels)


def test_a_grey_picture_loses_nothing_however_large(tmp_path):
    pixels = NOISE[..., 0]
    back = kept(Image.fromarray(pixels), 8 * CM, 8 * CM, tmp_path)
    np.testing.assert_array_equal(np.asarray(back), pixels)
    assert back.mode == "L"


def test_three_equal_bands_are_grey(tmp_path):
    pixels = np.repeat(NOISE[:40, :40, :1], 3, axis=2)
    back = kept(Image.fromarray(pixels), 4 * CM, 4 * CM, tmp_path)
    assert back.mode == "L"
    np.testing.assert_array_equal(np.asarray(back), pixels[..., 0])


def test_a_large_coloured_picture_is_lossy_and_nobody_sees_it(tmp_path):
    rows, columns = np.indices((600, 600))
    smooth = np.stack([rows / 600 * 200, columns / 600 * 200, 80 + 0 * rows], axis=2)
    pixels = (smooth + NOISE / 25).astype(np.uint8)
    made = encoded(Image.fromarray(pixels), 7 * CM, 7 * CM)
    assert made.filter == "/DCTDecode"
    assert len(made.data) <= 4000 * 49
    back = np.asarray(kept(Image.fromarray(pixels), 7 * CM, 7 * CM, tmp_path)).astype(int)
    assert np.abs(back - pixels).mean() < 3


def test_flat_colours_stay_exact_because_that_is_smaller(tmp_path):
    pixels = np.zeros((600, 600, 3), np.uint8)
    pixels[100:300, 200:400] = (213, 94, 0)
    back = kept(Image.fromarray(pixels), 3 * CM, 3 * CM, tmp_path)
    np.testing.assert_array_equal(np.asarray(back), pixels)


def test_no_more_pixels_than_print_shows():
    fitted = at_print_resolution(Image.fromarray(NOISE), 2 * CM, 2 * CM)
    assert fitted.size == (237, 237)
    small = Image.fromarray(NOISE[:100, :100])
    assert at_print_resolution(small, 2 * CM, 2 * CM) is small


def test_enlarged_pixels_stay_crisp():
    blocks = NOISE[:30, :20]
    large = Image.fromarray(blocks.repeat(20, 0).repeat(30, 1))
    fitted = np.asarray(at_print_resolution(large, 2 * CM, 2 * CM))
    assert fitted.shape == (210, 220, 3)
    np.testing.assert_array_equal(fitted, blocks.repeat(7, 0).repeat(11, 1))


def test_the_same_picture_is_kept_once_and_another_size_apart(tmp_path):
    with picture_file(tmp_path / "pictures") as pictures:
        picture = Image.fromarray(NOISE[:50, :50])
        places = [pictures.add(picture, 50, 50), pictures.add(picture.copy(), 50, 50), pictures.add(picture, 90, 90)]
        other = pictures.add(picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT), 50, 50)
        first, third = (decoded(pictures, place, tmp_path) for place in (0, 2))
    assert places == [0, 0, 1]
    assert other == 2
    np.testing.assert_array_equal(np.asarray(first), NOISE[:50, :50])
    np.testing.assert_array_equal(np.asarray(third), NOISE[:50, 49::-1])


def test_pages_name_pictures_and_the_file_holds_each_once(tmp_path):
    """One picture is drawn on two pages, another on the second."""
    first, second = (ImageReader(Image.fromarray(NOISE[:size, :size])) for size in (20, 30))
    with picture_file(tmp_path / "pictures") as pictures, (tmp_path / "whole.pdf").open("w+b") as file:
        pictures.add(Image.fromarray(NOISE[:9, :9]), 9, 9)  # of an earlier pass, and on no page now
        canvas = PageCanvas(file, pagesize=(100, 100), picture_file=pictures)
        canvas.drawImage(first, 10, 10, 50, 50)
        canvas.showPage()
        canvas.drawImage(first, 10, 10, 50, 50)
        canvas.drawImage(second, 40, 40, 20, 20)
        canvas.showPage()
        canvas.save()
    with pikepdf.open(tmp_path / "whole.pdf") as pdf:
        assert pdf.check_pdf_syntax() == []
        named = [page.obj.Resources.XObject for page in pdf.pages]
        assert [sorted(names.keys()) for names in named] == [["/Picture2"], ["/Picture2", "/Picture3"]]
        assert named[0].Picture2.objgen == named[1].Picture2.objgen
        assert np.asarray(pikepdf.PdfImage(named[1].Picture3).as_pil_image()).shape == (30, 30, 3)
        assert sum(isinstance(item, pikepdf.Stream) and item.get("/Subtype") == "/Image" for item in pdf.objects) == 2


def test_without_a_file_for_pictures_they_are_drawn_as_ever():
    target = io.BytesIO()
    canvas = PageCanvas(target, pagesize=(100, 100))
    canvas.drawImage(ImageReader(Image.fromarray(NOISE[:20, :20])), 10, 10, 50, 50)
    canvas.showPage()
    canvas.save()
    with pikepdf.open(target) as pdf:
        assert len(pdf.pages[0].obj.Resources.XObject) == 1


def test_memory_holds_no_picture(tmp_path):
    with (tmp_path / "pictures").open("wb") as file:
        pictures = PictureFile(file)
        for seed in range(5):
            pictures.add(Image.fromarray(np.roll(NOISE, seed, axis=0)), 7 * CM, 7 * CM)
        assert sum(len(str(value)) for value in vars(pictures).values()) < 2500
        assert file.tell() > 200_000
