"""The table in docs/layers.md: a row for each group that was tried; the other groups keep theirs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tests.zoo.trial import Row

BEGIN, END = "<!-- zoo: made by python -m tests.zoo -->\n", "<!-- /zoo -->\n"
_HEAD = (
    "| networks, random weights | version | tried | right as they are | refused | wrong or crashed |\n"
    "|---|---|---|---|---|---|\n"
)


@dataclass(frozen=True)
class Table:
    """A document's text in front of its table, the rows by their group, and the text behind."""

    before: str
    rows: Mapping[str, str]
    behind: str

    def __str__(self) -> str:
        return f"{self.before}{BEGIN}{_HEAD}{''.join(self.rows.values())}{END}{self.behind}"


def read(document: str) -> Table:
    """Read a document's table.

    Raises:
        ValueError: when the marks around it are not there once.
    """
    if document.count(BEGIN) != 1 or document.count(END) != 1:
        raise ValueError(
            f"the document must hold {BEGIN.strip()!r} and {END.strip()!r} once, each on a line of its own"
        )
    before, _, rest = document.partition(BEGIN)
    table, _, behind = rest.partition(END)
    lines = table.splitlines(keepends=True)[2:]
    return Table(before, {line.split(" | ")[0].removeprefix("| "): line for line in lines}, behind)


def renewed(document: str, rows: Iterable[Row], versions: Mapping[str, str]) -> str:
    """Return the document with these groups' rows; ``versions`` names each group's library, as "timm 1.0"."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.candidate.group, []).append(row)
    table = read(document)
    lines = {group: _line(group, versions[group], members) for group, members in groups.items()}
    return str(Table(table.before, {**table.rows, **lines}, table.behind))


def _line(group: str, version: str, rows: Sequence[Row]) -> str:
    right = sum(row.verdict == "right" for row in rows)
    refused = _listed([row for row in rows if row.verdict == "refused"])
    failed = _listed([row for row in rows if row.verdict in ("wrong", "crashed")])
    return f"| {group} | {version} | {len(rows)} | {right} | {refused} | {failed} |\n"


def _listed(rows: Sequence[Row]) -> str:
    names = ", ".join(row.candidate.name for row in rows)
    return f"{len(rows)} ({names})" if rows else "0"
