"""What rows of studies and draws of an AUROC take: ``python -m tests.benchmarks.cohort_size.rows [STUDIES]``.

Rows are those of a classifier's studies, half of them positive, two a patient. Printed are what a row takes while it is
an object and once it lies in a block, how long it takes to be read back, and what some draws of an AUROC's bounds take.
"""

import argparse
import time
import tracemalloc

import numpy as np

from pipeline.conclusions.study_rows import StudyRows
from pipeline.evidence.exact.areas import area_cohort_from, area_draws
from pipeline.findings.brief_study import RowMaker
from pipeline.findings.study_audit import StudyAudit

STUDIES, DRAWS, OBJECTS = 100_000, 130, 8_192


def record(number: int) -> StudyAudit:
    """Return a study's record, as a classifier's audit without masks has it."""
    share = float(np.random.default_rng(number).random())
    return StudyAudit(
        study=f"S-{number:016}",
        patient=f"P-{number // 2:016}",
        source_sha256=f"{number:064x}",
        status="analysed",
        predicted=("lesion",) if share > 0.5 else (),
        probabilities={"clear": 1 - share, "lesion": share},
        reference=("lesion",) if number % 2 else (),
        strata={"site": "ab"[number % 2]},
    )


def of_an_object(studies: int) -> float:
    """Return the bytes of a row that stays an object, of so many."""
    maker = RowMaker()
    tracemalloc.start()
    rows = [maker.row_of(record(number)) for number in range(studies)]
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return held / len(rows)


def in_blocks(studies: int) -> tuple[float, float]:
    """Return the bytes of a row in a block, and the CPU seconds in which it is read back, of so many."""
    sizes: list[int] = []

    def kept(data: bytes):
        sizes.append(len(data))
        return lambda: data

    rows = StudyRows(kept)
    for number in range(studies):
        rows.add(record(number))
    before = time.process_time()
    read = sum(1 for _ in rows)
    return sum(sizes) / max(1, read - OBJECTS), (time.process_time() - before) / max(1, read - OBJECTS)


def drawn(studies: int, draws: int) -> float:
    """Return the CPU seconds that some draws of an AUROC's bounds take."""
    generator, number = np.random.default_rng(0), np.arange(studies)
    cohort = area_cohort_from(generator.random(studies), number % 2 == 1, number // 2)
    before = time.process_time()
    area_draws(cohort, draws=draws)
    return time.process_time() - before


def main() -> None:
    """Print all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("studies", type=int, nargs="?", default=STUDIES)
    studies = parser.parse_args().studies
    packed, read = in_blocks(studies)
    print(f"a row: {of_an_object(OBJECTS):.0f} bytes as an object, {packed:.0f} in a block, ", end="")
    print(f"read back in {1e6 * read:.1f} microseconds ({studies:,} studies)")
    print(f"{DRAWS} draws of an AUROC of {studies:,} studies: {drawn(studies, DRAWS):.2f} CPU s")


if __name__ == "__main__":
    main()
