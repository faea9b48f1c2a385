"""Volumes that a run keeps for scrolling, held against its maps and rows by whoever asks for more than hashes."""

from dataclasses import replace

import pytest

from pipeline.findings.pictures.volumes import load_volume, save_volume
from pipeline.findings.results import load_results
from pipeline.verify.maps import check_volumes
from pipeline.verify.run_folder import open_run_folder
from tests.pipeline.planted import plant
from tests.pipeline.runs.test_run import complete


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    shown = {"cases": {"worst": 1, "best": 1, "random": 1}, "pictures": "all", "volumes": "crops"}
    config = plant(tmp_path_factory.mktemp("volumes") / "audit", 3, report=shown)
    return complete(config)[0]


def test_kept_volumes_are_what_maps_and_rows_say_and_forged_ones_are_named(run):
    assert list(check_volumes(open_run_folder(run))) == []
    name = next(case.volume for case in load_results(run).cases if case.volume)
    sound = load_volume(run / name)
    method, kept = next(iter(sound.maps.items()))
    reader, counts = next(iter(kept.readers.items()))
    forgeries = {
        "what is kept of it": replace(kept, values=kept.values * 2, maximum=kept.maximum * 2),
        "region is not": replace(kept, region=tuple(each + 9 for each in kept.region)),
        "the region that was drawn": replace(kept, readers={reader: replace(counts, drawn=counts.drawn + 1)}),
    }
    for words, forged in forgeries.items():
        save_volume(replace(sound, maps={**sound.maps, method: forged}), run / name)
        said = [f"{failure.kind.code} {failure.sentence}" for failure in check_volumes(open_run_folder(run))]
        assert any(each.startswith("53 ") and f"map {method}" in each and words in each for each in said), said
    (run / name).write_bytes(b"PK")
    assert ["cannot be counted again" in each.sentence for each in check_volumes(open_run_folder(run))] == [True]
    save_volume(sound, run / name)
