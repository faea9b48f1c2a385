"""The snippets of the documents, as they stand there, on tiny data."""

import re
from contextlib import chdir
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from tests.camaudit.maps.blob import CENTRE, PICTURE, SHAPE, SPOT, blob, network, oblique, write_scan
from tests.pipeline.planted import plant
from tests.pipeline.studies.writers import dot, grid, save, segmentation, slices

DOCS = Path(__file__).resolve().parents[3]


def blocks(text):
    return re.findall(r"^```py(?:thon)?\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def five():
    page = (DOCS / "docs" / "python.md").read_text(encoding="utf-8")
    return blocks(page.split("## Five snippets")[1].split("\n## ")[0])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with every file that the snippets name."""
    folder = tmp_path_factory.mktemp("snippets")
    Image.fromarray((blob(PICTURE, SPOT) * 255).astype(np.uint8)).save(folder / "chest.png")
    write_scan(folder / "ct.nii.gz")
    write_scan(folder / "pet.nii.gz", np.zeros((12, 14, 16), np.float32), oblique((2.0, 2.0, 2.0), seed=5))
    write_scan(folder / "mask.nii.gz", (blob() > 0.5).astype(np.uint8))
    write_scan(folder / "expert.nii.gz", (blob() > 0.5).astype(np.uint8))
    affine = grid(np.eye(3), (1.0, 1.5, 2.0), (-30.0, 20.0, 100.0))
    images = slices(dot((9, 7, 5), (6, 2, 3)), affine)
    save(folder / "series", images)
    marked = np.zeros((5, 7, 9, 1), bool)
    marked[3, 2, 6, 0] = True
    segmentation(folder / "expert.dcm", images, marked, ["lesion"])
    plant(folder / "audit", 6)
    return folder


def run(code, folder, **names):
    """Run a snippet in a folder; return what it names and what its last line shows."""
    from tests.camaudit.test_notebook import run_cell

    with chdir(folder):
        exec(five()[0], names)
        shown = run_cell(code, names)
    return names, shown


def test_there_are_five_of_at_most_four_lines():
    _, *snippets = five()
    assert len(snippets) == 5
    assert all(len(code.splitlines()) <= 4 for code in snippets)


def test_a_picture(folder):
    _, shown = run(five()[1], folder, model=network(2))
    assert shown._repr_png_().startswith(b"\x89PNG")


def test_a_volume(folder):
    _, path = run(five()[2], folder, model=network())
    on_ct, on_pet = (nibabel.load(folder / name) for name in ("gradcam.nii.gz", path))
    assert (on_ct.shape, on_pet.shape) == (SHAPE, (12, 14, 16))
    np.testing.assert_allclose(on_ct.affine, oblique(), atol=1e-5)
    peak = np.unravel_index(on_ct.get_fdata().argmax(), SHAPE)
    assert np.abs(np.subtract(peak, CENTRE)).max() <= 1


def test_a_dicom_folder_against_a_segmentation(folder, capsys):
    prepare = five()[2].splitlines()[0]
    names, _ = run(f"{prepare}\n{five()[3]}", folder, model=network())
    assert "Hit rate: 1 (higher is better, chance" in capsys.readouterr().out
    assert names["overlap"]["hit_rate"].value == 1


def test_several_methods_and_targets(folder):
    prepare = five()[2].splitlines()[0]
    names, shown = run(f"{prepare}\n{five()[4]}", folder, model=network())
    assert len(names["maps"]) == 6
    assert Image.open(folder / "maps.png").size[0] > 500
    assert shown["hit_rate"].value == 1


def test_an_audit(folder, capsys):
    _, shown = run(five()[5], folder / "audit")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[0] for line in lines] == ["INCONCLUSIVE"] * 3  # four patients can show little
    assert "Grad-CAM" in str(shown)


def test_the_readmes_map(folder):
    readme = (DOCS / "README.md").read_text(encoding="utf-8")
    (code,) = [block for block in blocks(readme) if "camaudit.explain(" in block]
    prepare = [{"_target_": "Spacing", "pixdim": [1.0, 1.0, 1.0]}]
    _, hit = run(code, folder, model=network(), transforms=prepare)
    assert hit == 1


def test_the_ten_minutes(folder, capsys):
    """Every block of the start page, one after the other, as somebody types them who has a network and a scan."""
    names = {"model": network().train()}  # the page calls eval()
    with chdir(folder):
        for code in blocks((DOCS / "docs" / "start.md").read_text(encoding="utf-8")):
            exec(code, names)
    printed = capsys.readouterr().out
    assert "auto took" in printed
    assert "Hit rate: 1 (higher is better, chance" in printed
    assert Image.open(folder / "gradcam.png").size[0] > 200
