"""CAM methods of installed packages: registered beside camaudit's own, or refused with the reason."""

import re
from collections.abc import Iterable
from dataclasses import replace
from importlib.metadata import EntryPoint

from cam.registry import METHODS, Method
from pipeline.config import AuditConfig
from pipeline.errors import ConfigError, closest
from pipeline.extensions import Refusal, installed
from pipeline.vocabulary import BASELINES

__all__ = ["load_methods"]

_GROUP = "camaudit.methods"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_DECLARED = ("title", "paper", "formula", "limits", "cost")


def load_methods(config: AuditConfig, entries: Iterable[EntryPoint] | None = None) -> None:
    """Register the methods of installed packages with the package that each comes from, for a run of ``config``.

    An entry point names a function that is decorated with ``@method`` or ``@procedure``, under the method's own name.
    ``entries`` are the entry points to load: those of the environment unless given.

    Raises:
        ConfigError: for a package whose method cannot be loaded, is no method, has a name that is taken or does not say
            what a reader must know; for an option that an installed method does not have.
    """
    try:
        extensions = installed(_GROUP, entries, fault_of=_fault)
    except Refusal as refusal:
        raise ConfigError(str(refusal)) from refusal
    for extension in extensions:
        METHODS[extension.name] = replace(
            METHODS[extension.name],
            package=extension.package,
            package_version=extension.version,
            source_sha256=extension.source_sha256,
        )
    for name in config.explain.methods:
        if name not in METHODS:
            raise ConfigError(f"explain.methods: unknown method {name!r}; {closest(name, METHODS)}")
        if METHODS[name].package is not None:
            _check_options(METHODS[name], config.explain.options.get(name, {}))


def _fault(name: str, value: object) -> str | None:
    """Return what is wrong with what an entry point offers as a method."""
    own = [method.name for method in METHODS.values() if method.function is value]
    if not own:
        return "it is not a function decorated with @method or @procedure of camaudit.methods"
    if own != [name]:
        return f"its entry point is called otherwise than the method, {own[0]!r}"
    if not _NAME.fullmatch(name) or name in (*BASELINES, "classifier"):
        return "a name is made of small letters, digits and underscores, and is no baseline's"
    silent = [what for what in _DECLARED if not str(getattr(METHODS[name], what)).strip()]
    return f"it says nothing of its {silent[0]}, which a reader of the report must know" if silent else None


def _check_options(method: Method, options: Iterable[str]) -> None:
    for option in options:
        if option not in method.options:
            hint = closest(option, method.options) if method.options else "it has none"
            raise ConfigError(f"explain.options.{method.name}.{option}: unknown option; {hint}")
