"""A user's own modules: found beside the configuration under any name, new at each load, nobody else's afterwards."""

import importlib
import sys

import pytest

import cam
from pipeline.errors import ConfigError, ModelError
from pipeline.models import factory as factories

OURS = ("cam", "flows", "pipeline", "reports", "tests")


def build_from_factory(factory, arguments, folder):
    """Return what the factory returns."""
    return factories.build_from_factory(factory, arguments, folder)[0]


def write(folder, **modules):
    """Write modules; ``__`` in a name is a folder."""
    for name, text in modules.items():
        path = folder.joinpath(*name.split("__")).with_suffix(".py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def refused(kind, factory, folder, **arguments):
    """Return the one line that a factory is refused with."""
    with pytest.raises(kind) as caught:
        build_from_factory(factory, arguments, folder)
    line = str(caught.value)
    assert "\n" not in line
    assert "camaudit_factory" not in line
    assert line.startswith("model.factory: ")
    return line.removeprefix("model.factory: ")


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path):
    """No plain name, no finder, no setting outlives a load."""
    before = list(sys.meta_path), list(sys.path), sys.dont_write_bytecode
    yield
    files = {name: getattr(module, "__file__", None) or "" for name, module in list(sys.modules.items())}
    left = {name for name, file in files.items() if file.startswith(str(tmp_path))}
    assert all(name.startswith("camaudit_factory_") for name in left)
    assert (list(sys.meta_path), list(sys.path), sys.dont_write_bytecode) == before


@pytest.mark.parametrize("name", [*OURS, "gzip", "torch", "builtins", "makers"])
def test_a_module_is_found_under_its_own_path_whatever_it_is_called(name, tmp_path):
    write(tmp_path, **{name: "def build():\n    return __file__"})
    assert build_from_factory(f"{name}:build", {}, tmp_path) == str(tmp_path / f"{name}.py")
    assert importlib.import_module("cam") is cam


@pytest.mark.parametrize("top", [*OURS, "project"])
@pytest.mark.parametrize("package", [True, False])
def test_a_module_of_a_package_is_found(top, package, tmp_path):
    write(
        tmp_path,
        **{f"{top}__nets": "from .layers import size\ndef build():\n    return size", f"{top}__layers": "size = 7"},
    )
    if package:
        (tmp_path / top / "__init__.py").touch()
    assert build_from_factory(f"{top}.nets:build", {}, tmp_path) == 7


def test_modules_import_each_other_by_their_plain_names_and_are_one_object(tmp_path):
    write(
        tmp_path,
        build="import importlib, sizes, parts.nets\nfrom parts import nets\n"
        "def make():\n    import late\n    other = importlib.import_module('parts.nets')\n"
        "    return sizes.size + late.size, other is nets is parts.nets, nets.Net.__module__",
        sizes="import parts.nets\nsize = parts.nets.size",
        late="size = 1",
        parts____init__="",
        parts__nets="from . import deeper\nimport parts.deeper\nassert deeper is parts.deeper\n"
        "class Net:\n    pass\nsize = deeper.size",
        parts__deeper="size = 4",
    )
    total, one_object, module = build_from_factory("build:make", {}, tmp_path)
    assert (total, one_object) == (5, True)
    assert sys.modules[module].Net.__module__ == module  # what looks a class up by its module's name finds it


def test_a_folder_that_is_no_package_is_imported_from(tmp_path):
    write(tmp_path, build="from models.nets import size\ndef make():\n    return size", models__nets="size = 3")
    assert build_from_factory("build:make", {}, tmp_path) == 3


def test_a_folder_of_weights_hides_no_installed_package(tmp_path):
    (tmp_path / "captum").mkdir()
    write(tmp_path, build="import captum.attr\ndef make():\n    return captum.attr.__name__")
    assert build_from_factory("build:make", {}, tmp_path) == "captum.attr"


def test_circular_imports_work_as_ever(tmp_path):
    write(
        tmp_path,
        one="import two\ndef build():\n    return two.value()",
        two="import one\ndef value():\n    return one.__name__",
    )
    assert build_from_factory("one:build", {}, tmp_path).endswith(".one")


def test_a_changed_file_is_seen_by_the_next_load(tmp_path):
    for number in range(3):  # within one second and of the same size: nothing but the text differs
        write(tmp_path, makers="from sizes import size\ndef build():\n    return size", sizes=f"size = {number}")
        assert build_from_factory("makers:build", {}, tmp_path) == number
    assert not list(tmp_path.rglob("__pycache__"))


