"""The single list of the report's sections."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib.metadata import EntryPoint
from pathlib import Path

from pipeline.errors import OutputError
from pipeline.extensions import Refusal, installed
from pipeline.findings.pictures.panels import CasePanels, load_panels
from pipeline.findings.results import Results
from reports.page.layout import Flowable
from reports.page.text import clean
from reports.tagged.metadata import Description

__all__ = ["Context", "Section", "section", "sections"]


@dataclass(frozen=True)
class Context:
    """What a section may read: the results, the run's folder and the hash of ``results.json`` (SHA-256, hex).

    ``files`` are those of the run that a page in a browser reads, by name. ``altered`` says in a sentence each what of
    the run does not hold; every page of its report says so. ``hashes`` are those of the files that the PDF carries.
    """

    results: Results
    run: Path
    digest: str
    files: Mapping[str, bytes]
    altered: tuple[str, ...] = ()
    hashes: Mapping[str, str] = field(default_factory=dict)
    _last: dict[Path, CasePanels] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The report's title."""
        return self.results.title

    @property
    def running(self) -> str:
        """What stands at the right of each head: the run."""
        return f"Run {self.results.run}"

    @property
    def stamps(self) -> tuple[str, ...]:
        """What every reader must see on every page."""
        lock = self.results.lock
        state = "EXPLORATORY" if lock.exploratory else "AMENDED" if lock.amendments else ""
        return tuple(word for word in (state, "ALTERED" if self.altered else "") if word)

    @property
    def foot(self) -> str:
        """What stands in each foot: the beginning of the hash of the results."""
        return f"Results SHA-256 {self.digest[:12]}"

    def described(self, made: datetime) -> Description:
        """Return what the metadata say of the report."""
        results = self.results
        return Description(
            title=clean(results.title),
            creator=clean(results.prepared_by),
            subject=f"Saliency audit {clean(results.audit)}, run {clean(results.run)}",
            tool=f"camaudit {clean(results.provenance.camaudit)}",
            made=made.isoformat(timespec="seconds"),
            language="en",
        )

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

    ``fresh`` starts it on a page of its own. ``in_columns``: it is made for one of a page's two columns (``COLUMN``),
    and stands behind all sections that take the whole width. ``package`` names the installed distribution and its
    version that it comes from; None for camaudit's own.
    """

    order: int
    title: str
    build: Build
    fresh: bool = False
    in_columns: bool = False
    package: str | None = None

    @property
    def key(self) -> str:
        """The section's bookmark."""
        return f"section-{self.order}"


_GROUP = "camaudit.sections"
_SECTIONS: dict[int, Section] = {}


def section(order: int, title: str, *, fresh: bool = False, in_columns: bool = False) -> Callable[[Build], Build]:
    """Register the decorated function as a section; sections appear by ``order``, those in columns last.

    Raises:
        ValueError: when the order or the title is taken.
    """

    def register(build: Build) -> Build:
        for registered in _SECTIONS.values():
            if order == registered.order or title == registered.title:
                raise ValueError(
                    f"section {order} {title!r} clashes with section {registered.order} {registered.title!r}"
                )
        _SECTIONS[order] = Section(order, title, build, fresh, in_columns)
        return build

    return register


def sections(entries: Iterable[EntryPoint] | None = None) -> tuple[Section, ...]:
    """Return all sections in their order: camaudit's own, and those of installed packages.

    An entry point of the group ``camaudit.sections`` names a ``Section``. ``entries`` are the entry points to load:
    those of the environment unless given.

    Raises:
        OutputError: for a package whose section cannot be loaded, is none, or takes a place or a title that is taken.
    """
    chosen = list(_SECTIONS.values())

    def fault(_name: str, value: object) -> str | None:
        reason = _fault(value, chosen)
        if reason is None and isinstance(value, Section):
            chosen.append(value)
        return reason

    try:
        extensions = installed(_GROUP, entries, fault_of=fault)
    except Refusal as refusal:
        raise OutputError(str(refusal)) from refusal
    added = [
        replace(extension.value, package=f"{extension.package} {extension.version}")
        for extension in extensions
        if isinstance(extension.value, Section)
    ]
    return tuple(sorted([*_SECTIONS.values(), *added], key=lambda part: (part.in_columns, part.order)))


def _fault(value: object, others: Iterable[Section]) -> str | None:
    """Return what is wrong with what an entry point offers as a section."""
    if not isinstance(value, Section):
        return f"it is a {type(value).__name__:.40} and not a Section of camaudit.sections"
    if not value.title.strip() or value.order <= 0:
        return "it needs a title, and an order above 0: the cover's place is the first"
    clash = next((other for other in others if value.order == other.order or value.title == other.title), None)
    if clash is None:
        return None
    return f"{value.order} {value.title!r:.60} clashes with section {clash.order} {clash.title!r:.60}"
