"""The notebook of the documents, cell by cell on a planted run, without jupyter."""

import ast
import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs" / "notebook.ipynb"


@pytest.fixture(scope="module")
def notebook():
    return json.loads(NOTEBOOK.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def cells(notebook):
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


def run_cell(code, names):
    """Run a cell and return what its last line shows."""
    *statements, last = ast.parse(code).body
    exec(compile(ast.Module(statements, []), "cell", "exec"), names)
    if isinstance(last, ast.Expr):
        return eval(compile(ast.Expression(last.value), "cell", "eval"), names)
    exec(compile(ast.Module([last], []), "cell", "exec"), names)
    return None


def test_the_notebook_is_short_and_imports_camaudit_alone(notebook, cells):
    lines = [line for code in cells for line in code.splitlines() if line.strip()]
    assert len(lines) <= 12
    assert [line for line in lines if "import" in line] == ["import camaudit"]
    assert all(cell.get("outputs", []) == [] for cell in notebook["cells"]), "outputs name a machine's paths"
    assert (notebook["nbformat"], len({cell["id"] for cell in notebook["cells"]})) == (4, len(notebook["cells"]))


def test_its_cells_show_verdicts_a_map_over_its_image_and_a_table(cells, audited, capsys):
    assert cells[0].startswith("RUN = ")
    names = {"RUN": str(audited[1].folder.parent)}
    shown = [run_cell(code, names) for code in cells[1:]]
    pages = [show._repr_html_() for show in shown if hasattr(show, "_repr_html_")]
    assert len(pages) == 2
    assert pages[0].count("<tr>") == 1 + 3
    assert "MET" in pages[0]
    assert "Grad-CAM" in pages[1]
    assert [show._repr_png_()[:4] for show in shown if hasattr(show, "_repr_png_")] == [b"\x89PNG"]
    assert capsys.readouterr().out.count("MET | ") == 3
    array_shape, affine = next(show for show in shown if isinstance(show, tuple))
    assert (array_shape, affine.shape) == ((24, 24, 24), (4, 4))
    assert len(shown[-1]) == 3


def test_the_demo_makes_the_run_that_the_notebook_names(cells):
    from flows.demo.configs import KINDS, MODALITIES

    folder = ast.literal_eval(cells[0].partition("= ")[2].partition("  #")[0])
    assert folder in {f"../demo/runs/{modality.name}-{kind}" for modality in MODALITIES for kind in KINDS}
