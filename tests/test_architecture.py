"""What the import contracts in ``pyproject.toml`` cannot say; and that they can fail.

Who may import whom of ours is written there and nowhere else (``lint-imports``). Here: where third parties may be
imported, what importing a module really loads, circles, the size of folders, names, and whether the list of mutants
follows the code.
"""

import ast
import importlib.util
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from tests.mutations import GROUPS

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("cam", "pipeline", "reports", "flows", "camaudit")
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
}

# These third parties may be imported below these beginnings only.
THIRD = {
    "monai": ("pipeline.models", "pipeline.evidence", "camaudit.testing"),
    "prefect": ("flows",),
    "dask": ("flows",),
    "typer": ("flows",),
    "rich": ("flows",),
    "torch": ("cam", "pipeline", "flows", "camaudit"),
    "captum": ("cam.methods",),
    "skimage": ("cam.methods", "pipeline"),
    "reportlab": ("reports",),
    "pikepdf": ("reports",),
    "pyhanko": ("reports",),
    "matplotlib": ("reports",),
    "matplotlib.pyplot": (),  # keeps figures in a state of its own
}
CAM_THIRD = {"torch", "numpy", "captum", "skimage"}


def below(name, beginnings):
    return any(name == beginning or name.startswith(f"{beginning}.") for beginning in beginnings)


def imports_of(path, module):
    """Yield the full names that a file imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = (module if path.name == "__init__.py" else module.rpartition(".")[0]).split(".")
            start = parents[: len(parents) - node.level + 1] if node.level else []
            base = ".".join([*start, *([node.module] if node.module else [])])
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                yield whole if whole in FILES else base


IMPORTS = {module: list(imports_of(path, module)) for module, path in FILES.items()}


def test_the_reader_of_imports_reads_every_kind(tmp_path):
    path = tmp_path / "example.py"
    path.write_text("import os.path\nfrom . import errors\nfrom ..cam import explain\ndef f():\n    import torch\n")
    assert list(imports_of(path, "pipeline.example")) == [
        "os.path",
        "pipeline.errors",
        "cam.explain",
        "torch",
    ]


def lint_imports(folder):
    """Hold a tree against its contracts; return how it ended and what was said."""
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([program, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_imports_keep_the_contracts():
    code, said = lint_imports(ROOT)
    assert code == 0, said


@pytest.fixture(scope="module")
def copied_tree(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tree")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("cam/resize.py", "import pipeline.errors", "packages"),
        ("pipeline/runs/run.py", "import flows.cli", "packages"),
        ("pipeline/findings/custody/ledger.py", "def late():\n    import pipeline.studies.volume", "rooms"),
        ("pipeline/a_module_without_a_place.py", "", "rooms"),
        ("reports/numbers.py", "import pipeline.evidence.cohort.bootstrap", "reports"),
        ("reports/sections/cover.py", "import pipeline.config", "reports"),
        ("pipeline/files.py", "import torch", "light"),
        ("flows/watch.py", "import tests.fuzz", "tests"),
    ],
)
def test_a_contract_is_broken_by_an_import_against_it(file, line, contract, copied_tree):
    path = copied_tree / file
    before = path.read_text(encoding="utf-8") if path.exists() else None
    path.write_text(f"{before or ''}\n{line}\n", encoding="utf-8")
    code, said = lint_imports(copied_tree)
    if before is None:
        path.unlink()
    else:
        path.write_text(before, encoding="utf-8")
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    name = next(each["name"] for each in contracts if each["id"] == contract)
    assert code == 1
    assert f"{name} BROKEN" in " ".join(said.split())


@pytest.mark.parametrize("module", FILES)
def test_third_parties_stay_in_their_place(module):
    for name in IMPORTS[module]:
        party = name.split(".")[0]
        for place in (party, name):
            assert below(module, THIRD.get(place, PACKAGES)), f"{module} must not import {place}"
        if below(module, ["cam"]) and party not in sys.stdlib_module_names and party != "cam":
            assert party in CAM_THIRD, f"{module} must not import {party}"


def test_no_module_imports_itself_in_a_circle():
    """Imports inside functions count too: a circle is a circle, however it is put off."""
    edges = {module: {name for name in found if name in FILES} - {module} for module, found in IMPORTS.items()}
    left = dict(edges)
    while left:
        free = [module for module, found in left.items() if not found & left.keys()]
        assert free, f"these import each other in a circle: {sorted(left)}"
        for module in free:
            del left[module]


def public_names(path):
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and any(getattr(target, "id", "") == "__all__" for target in node.targets):
            return ast.literal_eval(node.value)
    return []


def bound_names(path, *, imported):
    """Return the names that a module binds at its top, with or without those that it imports."""
    top = ast.parse(path.read_text(encoding="utf-8")).body
    top += [inner for node in top if isinstance(node, ast.If) for inner in node.body]  # under TYPE_CHECKING
    bound = {node.name for node in top if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))}
    for node in top:
        if isinstance(node, ast.Assign):
            targets = [part for target in node.targets for part in getattr(target, "elts", [target])]
            bound |= {target.id for target in targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign):
            bound.add(node.target.id)
        elif imported and isinstance(node, (ast.Import, ast.ImportFrom)):
            bound |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    return bound


@pytest.mark.parametrize("package", PACKAGES)
def test_a_public_name_is_defined_once_in_a_package(package):
    owners = {}
    for module, path in FILES.items():
        one_interface = module.startswith("pipeline.studies.readers.")  # readers answer to the same names by design
        if module.split(".")[0] == package and not one_interface:
            for name in set(public_names(path)) & bound_names(path, imported=False):
                owners.setdefault(name, []).append(module)
    assert not {name: found for name, found in owners.items() if len(found) > 1}


@pytest.mark.parametrize("module", FILES)
def test_what_a_module_declares_public_exists(module):
    assert set(public_names(FILES[module])) <= bound_names(FILES[module], imported=True)


def public_classes():
    """Return each class without an underscore, of the packages and of the tests, with the files that define it."""
    owners = defaultdict(list)
    for path in [*FILES.values(), *sorted((ROOT / "tests").rglob("*.py"))]:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                owners[node.name].append(str(path.relative_to(ROOT)))
    return owners


def test_a_public_class_name_means_one_thing_in_the_whole_project():
    assert not {name: files for name, files in public_classes().items() if len(files) > 1}


def is_private(name):
    return name.startswith("_") and not name.startswith("__")


def private_uses(path):
    """Return the private names of our other modules that a file imports, or reads from a module that it imported."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    ours = [node for node in imports if getattr(node, "level", 0) or _head_of(node) in PACKAGES]
    names = [alias for node in ours for alias in node.names]
    bound = {alias.asname or alias.name.split(".")[0] for alias in names}
    imported = {part for alias in names for part in alias.name.split(".") if is_private(part)}
    read = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and is_private(node.attr) and _root_of(node) in bound
    }
    return sorted(imported | read)


