"""Pictures on disk: each once, grey ones exact, none larger than print needs, the same bytes each time."""

import io

import numpy as np
import pikepdf
import pytest
from PIL import Image
from reportlab.lib.utils import ImageReader

from reports.page.pictures import (
    PageCanvas,
    PictureFile,
    at_print_resolution,
    encoded,
    picture_file,
    place_pictures,
)

NOISE = np.random.default_rng(3).integers(0, 256, (600, 600, 3)).astype(np.uint8)
CM = 72 / 2.54


def blank(path):
    """Write a file of one empty page."""
    canvas = PageCanvas(str(path), pagesize=(100, 100), invariant=1)
    canvas.showPage()
    canvas.save()
    return path


def decoded(pictures, name, tmp_path):
    """Return a picture as it comes back from a file that it was added to."""
    path = blank(tmp_path / "blank.pdf")
    number = pictures.append_to(path)[name]
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
        names = [pictures.add(picture, 50, 50), pictures.add(picture.copy(), 50, 50), pictures.add(picture, 90, 90)]
        other = pictures.add(picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT), 50, 50)
        first, third = (decoded(pictures, name, tmp_path) for name in ("Picture1", "Picture3"))
    assert names == ["Picture1", "Picture1", "Picture2"]
    assert other == "Picture3"
    np.testing.assert_array_equal(np.asarray(first), NOISE[:50, :50])
    np.testing.assert_array_equal(np.asarray(third), NOISE[:50, 49::-1])


def test_no_pictures_are_a_file_too(tmp_path):
    with picture_file(tmp_path / "pictures") as pictures:
        assert pictures.append_to(blank(tmp_path / "blank.pdf")) == {}
    with pikepdf.open(tmp_path / "blank.pdf") as pdf:
        assert len(pdf.pages) == 1
        assert pdf.check_pdf_syntax() == []


def test_a_file_that_was_not_written_whole_is_refused(tmp_path):
    (tmp_path / "half.pdf").write_bytes(b"%PDF-1.7 trailer <</Size 3")
    with picture_file(tmp_path / "pictures") as pictures, pytest.raises(ValueError, match="was not written whole"):
        pictures.append_to(tmp_path / "half.pdf")


def drawn(pictures, target):
    """Draw one picture on two pages and another on the second; return which page names which."""
    canvas = PageCanvas(str(target), pagesize=(100, 100), invariant=1)
    canvas._doctemplate = type("Document", (), {"picture_file": pictures})()
    first, second = (ImageReader(Image.fromarray(NOISE[:size, :size])) for size in (20, 30))
    canvas.drawImage(first, 10, 10, 50, 50)
    canvas.showPage()
    canvas.drawImage(first, 10, 10, 50, 50)
    canvas.drawImage(second, 40, 40, 20, 20)
    canvas.showPage()
    canvas.save()
    return canvas.pictures


def test_pages_name_pictures_and_the_file_holds_each_once(tmp_path):
    with picture_file(tmp_path / "pictures") as pictures:
        used = drawn(pictures, tmp_path / "pages")
        numbers = pictures.append_to(tmp_path / "pages")
    assert used == {0: {"Picture1"}, 1: {"Picture1", "Picture2"}}
    with pikepdf.open(tmp_path / "pages") as pdf:
        assert pdf.check_pdf_syntax() == []
        place_pictures(pdf, numbers, used)
        pdf.save(tmp_path / "whole.pdf", deterministic_id=True)
    with pikepdf.open(tmp_path / "whole.pdf") as pdf:
        objects = [
            [page.obj.Resources.XObject[name] for name in sorted(page.obj.Resources.XObject.keys())]
            for page in pdf.pages
        ]
        assert objects[0][0].objgen == objects[1][0].objgen
        assert np.asarray(pikepdf.PdfImage(objects[1][1]).as_pil_image()).shape == (30, 30, 3)


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
        held = [value for value in vars(pictures).values() if not isinstance(value, int)]
        assert sum(len(str(value)) for value in held) < 2000
        assert file.tell() > 200_000
