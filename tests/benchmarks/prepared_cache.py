"""What the folder of prepared studies saves: CPU seconds to decode and prepare a CT series, or to take it from there.

python -m tests.benchmarks.prepared_cache [SLICES] [ROUNDS]
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from pipeline.models.prepare import build_transforms
from pipeline.models.prepared_studies import PreparedCache, prepared_study
from pipeline.studies.readers import read_image
from pipeline.studies.study import Study
from pipeline.studies.volume import Mask
from tests.benchmarks.measure import paired
from tests.benchmarks.reading import write

PREPARE = [
    {"_target_": "Spacing", "pixdim": [2.0, 2.0, 2.0]},
    {"_target_": "ScaleIntensityRange", "a_min": -1000, "a_max": 400, "b_min": 0, "b_max": 1, "clip": True},
    {"_target_": "CenterSpatialCrop", "roi_size": [128, 128, 96]},
]


def main(count: int, rounds: int) -> None:
    """Prepare the same study both ways, compare once, and print the ratio of the medians."""
    preparation = build_transforms(PREPARE)
    with tempfile.TemporaryDirectory() as name:
        series, cache = Path(name) / "series", PreparedCache(Path(name) / "cache", 2**40, "")
        series.mkdir()
        write(series, count)

        def decoded():
            volume = read_image(series).volume
            marked = np.zeros(volume.array.shape, np.bool_)
            marked[100:200, 100:200, 20:40] = True
            study = Study("study", "patient", volume, (Mask(marked, volume.geometry, "lesion", "expert"),), ("lesion",))
            return prepared_study(study, preparation(volume))

        cache.store(decoded(), "files")
        found = cache.load("study", "files")
        assert np.array_equal(found.prepared.x, decoded().prepared.x)
        times = paired({"decoded": decoded, "kept": lambda: cache.load("study", "files")}, rounds)
        size = sum(path.stat().st_size for path in cache.folder.iterdir())
    print(f"{count} slices of 512 x 512: decoded and prepared {times['decoded']:.3f} CPU s, kept {times['kept']:.3f}")
    print(f"{times['decoded'] / times['kept']:.0f} times; {size / 2**20:.1f} MiB on disk")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 140, int(sys.argv[2]) if len(sys.argv) > 2 else 5)