def _head_of(node):
    name = node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
    return (name or "").split(".")[0]


def _root_of(node):
    while isinstance(node, ast.Attribute):
        node = node.value
    return getattr(node, "id", None)


def test_the_reader_of_private_names_reads_every_way(tmp_path):
    path = tmp_path / "example.py"
    path.write_text(
        "from cam.resize import _a as a, public\nfrom cam import resize\nimport pipeline.files\n"
        "from . import _b\nfrom torch.nn.modules import _c\nresize._d()\npipeline.files._e\n"
        "self._f\npublic.__name__\n"
    )
    assert private_uses(path) == ["_a", "_b", "_d", "_e"]


@pytest.mark.parametrize("module", FILES)
def test_a_modules_private_names_are_its_own(module):
    assert private_uses(FILES[module]) == []


ONE_FILE_EACH = {"cam/methods", "reports/sections"}
"""Folders that grow by a file for each method and each section."""


def test_a_folder_holds_at_most_fifteen_files():
    folders = Counter(
        str(path.parent.relative_to(ROOT))
        for package in (*PACKAGES, "tests")
        for path in (ROOT / package).rglob("*.py")
        if path.name != "__init__.py"
    )
    assert {folder for folder, count in folders.items() if count > 15} <= ONE_FILE_EACH


@pytest.mark.parametrize("module", [module for module, path in FILES.items() if path.name == "__init__.py"])
def test_a_folder_says_what_lives_there_and_what_it_may_import(module):
    said = ast.get_docstring(ast.parse(FILES[module].read_text(encoding="utf-8"))) or ""
    assert len([line for line in said.splitlines() if line.strip()]) >= 3
    assert "import" in said


RIDDLES = {"one", "found", "told"}
"""Names that say nothing of what they hold."""


