"""Installed packages that extend camaudit: found by their entry points, and part of what makes a number.

Nothing is remembered: each call asks what is installed now.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

__all__ = ["MAKE_NUMBERS", "Extension", "Refusal", "extensions_digest", "installed", "names_of", "package_digest"]

MAKE_NUMBERS = ("camaudit.methods", "camaudit.metrics", "camaudit.readers")
"""The groups whose packages can change a number; a section of the report only prints numbers."""


@dataclass(frozen=True)
class Extension:
    """What an entry point offers: ``value``, with the distribution that it comes from and the digest of its sources."""

    name: str
    value: object
    package: str
    version: str
    source_sha256: str


class Refusal(Exception):  # noqa: N818 - the loader turns it into the error of its room
    """An extension is refused; the message is one sentence with the reason."""


def installed(
    group: str,
    entries: Iterable[EntryPoint] | None = None,
    *,
    fault_of: Callable[[str, object], str | None],
) -> tuple[Extension, ...]:
    """Load what packages offer in a group, by name; ``fault_of(name, value)`` says what is wrong with it, or None.

    ``entries`` are the entry points to load: those of the environment unless given.

    Raises:
        Refusal: for the first that cannot be loaded, has a name that another has, or is faulty.
    """
    given = entry_points(group=group) if entries is None else entries
    extensions: dict[str, Extension] = {}
    what = group.partition(".")[2].removesuffix("s")
    for entry in sorted(given, key=lambda entry: (entry.name, entry.value)):
        package, version = (entry.dist.name, entry.dist.version) if entry.dist else ("unnamed", "0")
        fault, value = _loaded(entry)
        if fault is None and entry.name in extensions:
            fault = f"the name is taken by {extensions[entry.name].package}"
        fault = fault or fault_of(entry.name, value)
        if fault is not None:
            raise Refusal(
                f"the {what} {entry.name!r:.60} of the installed package {package} {version} is refused: {fault}; "
                "correct the package, or uninstall it"
            )
        extensions[entry.name] = Extension(entry.name, value, package, version, package_digest(entry.module))
    return tuple(extensions.values())


def _loaded(entry: EntryPoint) -> tuple[str | None, object]:
    try:
        return None, entry.load()
    except Exception as error:  # noqa: BLE001 - whatever the package's code raises while it is imported
        said = " ".join(str(error).split())[:160]
        return f"{entry.value!r:.80} cannot be imported ({type(error).__name__}: {said})", None


def names_of(group: str) -> tuple[str, ...]:
    """Return the names that installed packages offer in a group; nothing is imported."""
    return tuple(sorted({entry.name for entry in entry_points(group=group)}))


def extensions_digest() -> str | None:
    """Return the SHA-256 of the sources of all packages that extend what makes a number; None where there are none.

    A package that is edited in place keeps its version: its sources count, by its whole top-level package.
    """
    lines = sorted(
        f"{group} {entry.name} {entry.value} {package_digest(entry.module)}"
        for group in MAKE_NUMBERS
        for entry in entry_points(group=group)
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest() if lines else None


def package_digest(module: str) -> str:
    """Return the SHA-256 of the sources of a module's top-level package; it is looked for and not imported."""
    digest = hashlib.sha256()
    for name, path in _sources(module.partition(".")[0]):
        digest.update(f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _sources(top: str) -> list[tuple[str, Path]]:
    spec = find_spec(top)
    if spec is None:
        return []
    if spec.submodule_search_locations is None:
        return [(top, Path(spec.origin))] if spec.origin and Path(spec.origin).is_file() else []
    roots = [Path(place) for place in spec.submodule_search_locations]
    return sorted((path.relative_to(root).as_posix(), path) for root in roots for path in root.rglob("*.py"))
