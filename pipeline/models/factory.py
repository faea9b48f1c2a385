"""The user's own function that builds a network: found beside the configuration first, and called once.

Modules of that folder are loaded under a private name, as a package of their own that each load makes anew: they may
be called as ours are (``cam``, ``pipeline``), replace no module of another's, and are never those of an earlier load.
They import each other by their plain names while the function's module is loaded and the function runs.
"""

import difflib
import importlib
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import module_from_spec
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

from pipeline.errors import ConfigError, ModelError
from pipeline.models.code_digest import PRIVATE_PACKAGE, module_files

__all__ = ["build_from_factory", "neighbours_importable", "user_files"]

_OURS = ("cam", "pipeline", "reports", "flows")


def build_from_factory(factory: str, arguments: Mapping[str, Any], folder: Path) -> tuple[object, dict[str, Path]]:
    """Return what the function ``package.module:function`` returns, and the files of the user's code by module.

    Raises:
        ConfigError: when the module or its function is not there or cannot be imported.
        ModelError: when the function raises.
    """
    folder = folder.resolve()
    module_name, _, function_name = factory.partition(":")
    if not all(part.isidentifier() for part in [*module_name.split("."), function_name]):
        raise ConfigError(f"model.factory: must be package.module:function, such as network:build, not {factory!r}")
    with neighbours_importable(folder) as package:
        module = _imported(module_name, package, folder)
        function = _function_of(module, module_name, function_name)
        try:
            network = function(**arguments)
        except (Exception, SystemExit) as error:
            raise ModelError(f"model.factory: {factory} raised {_described(error, folder)}") from error
        return network, {**module_files([module.__name__], f"{package}."), **user_files(package)}


def user_files(package: str) -> dict[str, Path]:
    """Return the files of the modules that a package of ``neighbours_importable`` holds, by their plain names."""
    return module_files([name for name in list(sys.modules) if name.startswith(f"{package}.")], f"{package}.")


def _imported(name: str, package: str, folder: Path) -> ModuleType:
    """Import the module from beside the configuration, or where it is installed."""
    beside = _lies_in(folder, name)
    if not beside and name.partition(".")[0] in _OURS:
        raise ConfigError(
            f"model.factory: {name!r} is camaudit's own, and no module of that name lies beside the configuration; "
            "put your module there, or give it another name"
        )
    try:
        return importlib.import_module(f"{package}.{name}" if beside else name)
    except ModuleNotFoundError as error:
        if f"{name}.".startswith(f"{error.name}."):
            near = _advice(name, [path.stem for path in folder.glob("*.py")])
            words = f"no module {name!r} lies beside the configuration or is installed{near}"
        else:
            words = f"importing {name} raised {_described(error, folder)}"
        raise ConfigError(f"model.factory: {words}") from error
    except SyntaxError as error:
        raise ConfigError(f"model.factory: {_place(error, folder)}: {error.msg}") from error
    except BaseException as error:  # a module can raise anything, sys.exit and a decoder's panic included
        if isinstance(error, KeyboardInterrupt):
            raise
        raise ConfigError(f"model.factory: importing {name} raised {_described(error, folder)}") from error


def _function_of(module: ModuleType, module_name: str, function_name: str) -> Callable[..., object]:
    function: Callable[..., object] | None = getattr(module, function_name, None)
    if callable(function):
        return function
    if function is not None:
        raise ConfigError(
            f"model.factory: {function_name!r} of {module_name} must be a function, not {type(function).__name__}"
        )
    own = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
    raise ConfigError(f"model.factory: {module_name} has no function {function_name!r}{_advice(function_name, own)}")


def _advice(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


def _described(error: BaseException, folder: Path) -> str:
    """Return an error in one line: its kind, its words, and the last line of the user's own that it came through."""
    words = re.sub(rf"\b{PRIVATE_PACKAGE}_\d+\.", "", str(error))  # the private name tells nobody anything
    words = " ".join(re.sub(rf"'{PRIVATE_PACKAGE}_\d+' \(.*?\)", "the configuration's folder", words).split())[:200]
    place = _place(error, folder)
    taken = error.name if isinstance(error, ImportError) and error.name in _OURS else None
    advice = f"; {taken!r} is camaudit's own: call yours otherwise" if taken and _lies_in(folder, taken) else ""
    return f"{type(error).__name__}{': ' if words else ''}{words}{f' ({place})' if place else ''}{advice}"


def _place(error: BaseException, folder: Path) -> str:
    frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:
        frames.append((error.filename, error.lineno))
    own = [(Path(name).relative_to(folder), line) for name, line in frames if Path(name).is_relative_to(folder)]
    return f"{own[-1][0]}, line {own[-1][1]}" if own else ""


@contextmanager
def neighbours_importable(folder: Path) -> Iterator[str]:
    """Let the folder's modules be imported, by plain names too; yield the package that holds them.

    The package stays when all went well, since the network's classes live in it; the plain names do not.
    """
    package = next(name for name in (f"{PRIVATE_PACKAGE}_{number}" for number in count()) if name not in sys.modules)
    spec = ModuleSpec(package, None, is_package=True)
    spec.submodule_search_locations = [str(folder)]
    sys.modules[package] = module_from_spec(spec)
    finder, writes_none = _Neighbours(package, folder), sys.dont_write_bytecode
    importlib.invalidate_caches()
    sys.dont_write_bytecode = True  # beside a user's files, and older than a change within the same second
    sys.meta_path.insert(0, finder)
    try:
        yield package
    except BaseException:
        _forget(name for name in list(sys.modules) if _below(name, package))
        raise
    finally:
        sys.meta_path.remove(finder)
        sys.dont_write_bytecode = writes_none
        _forget(finder.lent)


def _below(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def _forget(names: Iterable[str]) -> None:
    for name in list(names):
        sys.modules.pop(name, None)


class _Neighbours(MetaPathFinder, Loader):
    """Lends the modules of a folder their plain names: a module is one object, whichever name it is imported by.

    A name of Python's own library is never lent: a ``gzip.py`` beside a configuration is not what others import.
    """

    def __init__(self, package: str, folder: Path) -> None:
        self._package, self._folder = package, folder
        self._specs: dict[str, ModuleSpec | None] = {}
        self.lent: list[str] = []

    def find_spec(self, name: str, _path: object, _target: object = None) -> ModuleSpec | None:
        top = name.partition(".")[0]
        if _below(name, self._package) or top in sys.stdlib_module_names:
            return None
        spec = _spec_in(self._folder, name)
        if spec is None or (spec.loader is None and PathFinder.find_spec(top)):
            return None  # a folder without code gives way to what is installed, as Python has it
        return ModuleSpec(name, self)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(f"{self._package}.{spec.name}")
        self._specs[spec.name] = module.__spec__
        self.lent.append(spec.name)
        return module

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None  # the import system has just set it
        module.__spec__ = self._specs[module.__spec__.name]


def _lies_in(folder: Path, name: str) -> bool:
    spec = _spec_in(folder, name)
    return spec is not None and spec.loader is not None


def _spec_in(folder: Path, name: str) -> ModuleSpec | None:
    """Return what a folder holds under a module's name; a folder inside it that is no package has no loader."""
    places: Sequence[str] | None = [str(folder)]
    spec = None
    for part in name.split("."):
        spec = PathFinder.find_spec(part, places) if places else None
        places = spec.submodule_search_locations if spec else None
    return spec
