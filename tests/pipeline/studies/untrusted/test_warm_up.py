"""A worker that is ready before there is anything to read."""

import threading

from pipeline.studies.untrusted.workers import DECODING, WorkerPool
from pipeline.studies.warm_up import warm_up
from tests.pipeline.studies.misbehaving import loaded_modules


def joined():
    for thread in threading.enumerate():
        if thread.name == "warm-up":
            thread.join()


def test_the_worker_that_is_warmed_has_the_readers_and_is_the_one_that_reads():
    with WorkerPool() as pool:
        warm_up(pool)
        joined()
        (modules,) = pool.map(loaded_modules, [("pipeline.studies.readers", "torch")], workers=1, limits=DECODING)
        assert modules == ("pipeline.studies.readers",)


def test_leaving_the_pool_meanwhile_raises_nothing():
    with WorkerPool() as pool:
        warm_up(pool)
    joined()
