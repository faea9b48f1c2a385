"""The single list of the report's sections."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import OutputError
from pipeline.findings.panels import CasePanels, load_panels
from pipeline.findings.results import Results
from reports.page.layout import Flowable

__all__ = ["Context", "Section", "section", "sections"]


@dataclass(frozen=True)
class Context:
    """What a section may read: the results, the run's folder and the hash of ``results.json`` (SHA-256, hex).

    ``files`` are the run's files that the PDF carries, by name.
    """

    results: Results
    run: Path
    digest: str
    files: Mapping[str, bytes]
    _last: dict[Path, CasePanels] = field(default_factory=dict)

    def panels(self, name: str) -> CasePanels:
        """Return the panels in a file of the run's folder; only the last one is kept in memory.

        Raises:
            OutputError: when the file is missing, is no such file, or lies outside the run's folder.
        """
        path = (self.run / name).resolve()
        if not path.is_relative_to(self.run.resolve()):
            raise OutputError(f"{name}: lies outside the run's folder; a report shows only what the run wrote")
        if path not in self._last:
            self._last.clear()
            self._last[path] = load_panels(path)
        return self._last[path]


Build = Callable[[Context], list[Flowable]]


@dataclass(frozen=True)
class Section:
    """A part of the report: its place, its heading ('' for the cover, which has none), and what builds it.

    ``fresh`` starts it on a page of its own.
    """

    order: int
    title: str
    build: Build
    fresh: bool = False

    @property
    def key(self) -> str:
        """The section's bookmark."""
        return f"section-{self.order}"


_SECTIONS: dict[int, Section] = {}


def section(order: int, title: str, *, fresh: bool = False) -> Callable[[Build], Build]:
    """Register the decorated function as a section; sections appear by ``order``.

    Raises:
        ValueError: when the order or the title is taken.
    """

    def register(build: Build) -> Build:
        for registered in _SECTIONS.values():
            if order == registered.order or title == registered.title:
                raise ValueError(
                    f"section {order} {title!r} clashes with section {registered.order} {registered.title!r}"
                )
        _SECTIONS[order] = Section(order, title, build, fresh)
        return build

    return register


def sections() -> tuple[Section, ...]:
    """Return all sections in their order."""
    return tuple(_SECTIONS[order] for order in sorted(_SECTIONS))
