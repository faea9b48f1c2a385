"""What each extra brings is what each package imports, and what lacks is said in one line."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from flows.commands.ending import one_line_at_the_end
from pipeline.errors import InternalError
from pipeline.extras import EXTRAS, lacking, needs

ROOT = Path(__file__).resolve().parents[2]
OURS = {"cam", "pipeline", "reports", "flows", "camaudit"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BASE = {"torch", "numpy"}
HOMED = set().union(*EXTRAS.values())


def brought_by(*extras):
    """Return the modules that may be imported where these extras are installed, by the package's own metadata."""
    modules, known = set(BASE), packages_distributions()
    for extra in extras:
        for requirement in PROJECT["optional-dependencies"][extra]:
            inner = re.fullmatch(r"camaudit\[(.+)\]", requirement)
            modules |= brought_by(*inner[1].split(",")) if inner else set(EXTRAS.get(extra, ()))
            modules |= {module for module in HOMED if distributions([requirement]) & set(known.get(module, ()))}
    return modules


def is_for_types(node):
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def imports(body, *, at_once):
    """Yield the top-level names of what is imported: when the module is, or only later in a function."""
    for node in body:
        if is_for_types(node):
            continue
        inner = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if isinstance(node, ast.Import) and at_once:
            yield from (name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and at_once and node.level == 0:
            yield str(node.module).split(".")[0]
        for field in ("body", "orelse", "finalbody", "handlers", "cases"):
            yield from imports(getattr(node, field, []), at_once=not inner and at_once)


def anywhere(tree):
    hidden = {id(part) for node in ast.walk(tree) if is_for_types(node) for part in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) not in hidden and isinstance(node, ast.Import):
            yield from (name.name.split(".")[0] for name in node.names)
        elif id(node) not in hidden and isinstance(node, ast.ImportFrom) and node.level == 0:
            yield str(node.module).split(".")[0]


def foreign(package, read):
    names = {name for path in (ROOT / package).rglob("*.py") for name in read(ast.parse(path.read_text("utf-8")))}
    return names - OURS - set(sys.stdlib_module_names)


PACKAGES = {"cam": (), "pipeline": ("audit",), "reports": ("report",), "flows": ("flows",), "camaudit": ("report",)}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_is_imported_with_its_own_extra_alone(package):
    at_once = foreign(package, lambda tree: imports(tree.body, at_once=True))
    assert at_once - brought_by(*PACKAGES[package]) == set()


@pytest.mark.parametrize("package", PACKAGES)
def test_whatever_is_imported_comes_with_an_extra(package):
    assert foreign(package, anywhere) - BASE - HOMED == set()


def test_the_reader_of_imports_sees_what_is_imported_at_once():
    tree = ast.parse("import a.b\nif TYPE_CHECKING:\n    import c\ntry:\n    from d import e\nfinally:\n    pass\n"
                     "def f():\n    import g\n")  # fmt: skip
    assert list(imports(tree.body, at_once=True)) == ["a", "d"]
    assert sorted(anywhere(tree)) == ["a", "d", "g"]


def distributions(requirements):
    """Return the normalised names of what is required, without the package's own extras."""
    names = {re.match(r"[\w-]+", requirement)[0].lower().replace("_", "-") for requirement in requirements}
    return names - {"camaudit"}


@pytest.mark.parametrize("extra", EXTRAS)
def test_each_module_of_the_table_is_of_a_distribution_that_the_extra_names(extra):
    known = packages_distributions()
    listed = distributions(PROJECT["optional-dependencies"][extra])
    for module in EXTRAS[extra]:
        if module not in known:
            pytest.skip(f"{module} is not installed here")
        homes = {name.lower().replace("_", "-") for name in known[module]}
        assert homes & (listed | {"dask"}), module


def test_the_package_itself_brings_torch_and_numpy():
    assert distributions(PROJECT["dependencies"]) == BASE


def test_all_is_every_extra_but_those_for_hardware_trackers_and_development():
    apart = set(PROJECT["optional-dependencies"]) - {"all", "dev", "bench", "zoo", "token", "mlflow", "wandb"}
    assert brought_by("all") == brought_by(*apart)


def test_what_is_installed_by_the_readmes_commands_is_all():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "-e '.[all]'" in makefile.split("\n.venv/installed:")[1].split("\n\n")[0]
    assert "-e '.[dev]'" in makefile.split("\n.venv/dev:")[1]
    assert "camaudit[all]" in PROJECT["optional-dependencies"]["dev"]


REFUSING = """
import sys

class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {absent}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Refusing())
"""


def without(extras, program):
    """Run a program where the modules of these extras cannot be imported."""
    absent = set().union(*(EXTRAS[extra] for extra in extras))
    code = REFUSING.format(absent=sorted(absent)) + program
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


NETWORK = """
import torch
import cam
from torch import nn

model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)).eval()
image = torch.rand(2, 1, 12, 12)
"""


def test_cam_explains_with_torch_and_numpy_alone():
    done = without(
        EXTRAS, NETWORK + "print(tuple(cam.explain(model, image, methods=['gradcam', 'rise'])['gradcam'].shape))"
    )
    assert (done.stdout, done.stderr) == ("(2, 10, 10)\n", "")


@pytest.mark.parametrize(("method", "module"), [("saliency", "captum"), ("integrated_gradients", "captum"),
                                                ("gradient_shap", "captum"), ("smoothgrad", "captum"),
                                                ("lime", "skimage"), ("kernel_shap", "skimage")])  # fmt: skip
def test_a_method_that_wraps_a_library_says_what_to_install(method, module, monkeypatch):
    import torch
    from torch import nn

    from cam import explain

    for loaded in [name for name in sys.modules if name.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, module, None)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)).eval()
    with pytest.raises(ModuleNotFoundError) as raised:
        explain(model, torch.rand(1, 1, 12, 12), methods=[method])
    line = str(raised.value)
    assert method in line.split(" need ")[0]
    assert line.endswith("which is not installed; pip install 'camaudit[methods]'")
    assert "\n" not in line