def riddles_of(path):
    """Return the lines on which a file binds such a name: assigned, looped over, or as a parameter; fields apart."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
    fields = {part.target for node in classes for part in node.body if isinstance(part, ast.AnnAssign)}
    bound = {ast.arg: "arg", ast.ExceptHandler: "name", ast.MatchAs: "name", ast.MatchStar: "name"}
    return sorted(
        node.lineno
        for node in nodes
        if (
            isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in RIDDLES and node not in fields
        )
        or getattr(node, bound.get(type(node), ""), None) in RIDDLES
    )


def test_the_reader_of_names_reads_every_binding(tmp_path):
    path = tmp_path / "example.py"
    path.write_text(
        "one = 1\nfor found, _ in []: pass\n[told for told in []]\nlambda one: 0\n(found := 1)\n"
        "def f(*told): pass\nwith f() as one: pass\ndone, foundation = one, f(found)\nNamed.found = 1\n"
        "class C:\n    found: int\n"
    )
    assert riddles_of(path) == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("package", PACKAGES)
def test_names_say_what_they_hold(package):
    files = {module: path for module, path in FILES.items() if module.split(".")[0] == package}
    lines = {module: riddles_of(path) for module, path in files.items()}
    assert not {module: numbers for module, numbers in lines.items() if numbers}


CACHES = {"lru_cache", "cache"}
CONTAINERS = {"dict", "list", "set", "defaultdict", "OrderedDict", "Counter", "deque", "WeakKeyDictionary"}
CHANGES = {
    *("add", "append", "appendleft", "clear", "discard", "extend", "insert", "pop", "popitem", "popleft"),
    *("remove", "setdefault", "update"),
}
REGISTERED = "filled by decorators when its modules are imported, and by nothing else"
STATE_ALLOWED = {
    "cam.registry METHODS": REGISTERED,
    "reports.registry _SECTIONS": REGISTERED,
    "cam.layers.tokens cache": "of a function that is made for one call, and ends with it",
    "pipeline.evidence.exact.means cache": "the same",
}
"""What a module may keep, and why."""


def is_container(value):
    literals = (ast.Dict, ast.List, ast.Set, ast.DictComp, ast.ListComp, ast.SetComp)
    callee = value.func if isinstance(value, ast.Call) else None
    callee = callee.value if isinstance(callee, ast.Subscript) else callee
    return isinstance(value, literals) or (getattr(callee, "id", None) or getattr(callee, "attr", None)) in CONTAINERS


def state_of(tree):
    """Return the names by which a module keeps something between calls: caches, globals, containers that change."""
    assigned = [node for node in tree.body if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None]
    containers = {
        target.id
        for node in assigned
        if is_container(node.value)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    kept = set()
    functions = [
        node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
    ]
    for node in (inner for function in functions for inner in ast.walk(function)):
        changed = None
        if isinstance(node, ast.Global):
            kept |= set(node.names)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGES:
            changed = node.func.value
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, (ast.Store, ast.Del)):
            changed = node.value
        kept |= {changed.id} & containers if isinstance(changed, ast.Name) else set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "functools":
            kept |= {alias.name for alias in node.names} & CACHES
        elif isinstance(node, ast.Attribute) and getattr(node.value, "id", None) == "functools":
            kept |= {node.attr} & CACHES
    return kept


def test_the_reader_of_state_reads_every_kind():
    code = (
        "import functools\nfrom functools import cache as kept, cached_property\n"
        "FIXED = {1: 2}\nA: dict[str, int] = {}\nB = []\nC = set()\nD = defaultdict(list)\nE = dict[str, int]()\n"
        "for name in FIXED:\n    A[name] = 1\nFIXED.update()\n"
        "def f():\n    global G\n    A['x'] = 1\n    B.append(1)\n    del D[1]\n    return FIXED[1]\n"
        "@functools.lru_cache(maxsize=1)\ndef g(): E.setdefault(1, 2)\nh = lambda: C.add(1)\n"
        "class K:\n    @cached_property\n    def k(self): return sorted(FIXED)\n"
    )
    assert state_of(ast.parse(code)) == {"A", "B", "C", "D", "E", "G", "cache", "lru_cache"}


def test_no_module_keeps_anything_between_calls():
    """What two runs in one process could share by accident, they will: a cache belongs to an object that ends."""
    kept = {
        f"{module} {name}"
        for module, path in FILES.items()
        for name in state_of(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert kept - STATE_ALLOWED.keys() == set()
    assert STATE_ALLOWED.keys() <= kept, "nothing is left to be allowed there"


def test_every_folder_with_code_is_packaged():
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {".".join(path.relative_to(ROOT).parent.parts) for path in FILES.values()}
    assert folders <= set(packages)
    assert {package.split(".")[0] for package in packages} == set(PACKAGES)


LIGHT = [
    ("camaudit", ("torch", "monai", "prefect", "numpy", "pyarrow", "pipeline", "cam")),
    ("camaudit.finished_run", ("torch", "monai", "prefect", "matplotlib", "reportlab")),
    ("camaudit.verifying", ("torch", "monai", "prefect")),
    ("camaudit.views", ("torch", "monai", "prefect")),
    ("flows.commands.schemas", ("torch", "monai", "prefect")),
    ("flows.running", ("torch", "monai", "prefect", "numpy", "matplotlib")),
    ("reports.pdf", ("torch", "monai", "prefect", "pipeline.models", "pipeline.walk.study_walk")),
    ("reports", ("torch", "monai", "prefect")),
    ("pipeline.verify.verify", ("torch", "monai", "prefect", "cam", "pipeline.models", "pipeline.runs")),
    ("flows.commands.verify", ("torch", "monai", "prefect", "cam", "pipeline.models", "pipeline.runs")),
    ("flows.cli", ("torch", "monai", "prefect")),
    ("pipeline.findings.results", ("torch", "monai")),
    ("pipeline.config", ("torch", "monai", "numpy")),
    ("pipeline.vocabulary", ("torch", "monai", "numpy", "pydantic")),
    ("pipeline.evidence.cohort", ("torch", "monai", "cam")),
    ("pipeline.evidence.verdicts.criteria", ("torch", "monai", "cam")),
    ("pipeline.evidence.equivalence", ("torch", "monai", "cam")),
    ("pipeline.evidence.experts", ("torch", "monai", "cam")),
    ("pipeline.evidence.metrics.registry", ("torch", "monai", "cam")),
    ("pipeline.evidence.metrics.plugins", ("torch", "monai", "cam")),
    ("camaudit.metrics", ("torch", "monai", "cam", "prefect")),
    ("camaudit.testing.metrics", ("torch", "monai", "cam", "prefect")),
    ("pipeline.studies.geometry", ("torch", "monai")),
    (  # what each process that reads loads, and nothing that lists archives
        "pipeline.studies.read_study",
        ("torch", "monai", "matplotlib", "scipy.ndimage", "pyarrow", "pydantic", "pipeline.studies.listing.by_scan"),
    ),
    ("pipeline.studies.volume", ("torch", "monai")),
    ("cam", ("monai", "scipy", "pipeline", "captum", "skimage", "matplotlib")),
]


@pytest.mark.parametrize(("module", "absent"), LIGHT, ids=[module for module, _ in LIGHT])
def test_importing_one_does_not_load_the_other(module, absent):
    if module not in FILES or importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not there yet")
    code = f"import sys, {module}; print(*[name for name in {absent!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.stderr[-500:]) == ([], "")


@pytest.mark.parametrize("group", GROUPS)
def test_each_mutant_replaces_a_text_that_stands_once(group):
    assert [
        str(mutant)
        for mutant in GROUPS[group]
        if Path(ROOT, mutant.file).read_text(encoding="utf-8").count(mutant.old) != 1
    ] == []


@pytest.mark.parametrize("group", GROUPS)
def test_each_mutant_is_written_once_and_changes_something(group):
    assert [mutant for mutant, times in Counter(map(str, GROUPS[group])).items() if times > 1] == []
    assert [str(mutant) for mutant in GROUPS[group] if mutant.old == mutant.new] == []


@pytest.mark.parametrize("group", GROUPS)
def test_the_tests_of_each_mutant_are_there(group):
    named = {test for mutant in GROUPS[group] for test in mutant.tests if ".py" in test}
    missing = []
    for test in sorted(named):
        file, *within = test.partition("[")[0].split("::")
        code = Path(ROOT, file).read_text(encoding="utf-8") if Path(ROOT, file).exists() else None
        if code is None or any(re.search(rf"^ *(def|class) {name}\b", code, re.MULTILINE) is None for name in within):
            missing.append(test)
    assert missing == []
