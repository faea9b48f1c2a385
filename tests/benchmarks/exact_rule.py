"""What the exact rule costs: ``python -m tests.benchmarks.exact_rule``.

A hundred metrics of a thousand patients, beta-distributed, decided (two p-values each) and with all bounds; the
percentile bootstrap of 2,000 replicates on the same scores beside it; one cohort of growing size; one area.
"""

import time
from collections.abc import Callable, Iterator

import numpy as np

from pipeline.evidence.cohort.bootstrap import mean_interval
from pipeline.evidence.exact.areas import area_cohort, judge_area
from pipeline.evidence.exact.claims import Claim
from pipeline.evidence.exact.means import decide_mean, exact_interval, judge_mean
from pipeline.evidence.exact.scores import one_study_each

METRICS, PATIENTS = 100, 1000
LIMITS = {"verdicts": 0.5, "verdicts and all bounds": 6.0}
"""CPU seconds that the whole hundred may take."""


def seconds(function: Callable[[], object]) -> float:
    """Return the CPU seconds of one call."""
    start = time.process_time()
    function()
    return time.process_time() - start


def measured() -> Iterator[tuple[str, float]]:
    """Yield what was done and the CPU seconds that it took."""
    generator = np.random.default_rng(0)
    scores = [generator.beta(3, 0.5, PATIENTS).tolist() for _ in range(METRICS)]
    cohorts = [one_study_each(values) for values in scores]
    claim = Claim("at_least", 0.8)
    names = [str(number) for number in range(PATIENTS)]
    settings = {"confidence": 0.95, "replicates": 2000, "seed": 0}
    yield "verdicts", seconds(lambda: [decide_mean(cohort, claim) for cohort in cohorts])
    yield "verdicts and all bounds", seconds(lambda: [judge_mean(cohort, claim) for cohort in cohorts])
    yield "percentile bootstrap, all bounds", seconds(lambda: [mean_interval(x, names, **settings) for x in scores])
    for patients in (10_000, 100_000):
        many = generator.beta(3, 0.5, patients)
        yield f"one interval of {patients:,} patients", seconds(lambda many=many: exact_interval(many, 0.95))
    positive = [number % 2 == 0 for number in range(PATIENTS)]
    area = area_cohort((generator.normal(size=PATIENTS) + positive).tolist(), positive, names)
    yield f"one area of {PATIENTS:,} patients", seconds(lambda: judge_area(area, claim))


def main() -> None:
    """Print a line for each, and exit 1 where a limit is passed."""
    over = []
    for name, taken in measured():
        limit = LIMITS.get(name)
        print(f"{name:36} {taken:7.2f} CPU s" + (f" (at most {limit:g})" if limit else ""), flush=True)
        over += [name] if limit and taken > limit else []
    raise SystemExit(bool(over))


if __name__ == "__main__":
    main()