def test_two_folders_do_not_share_a_module(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, makers="from sizes import size\ndef build():\n    return size", sizes=f"size = {name!r}")
    assert [build_from_factory("makers:build", {}, tmp_path / name) for name in ("one", "two")] == ["one", "two"]


def test_an_installed_module_is_used_where_none_lies_beside(tmp_path):
    assert build_from_factory("json.encoder:JSONEncoder", {"indent": 2}, tmp_path).indent == 2


@pytest.mark.parametrize("name", ["cam", "flows", "pipeline", "reports", "cam.nets"])
def test_a_name_that_can_only_be_ours_is_refused(name, tmp_path):
    assert f"{name!r} is camaudit's own" in refused(ConfigError, f"{name}:build", tmp_path)


def test_a_neighbour_with_one_of_our_names_is_told_of(tmp_path):
    write(tmp_path, build="from cam import Net\ndef make():\n    return Net()", cam="class Net:\n    pass")
    assert "'cam' is camaudit's own: call yours otherwise" in refused(ConfigError, "build:make", tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1\ndef build(:\n", "makers.py, line 2: invalid syntax"),
        ("def build():\nreturn 1", "makers.py, line 2: expected an indented block"),
        ("x = 1\n\n1 / 0", "importing makers raised ZeroDivisionError: division by zero (makers.py, line 3)"),
        ("import sys\nsys.exit('no\\nlicence')", "importing makers raised SystemExit: no licence (makers.py, line 2)"),
        ("import sys\nsys.exit()", "importing makers raised SystemExit (makers.py, line 2)"),
        ("import nosuchthing", "importing makers raised ModuleNotFoundError: No module named 'nosuchthing' (makers.py"),
        ("from . import other", "importing makers raised ImportError: cannot import name 'other'"),
        ("from broken import x", "broken.py, line 1: invalid syntax"),
        ("def biuld():\n    pass", "makers has no function 'build'; did you mean 'biuld'?"),
        ("zzz = 1", "makers has no function 'build'"),
        ("build = 3", "'build' of makers must be a function, not int"),
        ("class Panic(BaseException): pass\nraise Panic('x')", "importing makers raised Panic: x (makers.py, line 2)"),
        ("x = '\0'", "null bytes"),
    ],
)
def test_what_cannot_be_imported_is_one_line(text, words, tmp_path):
    write(tmp_path, makers=text, broken="def (")
    assert words in refused(ConfigError, "makers:build", tmp_path)
    write(tmp_path, makers="def build():\n    return 1")
    assert build_from_factory("makers:build", {}, tmp_path) == 1


@pytest.mark.parametrize(
    ("text", "arguments", "words"),
    [
        ("def build():\n    raise RuntimeError('no\\nlicence')", {}, "RuntimeError: no licence (makers.py, line 2)"),
        ("import sys\ndef build():\n    sys.exit(3)", {}, "SystemExit: 3 (makers.py, line 3)"),
        ("def build():\n    import gone", {}, "ModuleNotFoundError: No module named 'gone' (makers.py, line 2)"),
        ("def build(depth=1): pass", {"depht": 2}, "TypeError: build() got an unexpected keyword argument 'depht'"),
        ("def build(): raise KeyError", {}, "KeyError (makers.py, line 1)"),
    ],
)
def test_a_function_that_raises_is_one_line(text, arguments, words, tmp_path):
    write(tmp_path, makers=text)
    assert refused(ModelError, "makers:build", tmp_path, **arguments).startswith(f"makers:build raised {words}")


@pytest.mark.parametrize(
    "factory", ["makers", "makers:", ":build", "makers.py:build:x", "ma kers:build", "../x:build", ""]
)
def test_what_is_no_factory_at_all(factory, tmp_path):
    assert "must be package.module:function" in refused(ConfigError, factory, tmp_path)


@pytest.mark.parametrize("name", ["absent", "project.absent", "absent.nets"])
def test_a_module_that_is_nowhere(name, tmp_path):
    write(tmp_path, project____init__="")
    assert f"no module {name!r} lies beside" in refused(ConfigError, f"{name}:build", tmp_path)


def test_a_misspelt_module_is_guessed(tmp_path):
    write(tmp_path, network="")
    assert refused(ConfigError, "netwrok:build", tmp_path).endswith("did you mean 'network'?")


def test_an_interrupt_is_no_fault_of_the_module(tmp_path):
    write(tmp_path, makers="raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        build_from_factory("makers:build", {}, tmp_path)
