"""Try ``auto`` on the networks of MONAI, timm and Hugging Face: ``make zoo``.

    python -m tests.zoo [monai] [timm] [hugging-face] [--only TEXT] [--write]

Random weights, small images, no network access. Prints a row for each network: the verdict, the layer that ``auto``
takes, its cells, the share of the image's gradient that goes past it, measured by two forwards and backwards, and the
sentence of a refusal or a fault. Ends with the number that passed (right or refused) and failed (wrong or crashed),
and exits 1 when one failed or nothing was tried. A family that is not installed is skipped. ``--write`` renews the rows
in docs/layers.md of what was run.
"""

import argparse
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import torch

from tests.zoo import document, hugging_face_networks, monai_networks, timm_networks
from tests.zoo.candidate import Candidate
from tests.zoo.trial import PASSED, Row, examine

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "layers.md"


@dataclass(frozen=True)
class Family:
    """The networks of one library; ``library`` is what it is installed by."""

    library: str
    candidates: Callable[[], Iterator[Candidate]]


FAMILIES: Mapping[str, Family] = {
    "monai": Family("monai", monai_networks.candidates),
    "timm": Family("timm", timm_networks.candidates),
    "hugging-face": Family("transformers", hugging_face_networks.candidates),
}


def main() -> int:
    """Run what was asked for and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="*", metavar="family", help=f"of {', '.join(FAMILIES)}; all by default")
    parser.add_argument("--only", default="", help="networks whose name holds this")
    parser.add_argument("--write", action="store_true", help="renew the rows in docs/layers.md")
    given = parser.parse_args()
    unknown = sorted({*given.families} - {*FAMILIES})
    if unknown:
        parser.error(f"family must be of {', '.join(FAMILIES)}, not {unknown[0]!r}")
    if given.write and given.only:
        parser.error("--write renews whole rows and cannot go with --only")
    rows, versions = _tried(given.families or list(FAMILIES), given.only)
    if given.write:
        text = DOCUMENT.read_text(encoding="utf-8")
        DOCUMENT.write_text(document.renewed(text, rows, versions), encoding="utf-8")
    passed = sum(row.verdict in PASSED for row in rows)
    print(f"{passed} passed, {len(rows) - passed} failed")
    return 0 if rows and passed == len(rows) else 1


def _tried(names: Sequence[str], only: str) -> tuple[list[Row], dict[str, str]]:
    """Try these families' networks; return a row for each, and the library's version by its group."""
    rows, versions = list[Row](), dict[str, str]()
    for family in (FAMILIES[name] for name in names):
        if find_spec(family.library) is None:
            print(f"skipped: {family.library} is not installed (pip install -e '.[zoo]')")
            continue
        chosen = [candidate for candidate in family.candidates() if only in candidate.name]
        for candidate in chosen:
            rows.append(examine(candidate))
            versions[candidate.group] = f"{family.library} {version(family.library)}"
            print(rows[-1], flush=True)
    return rows, versions


if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"  # no weights are wanted: whoever asks for some fails
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    sys.exit(main())