@pytest.mark.parametrize(
    ("absent", "arguments", "advice"),
    [
        (list(EXTRAS), ["--help"], "this needs typer, which is not installed; pip install 'camaudit[flows]'"),
        (["audit"], ["report", "no-run"], "'camaudit[audit]'"),
        (["dicomweb"], ["scan", "https://localhost/dicom-web"], "server needs httpx, which is not installed"),
    ],
)
def test_the_command_line_says_in_one_line_which_extra_lacks(absent, arguments, advice):
    program = f"sys.argv = ['camaudit', *{arguments!r}]\nfrom flows.__main__ import start\nstart()\n"
    done = without(absent, program)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("camaudit: ")
    assert advice in line


def test_the_door_names_the_extra_and_loads_without_any():
    done = without(
        EXTRAS, "import camaudit\ntry:\n    camaudit.read_run\nexcept ModuleNotFoundError as error:\n    print(error)"
    )
    assert re.fullmatch(
        r"camaudit\.read_run: this needs \w+, which is not installed; pip install 'camaudit\[audit\]'\n", done.stdout
    ), done.stderr


def test_what_runs_an_audit_names_the_extra_too(tmp_path):
    (tmp_path / "run.json").write_text("{}")
    asked = f"camaudit.verify({str(tmp_path)!r})"
    done = without(
        ["flows"], f"import camaudit\ntry:\n    {asked}\nexcept ModuleNotFoundError as error:\n    print(error)"
    )
    assert done.stdout == "camaudit.verify: this needs typer, which is not installed; pip install 'camaudit[flows]'\n"


def test_other_missing_modules_are_not_explained_away():
    assert lacking(ModuleNotFoundError("No module named 'theirs'", name="theirs")) is None
    assert lacking(ImportError("cannot import", name="monai")) is None
    assert lacking(ModuleNotFoundError("no such part", name="monai.nets")) is None
    assert lacking(ModuleNotFoundError("none", name="monai")) == f"this {needs('monai')}"
    assert lacking(None) is None


@pytest.mark.parametrize(("module", "code"), [("monai", 2), ("theirs", 3)])
def test_what_lacks_in_the_middle_of_a_command_is_no_fault_of_ours(module, code, capsys):
    with pytest.raises(SystemExit) as ended, one_line_at_the_end(debug=False):
        raise InternalError("pipeline/x.py:1", "ModuleNotFoundError") from ModuleNotFoundError("none", name=module)
    assert ended.value.code == code
    assert ("pip install 'camaudit[audit]'" in capsys.readouterr().err) == (code == 2)
