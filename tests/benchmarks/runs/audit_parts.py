"""Where an audit's processor time goes: ``python -m tests.benchmarks.runs.audit_parts [STUDIES]``.

The studies and the audit are those of ``tests.benchmarks.audit_loop``, without baselines; files are read in this
process, so that reading is counted, by ``run.workers: 0``. What another part calls counts for the part that is called.
Beside each part stands what the loop written by hand does of it.
"""

import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any

from flows.allocation import let_numpy_use_one_thread, let_waiting_threads_sleep

PARTS = (
    ("pipeline.walk.reading", "read_study", "files hashed and decoded", "decodes"),
    ("pipeline.models.prepare", "Preparation.__call__", "image prepared", "does"),
    ("pipeline.walk.study_walk", "explain_batch", "model, map, answers", "does"),
    ("pipeline.walk.measuring", "StudyMeasuring._evidence", "map carried to the mask's grid", "does"),
    ("pipeline.walk.measuring", "score_all", "five metrics", "does"),
    ("pipeline.walk.measuring", "region_counts", "other thresholds", "no"),
    ("pipeline.walk.measuring", "peak_of", "where the peak lies; the body", "no"),
    ("pipeline.walk.measuring", "StudyMeasuring._shares", "where the evidence lies", "no"),
    ("pipeline.walk.study_walk", "read_facts", "masks' pieces and shapes, facts of the files", "no"),
    ("pipeline.walk.study_walk", "input_facts", "digest and sketch of the input (leakage, drift)", "no"),
    ("pipeline.walk.study_walk", "_record", "records", "a row of CSV"),
    ("pipeline.runs.run", "write_maps", "maps kept", "no"),
    ("pipeline.runs.run", "write_shard", "rows kept", "no"),
    ("pipeline.runs.run", "record_files", "ledger", "no"),
    ("flows.conduct", "begun", "archive listed and hashed, model checked, run locked", "no"),
    ("pipeline.runs.run", "Run.finish", "statistics, verdicts, pictures, results", "no"),
    ("flows.conduct", "render", "report", "no"),
)


class PartsOfTime:
    """The processor time of functions, without that of others that are timed and that they call."""

    def __init__(self) -> None:
        self.seconds = Counter[str]()
        self._lock = threading.Lock()
        self._thread = threading.local()

    def timed(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        """Return a function that is timed under a name."""

        @wraps(function)
        def call(*given: object, **named: object) -> object:
            inner = self._thread.__dict__.setdefault("inner", [])
            inner.append(0.0)
            start = time.thread_time()
            try:
                return function(*given, **named)
            finally:
                spent = time.thread_time() - start
                own = spent - inner.pop()
                with self._lock:
                    self.seconds[name] += own
                if inner:
                    inner[-1] += spent

        return call

    def watch(self, module: str, path: str, name: str) -> None:
        """Time a module's function, or a method of its class."""
        *owners, attribute = path.split(".")
        owner: Any = import_module(module)
        for step in owners:
            owner = getattr(owner, step)
        setattr(owner, attribute, self.timed(getattr(owner, attribute), name))


def main(studies: int) -> None:
    """Print the seconds of each part, and what the loop does of it."""
    let_waiting_threads_sleep(os.environ)  # as the command line does, before the libraries are loaded
    let_numpy_use_one_thread(os.environ)
    from tests.benchmarks.audit_loop import write_archive

    with tempfile.TemporaryDirectory() as folder:
        config = write_archive(Path(folder) / "audit", studies)
        start = time.process_time()
        from flows import conduct
        from flows.engines import Engine
        from flows.request import AuditRequest
        from flows.watch import Watcher
        from pipeline.checks.config_checks import checked_config
        from pipeline.studies.untrusted.workers import WorkerPool

        imports = time.process_time() - start
        parts = PartsOfTime()
        for module, path, name, _ in PARTS:
            parts.watch(module, path, name)
        chosen = checked_config(config, ["run.engine=local", "run.workers=0", "overlap.baselines=[]"])
        start = time.process_time()
        with WorkerPool() as pool:
            run = conduct.begun(AuditRequest(chosen, "benchmark"), Watcher(), pool)
            conduct.conduct(run, Engine(print, "local"), Watcher(), conduct.plainly)
        spent = time.process_time() - start
    for _, _, name, by_hand in PARTS:
        print(f"{parts.seconds[name]:6.2f} s {name} (the loop: {by_hand})")
    print(f"{spent - parts.seconds.total():6.2f} s what is left: batches, threads, shards")
    print(f"{imports:6.2f} s imports; the process that reads imports some of them once more")
    print(f"{spent + imports:6.2f} s in all ({studies} studies)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400)
