"""The pages of a qualification: what agrees and what does not, case by case, and what is installed."""

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path

from pipeline.findings.signed.qualification import KnownCase, Qualification
from reports.cover.short_contents import ShortContents
from reports.numbers import moment, plural, when
from reports.page.layout import Flowable, callout, columns, facts, heading, note, paragraph, table, title
from reports.page.publish import publish
from reports.page.text import bold, clean, digest
from reports.signing.boxes import SignatureBoxes
from reports.tagged.metadata import Description

__all__ = ["render_qualification"]

_TITLE = "Qualification of an installation of camaudit"
_SHORT = 12


@dataclass(frozen=True)
class _Pages:
    """The document as a whole: its folder, what was found, and the hash of the file that says so."""

    run: Path
    outcome: Qualification
    digest: str

    @property
    def title(self) -> str:
        return _TITLE

    @property
    def running(self) -> str:
        return f"camaudit {self.outcome.installation.camaudit}, {moment(self.outcome.finished_at)}"

    @property
    def stamps(self) -> tuple[str, ...]:
        return ("DIFFERS",) if self.outcome.differences else ()

    @property
    def foot(self) -> str:
        return f"Qualification SHA-256 {self.digest[:_SHORT]}"

    def described(self, made: datetime) -> Description:
        return Description(
            title=_TITLE,
            creator="camaudit qualify",
            subject=f"Installation and operation tests, site key {clean(self.outcome.site_key)}",
            tool=f"camaudit {clean(self.outcome.installation.camaudit)}",
            made=made.isoformat(timespec="seconds"),
            language="en",
        )


def render_qualification(outcome: Qualification, files: Mapping[str, bytes], target: Path) -> Path:
    """Write the pages of a qualification, with ``files`` (its JSON, by name) embedded, and return their path.

    The same qualification gives the same bytes.

    Raises:
        OutputError: when the file cannot be written.
    """
    content = next(iter(files.values()))
    pages = _Pages(target.parent, outcome, hashlib.sha256(content).hexdigest())
    opened = {name: io.BytesIO(part) for name, part in files.items()}
    publish(pages, _story(outcome), target, opened, when(outcome.finished_at))
    return target


def _story(outcome: Qualification) -> list[Flowable]:
    differ = outcome.differences
    words = f"{plural(len(outcome.cases), 'known case')} tried, {len(outcome.cases) - len(differ)} as expected."
    verdict = f"{plural(len(differ), 'case')} came out otherwise." if differ else "All came out as they have to."
    limits = (
        "What was tried is what stands below, on this machine with these versions. That the tool fits an intended use "
        "is for the site's own validation to show."
    )
    return [
        title(_TITLE),
        callout(paragraph(bold(f"{words} {verdict}")), paragraph(limits)),
        *_section("Signatures", [SignatureBoxes()]),
        ShortContents(),
        *(_section("What differs", [_cases(differ)]) if differ else []),
        *_section("Installation", _installation(outcome)),
        *(part for area, cases in groupby(outcome.cases, lambda case: case.area) for part in _area(area, list(cases))),
    ]


def _section(name: str, content: list[Flowable]) -> list[Flowable]:
    return [*heading(name, 0, f"section-{clean(name).lower().replace(' ', '-')}", content), *content]


def _area(area: str, cases: Sequence[KnownCase]) -> list[Flowable]:
    return _section(area, [_cases(cases)])


def _cases(cases: Sequence[KnownCase]) -> Flowable:
    shape = columns(("Case", 190), ("Expected", 70), ("Found", 80), ("Tolerance", 70), ("", 45))
    rows = [
        (case.what, case.expected, case.measured, case.tolerance, "agrees" if case.agrees else bold("DIFFERS"))
        for case in cases
    ]
    return table(shape, rows, compact=True)


def _installation(outcome: Qualification) -> list[Flowable]:
    installed = outcome.installation
    libraries = ", ".join(f"{name} {version}" for name, version in sorted(installed.libraries.items()))
    rows: list[tuple[str, object]] = [
        ("camaudit", installed.camaudit),
        ("Program", digest(installed.program)),
        ("Python", installed.python),
        ("Machine", f"{installed.platform}; {installed.device}"),
        ("Libraries", libraries),
        ("Time", f"{moment(outcome.started_at)} to {moment(outcome.finished_at)}"),
        ("Site key", outcome.site_key),
        *((f"Package {name}", digest(sha256)) for name, sha256 in installed.packages.items()),
    ]
    words = (
        "A package's hash is that of the list of its files; the hashes of all "
        f"{len(installed.files)} stand in the file that is embedded."
    )
    return [facts(rows), note(words)]
