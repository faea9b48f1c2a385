"""What Prefect costs: one run of 200 small studies, with the flow and without, side by side in one process.

python -m tests.benchmarks.runs.prefect_share [STUDIES]
"""

import os
import resource
import sys
import tempfile
import time
from pathlib import Path


def main(count: int) -> None:
    """Time begin, work and finish alone and inside the flow on copies of the same archive, and print the difference."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"PREFECT_HOME": f"{folder}/prefect", "PREFECT_LOGGING_LEVEL": "CRITICAL"}
        os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
        os.environ["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"] = "120"
        from flows.audit import audit
        from reports.pdf import render
        from tests.pipeline.planted import plant
        from tests.pipeline.steps import begin, finish, read_run, work

        plain, flowing = (plant(Path(folder) / name, count, run={"device": "cpu"}) for name in ("plain", "flow"))
        start = time.perf_counter()
        run = begin(plain, "benchmark")
        shards = read_run(run)[0].shards
        for shard in range(shards):
            work(run, shard)
        finish(run)
        render(run)
        alone = time.perf_counter() - start
        start = time.perf_counter()
        audit(str(flowing))
        inside = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{count} studies in {shards} shards")
    print(f"without Prefect {alone:.1f} s, as a flow {inside:.1f} s: Prefect's share {inside - alone:.1f} s")
    print(f"peak memory of this process {peak:.2f} GiB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
