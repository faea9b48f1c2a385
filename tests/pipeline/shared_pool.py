"""The processes that read the studies of all tests here: starting one takes a second. They end with the session."""

from pipeline.studies.untrusted.workers import WorkerPool

POOL = WorkerPool()  # starts nothing by itself
