"""``python -m tests.coverage [--quick] [--only WORDS ...] [--write]``: simulate cells, and exit 1 if one errs.

Every cell has 10,000 cohorts (areas 4,000, looks at them 2,000), some minutes on two cores; ``--quick`` takes some
cells with 1,000 cohorts each (areas 250, looks at them 100), half a minute. ``--only`` takes the claims of the last
table whose names hold one of these words. ``--write`` puts the tables into docs/evidence.md, with ``--only`` the rows
of these claims. A cell errs when its false MET lies more than three standard errors above 2.5 %, or its coverage as far
below 95 %.
"""

import argparse
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.coverage.table import CELLS, OTHERS, QUICK, document, merged, simulate, tables

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "evidence.md"


def main():
    """Simulate, print, and exit 1 with the faults when there are any."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="+", default=[], metavar="WORDS")
    parser.add_argument("--write", action="store_true", help="needs every cell, so not with --quick")
    parser.add_argument("--processes", type=int, default=min(2, os.cpu_count() or 1))
    given = parser.parse_args()
    if given.quick and given.write:
        parser.error("--write needs every cell; leave --quick out")
    start = time.monotonic()
    numbers = [number for number in (QUICK if given.quick else range(len(CELLS))) if _asked(CELLS[number], given.only)]
    with ProcessPoolExecutor(given.processes, multiprocessing.get_context("spawn")) as pool:
        rates = dict(pool.map(simulate, numbers, [given.quick] * len(numbers)))
    faults = [f"{CELLS[number].name}: {rate.fault}" for number, rate in rates.items() if rate.fault]
    text = tables(rates)
    print(text)
    print("\n".join([f"\n{len(rates)} cells, {len(faults)} err, {time.monotonic() - start:.0f} s", *faults]))
    if given.write and not faults:
        before = DOCUMENT.read_text(encoding="utf-8")
        DOCUMENT.write_text(merged(before, rates) if given.only else document(before, text), encoding="utf-8")
    sys.exit(bool(faults))


def _asked(cell, words):
    return not words or (cell in OTHERS and any(word in cell.name for word in words))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
