"""Measure what a cohort takes; what is measured stands in ``growth``, which each process imports by its name."""

import sys

from tests.benchmarks.cohort_size.growth import main

if __name__ == "__main__":
    sys.exit(main())
